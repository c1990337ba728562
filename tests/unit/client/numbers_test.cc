// Exactly once, the client's half (DESIGN 7a): numbers, what was answered, unknown clients.
#include "tests/unit/client/script.h"

namespace holdfast::client {

namespace {

base::Error full() {
  return {base::ErrorCode::kResourceExhausted, "full", {{"limit", "MaxX"}}};
}
base::Error unknown_client() {
  return {base::ErrorCode::kUnknownClient, "who?", {}};
}

}  // namespace

TEST_CASE("client: numbers grow, and everything below the lowest unanswered is answered") {
  // Why: that is what lets the cell forget answers.
  Script s;
  SessionId session = s.open_session();
  s.acquire(2, session, std::nullopt);
  CHECK(s.op(s.find<locks::Acquire>()).number == 2);  // the open was 1
  CHECK(s.op(s.find<locks::Acquire>()).lowest_unanswered == 2);
  s.grant(900);
  s.release(3, session, 900);
  CHECK(s.op(s.find<locks::Release>()).number == 3);
  CHECK(s.op(s.find<locks::Release>()).lowest_unanswered == 3);
  CHECK(s.op(s.find<locks::Release>()).answered.empty());
}

TEST_CASE("client: an answer above a wait is told once, in the next command") {
  // Why: the cell keeps each answer until it is told; a wait of hours must not pile them up.
  Script s;
  SessionId session = s.open_session();
  s.acquire(2, session, std::nullopt, "waits");  // number 2
  s.acquire(3, session, std::nullopt);           // number 3
  s.grant(900);
  s.release(4, session, 900);  // number 4
  auto told = s.find<locks::Release>();
  CHECK(s.op(told).lowest_unanswered == 2);
  CHECK(s.op(told).answered == std::vector<uint64_t>{3});
  s.respond(told.request, locks::Answer(locks::Done{{901}}));
  s.acquire(5, session, std::nullopt);
  CHECK(s.op(s.find<locks::Acquire>()).answered == std::vector<uint64_t>{4});
}

TEST_CASE("client: what a refused command told is told again") {
  // Why: a refusal outside the log means that nobody took note of what the command carried.
  Script s;
  SessionId session = s.open_session();
  s.acquire(2, session, std::nullopt, "waits");
  s.acquire(3, session, std::nullopt);
  s.grant(900);
  s.acquire(4, session, std::nullopt, "refused");
  s.respond(s.find<locks::Acquire>().request,
            base::Error{base::ErrorCode::kInvalidArgument, "no", {}});
  CHECK(s.failure(4) == Code::invalid_argument);
  s.release(5, session, 900);
  auto answered = s.op(s.find<locks::Release>()).answered;
  CHECK(std::count(answered.begin(), answered.end(), 3) == 1);
}

TEST_CASE("client: tries that fail beside a long wait don't pile up numbers to tell") {
  // Why: whoever polls with try_acquire() for a night must not send, or keep, a night's numbers.
  Script s;
  SessionId session = s.open_session();
  s.acquire(2, session, std::nullopt, "waits");
  for (Ref ref = 3; ref < 100; ++ref) {
    s.acquire(ref, session, 0);
    auto sent = s.find<locks::Acquire>();
    CHECK(s.op(sent).answered.size() <= 1);
    s.respond(sent.request, locks::Answer(base::Error{base::ErrorCode::kWouldBlock, "held", {}}));
  }
}

TEST_CASE("client: what an operation told that was given up unanswered is told again") {
  // Why: it may never have arrived; the cell would keep those answers beside a long wait for ever,
  // and in the end refuse this client.
  Script s({"a:1"}, 1000);
  SessionId session = s.open_session(60'000);
  s.acquire(2, session, std::nullopt, "waits");
  s.acquire(3, session, std::nullopt);  // number 3
  s.grant(900);
  s.with([&](Effects& fx) { s.core.close(4, {0, {700}}, s.now, fx); });  // tells of it
  CHECK(s.op(s.find<locks::CloseLease>()).answered == std::vector<uint64_t>{3});
  s.advance_with("a:1", 1000);
  CHECK(s.failure(4) == Code::unavailable);
  s.release(5, session, 900);
  auto answered = s.op(s.find<locks::Release>()).answered;
  CHECK(std::count(answered.begin(), answered.end(), 3) == 1);
}

TEST_CASE("client: waits in the queue leave less room for what else is under way") {
  // Why: the cell keeps 1024 records for a client, the waiting ones among them, and refuses what is
  // above that as if the caller had asked for too much.
  Script s({"a:1"}, 60'000);
  SessionId session = s.open_session();
  constexpr size_t kWaits = 900;
  for (Ref ref = 2; ref < 2 + kWaits; ++ref) s.acquire(ref, session, std::nullopt);
  for (Ref ref = 2000; ref < 2600; ++ref) s.acquire(ref, session, 0);
  CHECK(s.count<locks::Acquire>() < base::kMaxAnswersPerClient);
  // Giving back must always go on; the cell has room of its own for that.
  s.release(5000, session, 900);
  CHECK(s.count<locks::Release>() == 1);
}

TEST_CASE("client: a first attempt that meets an unknown client is sent again under a new id") {
  // Why: a client that was idle for an hour is forgotten; refused first attempts had no effect.
  Script s;
  SessionId session = s.open_session();
  s.acquire(2, session, std::nullopt);
  s.respond(s.find<locks::Acquire>().request, unknown_client());
  s.respond(s.find<RegisterRequest>().request, locks::Answer(locks::ClientRegistered{{200}}));
  CHECK(s.op(s.find<locks::Acquire>()).client == base::ClientId{200});
  s.grant(900);
  CHECK(std::holds_alternative<Granted>(s.outcome(2)));
}

TEST_CASE("client: a repeated acquire that meets an unknown client has an unknown outcome") {
  // Why: the first attempt may have been granted before the client was forgotten.
  Script s;
  SessionId session = s.open_session();
  s.acquire(2, session, std::nullopt);
  s.fail_over();
  s.respond(s.find<locks::Acquire>().request, unknown_client());
  CHECK(s.failure(2) == Code::unavailable);
  CHECK(s.core.session(session)->alive);  // sessions are lost by their own deadline only
}

TEST_CASE("client: a limit that refuses a first and only attempt is final") {
  // Why: "reaching a limit is a clear error to the one who reached it" (DESIGN 2.10).
  Script s;
  SessionId session = s.open_session();
  s.acquire(2, session, std::nullopt);
  s.respond(s.find<locks::Acquire>().request, full());
  CHECK(s.failure(2) == Code::resource_exhausted);
}

TEST_CASE("client: a second attempt that a limit refuses is settled before that is said") {
  // Why: of two copies one may be refused while the other is being chosen (DESIGN 7a).
  Script s;
  SessionId session = s.open_session();
  s.acquire(3, session, std::nullopt);
  uint64_t number = s.op(s.find<locks::Acquire>()).number;
  s.fail_over();
  s.respond(s.find<locks::Acquire>().request, full());
  CHECK(!s.completed(3));
  auto cancel = s.find<locks::CancelWait>();
  CHECK(s.body<locks::CancelWait>(cancel).target == number);
  SUBCASE("the first was not chosen") {
    s.respond(cancel.request, locks::Answer(locks::WaitCancelled{}));
    CHECK(s.failure(3) == Code::resource_exhausted);
  }
  SUBCASE("the first was granted") {
    s.respond(cancel.request, locks::Answer(locks::Granted{{{900}}}));
    CHECK(std::get<Granted>(s.outcome(3)).tokens.at(0) == base::Token{900});
  }
}

TEST_CASE("client: a release that a limit refuses tries again") {
  // Why: giving back is what makes room.
  Script s;
  SessionId session = s.open_session();
  s.release(2, session, 900);
  s.respond(s.find<locks::Release>().request, full());
  CHECK(!s.completed(2));
  s.advance(100);
  s.respond(s.find<locks::Release>().request, locks::Answer(locks::Done{{1}}));
  CHECK(std::holds_alternative<Done>(s.outcome(2)));
}

TEST_CASE("client: no more operations are under way than the cell keeps answers for") {
  // Why: the cell refuses a client with 1024 answers that it hasn't heard to have arrived.
  Script s({"a:1"}, 60'000);
  SessionId session = s.open_session();
  for (Ref ref = 2; ref < 1202; ++ref) s.release(ref, session, ref);
  CHECK(s.count<locks::Release>() == kMaxUnderWay);
  while (s.count<locks::Release>() > 0) {
    s.respond(s.find<locks::Release>().request, locks::Answer(locks::Done{{1}}));
  }
  CHECK(s.completed(1201));
}

}  // namespace holdfast::client
