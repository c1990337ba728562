// Several locks at once, and a hold that gets another mode: what becomes of tokens when answers are
// late or never come.
#include "tests/unit/client/script.h"

using namespace holdfast;
using namespace holdfast::client;

namespace {

Core::AcquireId convert(Script& s, Ref ref, SessionId session, std::optional<int64_t> timeout_ms) {
  ConvertCall call{session, {}, "l", {900}, base::Mode::kExclusive, {}};
  if (timeout_ms) call.timeout = base::Duration::from_ms(*timeout_ms);
  return s.with([&](Effects& fx) { return s.core.convert(ref, call, s.now, fx); });
}

void acquire_all(Script& s, Ref ref, SessionId session, int64_t timeout_ms, uint64_t agent = 0) {
  AcquireCall call;
  call.under.session = session;
  call.agent = {agent};
  call.locks = {locks::LockRequest{"x"}, locks::LockRequest{"y"}};
  call.timeout = base::Duration::from_ms(timeout_ms);
  s.with([&](Effects& fx) { return s.core.acquire(ref, call, s.now, fx); });
}

uint64_t token_of(const Outcome& outcome) {
  const auto* granted = std::get_if<Granted>(&outcome);
  REQUIRE(granted != nullptr);
  return granted->tokens.at(0).value;
}

}  // namespace

TEST_CASE("client: an upgrade's answer brings the new token") {
  Script s;
  SessionId session = s.open_session();
  convert(s, 2, session, std::nullopt);
  const auto sent = s.find<locks::Convert>();
  CHECK(s.body<locks::Convert>(sent).token == base::Token{900});
  CHECK(s.body<locks::Convert>(sent).wait);
  s.respond(sent.request, locks::Answer(locks::Granted{{{950}}}));
  CHECK(token_of(s.outcome(2)) == 950);
}

TEST_CASE("client: an upgrade that came together with its timeout is told as what it is") {
  // Why: the old token is good for nothing any more.
  Script s;
  SessionId session = s.open_session();
  convert(s, 2, session, 100);
  s.advance(100);
  CHECK_FALSE(s.completed(2));
  const auto cancel = s.find<locks::CancelWait>();
  SUBCASE("it was granted") {
    s.respond(cancel.request, locks::Answer(locks::Granted{{{950}}}));
    CHECK(token_of(s.outcome(2)) == 950);
    CHECK(s.count<locks::Release>() == 0);
  }
  SUBCASE("it left the queue") {
    s.respond(cancel.request, locks::Answer(locks::WaitCancelled{}));
    CHECK(std::holds_alternative<NotAcquired>(s.outcome(2)));
  }
}

TEST_CASE("client: an upgrade of unknown outcome is settled before its caller is told anything") {
  // Why: a hold whose token nobody knows could not be released while its session lives.
  Script s;
  SessionId session = s.open_session(20'000);
  convert(s, 2, session, 100);
  s.cut("a:1");
  s.advance(2'500);
  CHECK_FALSE(s.completed(2));
  SUBCASE("a leader comes") {
    s.answer_status("b:1", 2);
    CHECK(s.count<locks::Convert>() == 0);  // it is settled, not sent again
    s.respond(s.find<locks::CancelWait>().request, locks::Answer(locks::Granted{{{950}}}));
    CHECK(token_of(s.outcome(2)) == 950);
  }
  SUBCASE("none comes while the session lives") {
    s.advance(20'000);
    CHECK(s.failure(2) == Code::lease_lost);
  }
}

TEST_CASE("client: an upgrade that is cancelled leaves the hold as it is") {
  Script s;
  SessionId session = s.open_session();
  const auto id = convert(s, 2, session, std::nullopt);
  s.with([&](Effects& fx) { s.core.cancel(id, s.now, fx); });
  s.respond(s.find<locks::CancelWait>().request, locks::Answer(locks::WaitCancelled{}));
  CHECK(s.failure(2) == Code::cancelled);
}

TEST_CASE("client: an upgrade of a hold that isn't there any more says that it was lost") {
  Script s;
  SessionId session = s.open_session();
  convert(s, 2, session, std::nullopt);
  s.respond(s.find<locks::Convert>().request,
            locks::Answer(base::Error{base::ErrorCode::kNotHeld, "not held", {}}));
  CHECK(s.failure(2) == Code::lock_lost);
}

TEST_CASE("client: of several locks all are given back before the no") {
  Script s;
  SessionId session = s.open_session();
  acquire_all(s, 2, session, 100);
  s.advance(100);
  s.respond(s.find<locks::CancelWait>().request, locks::Answer(locks::Granted{{{900}, {901}}}));
  CHECK(s.count<locks::Release>() == 2);
  const auto last = s.find<locks::Release>();
  CHECK(s.body<locks::Release>(last).lock == "y");
  CHECK(s.body<locks::Release>(last).token == base::Token{901});
  CHECK_FALSE(s.completed(2));
  s.respond(last.request, locks::Answer(locks::Done{{903}}));
  CHECK(std::holds_alternative<NotAcquired>(s.outcome(2)));
}

TEST_CASE("client: an answer with a token too few is no grant") {
  Script s;
  SessionId session = s.open_session();
  acquire_all(s, 2, session, 1000);
  s.respond(s.find<locks::Acquire>().request, locks::Answer(locks::Granted{{{900}}}));
  CHECK(s.failure(2) == Code::internal);
}

TEST_CASE("client: an agent asks for nothing while it may hold what it was not told of") {
  // Why: the cell would see it hold "x" and "y", and perhaps a cycle through them.
  Script s;
  SessionId session = s.open_session(60'000);
  acquire_all(s, 2, session, 1000, 7);
  s.cut("a:1");
  s.advance(2000);
  CHECK(s.failure(2) == Code::unavailable);
  s.answer_status("b:1", 2);
  for (const uint64_t agent : {7, 8}) {
    AcquireCall call;
    call.under.session = session;
    call.agent = {agent};
    call.locks = {locks::LockRequest{"other"}};
    s.with([&](Effects& fx) { return s.core.acquire(10 + agent, call, s.now, fx); });
  }
  CHECK(s.count<locks::Acquire>() == 1);
  CHECK(s.body<locks::Acquire>(s.find<locks::Acquire>()).agent == base::AgentId{8});
  s.respond(s.find<locks::CancelWait>().request, locks::Answer(locks::WaitCancelled{}));
  CHECK(s.count<locks::Acquire>() == 2);
}

TEST_CASE("client: what a holder says of itself is sent again until it is answered") {
  Script s;
  SessionId session = s.open_session();
  s.with([&](Effects& fx) { s.core.set_value(2, {session, "e", {900}, "host:1"}, s.now, fx); });
  const uint64_t number = s.op(s.find<locks::SetHoldValue>()).number;
  s.fail_over();
  const auto again = s.find<locks::SetHoldValue>();
  CHECK(s.op(again).number == number);
  CHECK(s.body<locks::SetHoldValue>(again).value == "host:1");
  s.respond(again.request, locks::Answer(locks::Done{{901}}));
  CHECK(std::holds_alternative<Done>(s.outcome(2)));
}
