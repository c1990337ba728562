// Acquiring: tries, timeouts, cancelling, and that "no" is only said when it is sure.
#include "tests/unit/client/script.h"

namespace holdfast::client {

namespace {

base::Error would_block() {
  return {base::ErrorCode::kWouldBlock, "held", {}};
}

}  // namespace

TEST_CASE("client: a try takes no place in the queue, and a held lock is a plain no") {
  // Why: a try that queued would be granted to nobody later.
  Script s;
  SessionId session = s.open_session();
  s.acquire(2, session, 0);
  auto sent = s.find<locks::Acquire>();
  CHECK(!s.body<locks::Acquire>(sent).wait);
  s.respond(sent.request, locks::Answer(would_block()));
  CHECK(std::holds_alternative<NotAcquired>(s.outcome(2)));
}

TEST_CASE("client: at its timeout a wait is cancelled before the caller is told no") {
  // Why: "not acquired" means now and later (DESIGN 2.7).
  Script s;
  SessionId session = s.open_session();
  s.acquire(2, session, 1000);
  uint64_t number = s.op(s.find<locks::Acquire>()).number;
  s.advance_with("a:1", 1000);
  auto cancel = s.find<locks::CancelWait>();
  CHECK(s.body<locks::CancelWait>(cancel).target == number);
  CHECK(!s.completed(2));
  s.respond(cancel.request, locks::Answer(locks::WaitCancelled{}));
  CHECK(std::holds_alternative<NotAcquired>(s.outcome(2)));
}

TEST_CASE("client: a grant that came together with the timeout is given back before the no") {
  // Why: the caller won't release what it was told that it hasn't got.
  Script s;
  SessionId session = s.open_session();
  s.acquire(2, session, 100);
  auto acquire = s.find<locks::Acquire>();
  s.advance(100);
  auto cancel = s.find<locks::CancelWait>();
  SUBCASE("the cancel brings the grant") {
    s.respond(cancel.request, locks::Answer(locks::Granted{{{900}}}));
  }
  SUBCASE("the acquire brings it, and the cancel again") {
    s.respond(acquire.request, locks::Answer(locks::Granted{{{900}}}));
    s.respond(cancel.request, locks::Answer(locks::Granted{{{900}}}));
  }
  CHECK(s.count<locks::Release>() == 1);
  auto release = s.find<locks::Release>();
  CHECK(s.body<locks::Release>(release).token == base::Token{900});
  CHECK(!s.completed(2));
  s.respond(release.request, locks::Answer(locks::Done{{901}}));
  CHECK(std::holds_alternative<NotAcquired>(s.outcome(2)));
}

TEST_CASE("client: a timeout without a leader is unavailable, and cancelling goes on behind it") {
  // Why: the acquire may stand in the queue; "no" would be a lie. It must not stay there either.
  Script s;
  SessionId session = s.open_session(60'000);
  s.acquire(2, session, 1000);
  s.cut("a:1");
  s.advance(1500);
  CHECK(!s.completed(2));
  s.advance(500);
  CHECK(s.failure(2) == Code::unavailable);
  s.answer_status("b:1", 2);
  CHECK(s.count<locks::Acquire>() == 0);  // not sent again
  s.respond(s.find<locks::CancelWait>().request, locks::Answer(locks::Granted{{{900}}}));
  s.find<locks::Release>();
}

TEST_CASE("client: asking again for a lock waits until an acquire of unknown outcome is settled") {
  // Why: it may have been granted, and the cell would call it a deadlock: "whoever asks holds it
  // already". Found by the torture run.
  Script s;
  SessionId session = s.open_session(60'000);
  s.acquire(2, session, 1000);
  s.cut("a:1");
  s.advance(2000);
  CHECK(s.failure(2) == Code::unavailable);
  s.answer_status("b:1", 2);
  s.acquire(3, session, 2000);
  s.acquire(4, session, 2000, "other");
  REQUIRE(s.count<locks::Acquire>() == 1);
  CHECK(s.body<locks::Acquire>(s.find<locks::Acquire>()).locks[0].name == "other");
  SUBCASE("it was granted: what is sent is its release, and only then the next acquire") {
    s.respond(s.find<locks::CancelWait>().request, locks::Answer(locks::Granted{{{900}}}));
    CHECK(s.count<locks::Release>() == 1);
    CHECK(s.count<locks::Acquire>() == 2);
    CHECK(s.op(s.find<locks::Release>()).number < s.op(s.find<locks::Acquire>()).number);
    s.grant(910);
    CHECK(std::get<Granted>(s.outcome(3)).tokens.at(0) == base::Token{910});
  }
  SUBCASE("it was cancelled") {
    s.respond(s.find<locks::CancelWait>().request, locks::Answer(locks::WaitCancelled{}));
    s.grant(910);
    CHECK(std::get<Granted>(s.outcome(3)).tokens.at(0) == base::Token{910});
  }
  SUBCASE("nobody can tell in time") {
    s.advance_with("b:1", 2000);
    CHECK(s.failure(3) == Code::unavailable);
    s.respond(s.find<locks::CancelWait>().request, locks::Answer(locks::WaitCancelled{}));
    CHECK(s.body<locks::Acquire>(s.find<locks::Acquire>()).locks[0].name == "other");
  }
}

TEST_CASE("client: a wait that was never sent is over at its timeout, with nothing to cancel") {
  // Why: and yet not "no": without a majority nobody can say who holds it.
  Script s;
  SessionId session = s.open_session(60'000);
  s.cut("a:1");
  s.acquire(2, session, 1000);
  s.advance(1000);
  CHECK(s.failure(2) == Code::unavailable);
  s.answer_status("b:1", 2);
  CHECK(s.count<locks::Acquire>() + s.count<locks::CancelWait>() == 0);
}

TEST_CASE("client: a queued wait has no timeout of its own and outlives leaders") {
  // Why: queues are replicated; a wait ends by grant, cancel or the lease's end only.
  Script s({"a:1", "b:1"}, 1000);
  SessionId session = s.open_session(3'600'000);
  s.acquire(2, session, std::nullopt);
  uint64_t number = s.op(s.find<locks::Acquire>()).number;
  s.advance_with("a:1", 10'000);
  s.fail_over();
  CHECK(s.op(s.find<locks::Acquire>()).number == number);
  s.grant(900);
  CHECK(std::holds_alternative<Granted>(s.outcome(2)));
}

TEST_CASE("client: cancel ends a wait, and a grant that was faster is given back") {
  // Why: the caller of cancel() wants nobody to hold it afterwards.
  Script s;
  SessionId session = s.open_session();
  Core::AcquireId id = s.acquire(2, session, std::nullopt);
  s.with([&](Effects& fx) { s.core.cancel(id, s.now, fx); });
  auto cancel = s.find<locks::CancelWait>();
  SUBCASE("in time") {
    s.respond(cancel.request, locks::Answer(locks::WaitCancelled{}));
  }
  SUBCASE("too late") {
    s.respond(cancel.request, locks::Answer(locks::Granted{{{900}}}));
    s.respond(s.find<locks::Release>().request, locks::Answer(locks::Done{{901}}));
  }
  CHECK(s.failure(2) == Code::cancelled);
  s.with([&](Effects& fx) { s.core.cancel(id, s.now, fx); });  // over: does nothing
}

TEST_CASE("client: a try whose answer got lost is asked again with the same number") {
  // Why: a second number could get a second grant.
  Script s;
  SessionId session = s.open_session();
  s.acquire(2, session, 0);
  uint64_t number = s.op(s.find<locks::Acquire>()).number;
  s.fail_over();
  CHECK(s.op(s.find<locks::Acquire>()).number == number);
  s.respond(s.find<locks::Acquire>().request, locks::Answer(would_block()));
  CHECK(std::holds_alternative<NotAcquired>(s.outcome(2)));
}

TEST_CASE("client: a grant that came too late for a bare lease is given back until that is done") {
  // Why: whoever keeps that lease alive would hold the lock without knowing it.
  Script s({"a:1"}, 1000);
  s.open_session();
  AcquireCall call;
  call.under.lease = {700};
  call.locks = {locks::LockRequest{"l"}};
  call.timeout = base::Duration::from_ms(100);
  s.with([&](Effects& fx) { s.core.acquire(2, call, s.now, fx); });
  s.advance_with("a:1", 100);
  s.respond(s.find<locks::CancelWait>().request, locks::Answer(locks::Granted{{{900}}}));
  CHECK(s.count<locks::Release>() == 1);
  s.advance_with("a:1", 3000);
  CHECK(s.failure(2) == Code::unavailable);  // not "no": it isn't sure
  s.cut("a:1");
  s.advance(600);
  s.accept_all();
  s.answer_status("a:1", 2);
  CHECK(s.count<locks::Release>() == 1);
}

TEST_CASE("client: what was followed up after its session's end is forgotten in the end") {
  // Why: a cell that is gone for good must not be asked for twenty times a second until then.
  Script s({"a:1", "b:1"});
  SessionId session = s.open_session();
  s.acquire(2, session, std::nullopt);
  s.fail_over();
  auto again = s.find<locks::Acquire>();
  s.advance_with("b:1", 10'000);
  CHECK(s.failure(2) == Code::lease_lost);
  s.respond(again.request, base::Error{base::ErrorCode::kResourceExhausted, "full", {}});
  s.cut("b:1");
  s.advance(60'000);
  CHECK(s.core.under_way() == 0);
}

TEST_CASE("client: a timeout beyond the end of time means for ever") {
  // Why: milliseconds::max() is what many write for that.
  Script s;
  SessionId session = s.open_session(3'600'000);
  AcquireCall call;
  call.under.session = session;
  call.locks = {locks::LockRequest{"l"}};
  call.timeout = base::Duration{std::numeric_limits<int64_t>::max()};
  s.with([&](Effects& fx) { s.core.acquire(2, call, s.now, fx); });
  s.advance_with("a:1", 1000);
  CHECK(s.count<locks::CancelWait>() == 0);
  CHECK(!s.completed(2));
}

TEST_CASE("client: each acquire is a holder of its own") {
  // Why: two locks objects contend, also within one session.
  Script s;
  SessionId session = s.open_session();
  s.acquire(2, session, std::nullopt);
  base::HolderId first = s.body<locks::Acquire>(s.find<locks::Acquire>()).holder;
  s.acquire(3, session, std::nullopt);
  CHECK(s.body<locks::Acquire>(s.find<locks::Acquire>()).holder != first);
}

TEST_CASE("client: processes that share a bare lease are different holders") {
  // Why: each counted its own acquires from 1, so the second reader under a script's lease was
  // refused as the first one's double.
  std::vector<base::HolderId> holders;
  for (uint64_t seed : {1, 2}) {
    Script s({"a:1"}, 5000, seed);
    AcquireCall call;
    call.under.lease = {500};
    call.locks = {locks::LockRequest{"l"}};
    s.with([&](Effects& fx) { s.core.acquire(1, call, s.now, fx); });
    s.settle_on("a:1");
    holders.push_back(s.body<locks::Acquire>(s.find<locks::Acquire>()).holder);
  }
  CHECK(holders[0] != holders[1]);
}

}  // namespace holdfast::client
