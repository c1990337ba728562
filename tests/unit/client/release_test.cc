// Releasing: what was to be given back is given back, however long that takes.
#include "tests/unit/client/script.h"

namespace holdfast::client {

TEST_CASE("client: a release that couldn't be sent in time is settled behind its caller's back") {
  // Why: the session is renewed as soon as there is a leader, and would keep the lock for ever.
  // Found by the simulator, seed 14.
  Script s;
  SessionId session = s.open_session(60'000);
  s.acquire(2, session, std::nullopt);
  s.grant(900);
  s.cut("a:1");
  s.release(3, session, 900);
  s.advance_with("", 5000);
  CHECK(s.failure(3) == Code::unavailable);
  SUBCASE("a leader is found") {
    s.advance(60);
    s.answer_status("b:1", 2);
    auto release = s.find<locks::Release>();
    CHECK(s.body<locks::Release>(release).token == base::Token{900});
    s.respond(release.request, locks::Answer(locks::Done{{901}}));
  }
  SUBCASE("none is found, until the session is lost") {
    s.advance_with("", 60'000);
    CHECK(s.events_of<Lost>() == 1);
    s.advance_with("", 62'000);
  }
  CHECK(s.core.under_way() == 0);
}

TEST_CASE("client: a late grant is given back although its caller was told of no leader") {
  // Why: the caller doesn't know that it holds the lock, so nobody else would release it.
  Script s;
  SessionId session = s.open_session(60'000);
  s.acquire(2, session, 100);
  s.advance(100);
  auto cancel = s.find<locks::CancelWait>();
  s.advance(700);  // nothing is heard of node a, which isn't taken for the leader any more
  s.respond(cancel.request, locks::Answer(locks::Granted{{{900}}}));
  s.advance(300);
  CHECK(s.failure(2) == Code::unavailable);
  CHECK(s.count<locks::Release>() == 0);
  s.answer_status("b:1", 2);
  CHECK(s.body<locks::Release>(s.find<locks::Release>()).token == base::Token{900});
}

TEST_CASE("client: a session whose close couldn't be sent in time is closed behind that") {
  // Why: others needn't wait for its locks until its time is up.
  Script s;
  SessionId session = s.open_session(60'000);
  s.cut("a:1");
  s.with([&](Effects& fx) { s.core.close(2, {session, {}}, s.now, fx); });
  s.advance_with("", 5000);
  CHECK(s.failure(2) == Code::unavailable);
  SUBCASE("a leader is found") {
    s.advance(60);
    s.answer_status("b:1", 2);
    s.respond(s.find<locks::CloseLease>().request, locks::Answer(locks::Done{{901}}));
  }
  SUBCASE("none is found before its time is up") {
    s.advance_with("", 62'000);
  }
  CHECK(s.core.under_way() == 0);
}

TEST_CASE("client: a release that its session's close overtakes has done what it was to do") {
  // Why: nobody lost anything. Found by the simulator, seed 203.
  Script s({"a:1", "b:1"}, 20'000);
  SessionId session = s.open_session(10'000);
  s.acquire(2, session, std::nullopt);
  s.grant(900);
  s.release(3, session, 900);
  s.cut("a:1");
  s.with([&](Effects& fx) { s.core.close(4, {session, {}}, s.now, fx); });
  int64_t later_ms = 0;
  SUBCASE("in time") {
    later_ms = 1000;
  }
  SUBCASE("or so late that the lease may have ended by itself before") {
    later_ms = 10'000;
  }
  s.advance_with("", later_ms);
  s.advance(60);
  s.answer_status("b:1", 2);
  base::Error gone{base::ErrorCode::kLeaseNotFound, "it expired or was closed", {}};
  s.respond(s.find<locks::Release>().request, locks::Answer(gone));
  if (later_ms < 9'800) {
    CHECK(std::holds_alternative<Done>(s.outcome(3)));
  } else {
    CHECK(s.failure(3) == Code::lock_lost);
  }
}

}  // namespace holdfast::client
