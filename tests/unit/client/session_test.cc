// Sessions: the arithmetic of deadlines, renewals in one call, jeopardy, loss.
#include "bindings/cpp/src/lease_time.h"
#include "tests/unit/client/script.h"

namespace holdfast::client {

using base::Duration;
using base::Instant;

namespace {

RenewResponse alive(size_t leases) {
  return {std::vector<bool>(leases, true)};
}

}  // namespace

TEST_CASE("client: a deadline is 98 percent of the ttl after the sending, rounded down") {
  // Why: (1 - 2ε) with ε = 1 %. A nanosecond too many is a broken promise.
  CHECK(local_deadline(Instant{1000}, Duration{100}) == Instant{1098});
  CHECK(local_deadline(Instant{0}, Duration{1}) == Instant{0});
  CHECK(local_deadline(Instant{0}, Duration{99}) == Instant{97});  // 97.02
  CHECK(certain_for(Duration::from_ms(24ll * 3600 * 1000)) == Duration::from_ms(24ll * 3600 * 980));
}

TEST_CASE("client: an open's deadline counts from the first attempt") {
  // Why: a retry gets the first one's answer, and the lease runs from the first one's arrival.
  Script s;
  s.with([&](Effects& fx) { s.core.open(1, {10'000, {}, true}, s.now, fx); });
  s.settle_on("a:1");
  Instant begin = s.now;
  s.advance(300);
  s.fail_over();
  s.advance(100);
  s.respond(s.find<locks::OpenLease>().request,
            locks::Answer(locks::LeaseOpened{{500}, 10'000, "secret"}));
  CHECK(std::get<Opened>(s.outcome(1)).deadline == begin + Duration::from_ms(9800));
}

TEST_CASE("client: a renewal's deadline counts from the attempt that was answered") {
  // Why: an earlier attempt may never have arrived.
  Script s;
  SessionId session = s.open_session();
  s.advance(3400);
  s.find<RenewRequest>();  // the first attempt, sent at a third of the ttl
  s.cut("a:1");
  s.advance(60);
  s.answer_status("b:1", 2);
  Instant sent = s.now;
  s.advance(200);
  s.respond(s.find<RenewRequest>().request, alive(1));
  CHECK(s.core.session(session)->deadline == sent + Duration::from_ms(9800));
}

TEST_CASE("client: one call renews all leases that are due or soon will be") {
  // Why: a process with many sessions must not cost the cell a call for each.
  Script s;
  for (Ref ref = 1; ref <= 20; ++ref) {
    s.open_session(10'000, 500 + ref, ref);
    s.advance(10);
  }
  s.advance(3300);
  CHECK(s.count<RenewRequest>() == 1);
  auto renewal = s.find<RenewRequest>();
  CHECK(std::get<RenewRequest>(renewal.body).leases.size() == 20);
  s.respond(renewal.request, alive(20));
  CHECK(s.events_of<DeadlineMoved>() == 20);
  s.advance(1000);
  CHECK(s.count<RenewRequest>() == 0);
}

TEST_CASE("client: all sessions can be renewed by one call before they are due") {
  // Why: whoever is about to be busy, or measures, needn't make a call for each.
  Script s;
  for (Ref ref = 1; ref <= 3; ++ref) s.open_session(10'000, 500 + ref, ref);
  s.advance(1000);
  s.with([&](Effects& fx) { s.core.renew_sessions(9, s.now, fx); });
  auto renewal = s.find<RenewRequest>();
  CHECK(std::get<RenewRequest>(renewal.body).leases.size() == 3);
  s.respond(renewal.request, {RenewResponse{{true, false, true}}});
  CHECK(std::holds_alternative<Renewed>(s.outcome(9)));
  CHECK(s.events_of<DeadlineMoved>() == 2);
  CHECK(s.events_of<Lost>() == 1);
}

TEST_CASE("client: with no network a session is in jeopardy, then lost at its local deadline") {
  // Why: past the deadline the cell may have given the lock to another (DESIGN 2.4).
  Script s;
  SessionId session = s.open_session();
  s.acquire(2, session, std::nullopt);
  s.cut("a:1");
  s.advance(6600);
  CHECK(s.events_of<Jeopardy>() == 0);
  s.advance(100);
  CHECK(s.events_of<Jeopardy>() == 1);
  s.advance(3099);
  CHECK(s.events_of<Lost>() == 0);
  CHECK(!s.completed(2));
  s.advance(1);  // 9.8 s
  CHECK(s.events_of<Lost>() == 1);
  CHECK(s.failure(2) == Code::lease_lost);
  s.advance(60'000);
  CHECK(s.events_of<Lost>() == 1);
}

TEST_CASE("client: a lost lease that may still live is closed, so that others needn't wait") {
  // Why: the cell counts from its own, later instants.
  Script s;
  s.open_session();
  s.cut("a:1");
  s.advance_with("", 9900);
  s.advance(60);
  s.answer_status("b:1", 2);
  CHECK(s.body<locks::CloseLease>(s.find<locks::CloseLease>()).lease == base::LeaseId{500});
}

TEST_CASE("client: a lease that the cell says is gone is lost at once") {
  // Why: an administrator may have ended it; waiting for the deadline would be pretending.
  Script s;
  SessionId session = s.open_session();
  s.acquire(2, session, std::nullopt);
  s.advance_with("a:1", 3400);
  s.respond(s.find<RenewRequest>().request, RenewResponse{{false}});
  CHECK(s.events_of<Lost>() == 1);
  CHECK(s.failure(2) == Code::lease_lost);
  CHECK(s.count<locks::CloseLease>() == 0);  // there is nothing to close
}

TEST_CASE("client: a renewal answered after the local deadline doesn't bring the session back") {
  // Why: on_lost was told; whoever heard it has stopped.
  Script s;
  s.open_session();
  s.advance(3400);
  auto renewal = s.find<RenewRequest>();
  s.advance_with("a:1", 7000);
  CHECK(s.events_of<Lost>() == 1);
  s.respond(renewal.request, alive(1));
  CHECK(s.events_of<DeadlineMoved>() == 0);
}

TEST_CASE("client: after a stop past the deadline a waiting answer is too late, whatever it is") {
  // Why: the process was stopped or the machine slept; held() has said no in between, and on_lost
  // must not depend on whether the timer or the socket is looked at first.
  Script s;
  SessionId session = s.open_session();
  s.acquire(2, session, std::nullopt);
  s.advance_with("a:1", 3400);
  auto renewal = s.find<RenewRequest>();
  s.now = s.now + Duration::from_ms(7000);  // no timer has run
  SUBCASE("a renewal") {
    s.respond(renewal.request, alive(1));
    CHECK(s.events_of<DeadlineMoved>() == 0);
  }
  SUBCASE("a grant") {
    s.grant(900);
  }
  CHECK(s.events_of<Lost>() == 1);
  CHECK(s.failure(2) == Code::lease_lost);
}

TEST_CASE("client: jeopardy is told anew after every good renewal") {
  // Why: "safe again" is told by nothing else; the next danger is news.
  Script s;
  s.open_session();
  for (size_t round = 1; round <= 2; ++round) {
    s.advance_with("a:1", 7000);
    CHECK(s.events_of<Jeopardy>() == round);
    s.respond(s.find<RenewRequest>().request, alive(1));
  }
  CHECK(s.events_of<Lost>() == 0);
}

TEST_CASE("client: a release that meets a lease that is gone says that the lock was lost") {
  // Why: whoever released may have worked without the lock for a while, and must hear it.
  Script s;
  SessionId session = s.open_session();
  s.release(2, session, 900);
  s.respond(s.find<locks::Release>().request,
            locks::Answer(base::Error{base::ErrorCode::kLeaseNotFound, "gone", {}}));
  CHECK(s.failure(2) == Code::lock_lost);
  CHECK(s.events_of<Lost>() == 1);
}

TEST_CASE("client: closing waits for the answer, ends what waits, and is no loss") {
  // Why: when close() returns, others can have the locks.
  Script s;
  SessionId session = s.open_session();
  s.acquire(2, session, std::nullopt);
  s.with([&](Effects& fx) { s.core.close(3, {session, {}}, s.now, fx); });
  CHECK(s.failure(2) == Code::lease_lost);
  CHECK(s.events_of<Closed>() == 1);
  CHECK(!s.completed(3));
  s.respond(s.find<locks::CloseLease>().request, locks::Answer(locks::Done{{1}}));
  CHECK(std::holds_alternative<Done>(s.outcome(3)));
  s.with([&](Effects& fx) { s.core.close(4, {session, {}}, s.now, fx); });
  CHECK(std::holds_alternative<Done>(s.outcome(4)));
  CHECK(s.events_of<Lost>() == 0);
}

TEST_CASE("client: a lease that was opened after its caller had given up is closed again") {
  // Why: nobody would renew it, and nobody knows of it.
  Script s({"a:1"}, 1000);
  s.with([&](Effects& fx) { s.core.open(1, {10'000, {}, true}, s.now, fx); });
  s.settle_on("a:1");
  auto open = s.find<locks::OpenLease>();
  s.advance_with("a:1", 1200);
  CHECK(s.failure(1) == Code::unavailable);
  s.respond(open.request, locks::Answer(locks::LeaseOpened{{500}, 10'000, "secret"}));
  s.find<locks::CloseLease>();
}

TEST_CASE("client: at the end its sessions are closed and its record is given up") {
  // Why: a record that nobody uses takes room for an hour.
  Script s;
  s.open_session();
  s.with([&](Effects& fx) { s.core.shut_down(s.now, fx); });
  CHECK(!s.shut_down);
  s.respond(s.find<locks::CloseLease>().request, locks::Answer(locks::Done{{1}}));
  s.respond(s.find<locks::ForgetClient>().request, locks::Answer(locks::Done{{2}}));
  CHECK(s.shut_down);
}

TEST_CASE("client: at the end waits are told as when their session is closed by itself") {
  // Why: whoever waits in a queue of this process hears of it by the event alone.
  Script s;
  SessionId session = s.open_session();
  s.acquire(2, session, std::nullopt);
  s.with([&](Effects& fx) { s.core.shut_down(s.now, fx); });
  CHECK(s.failure(2) == Code::lease_lost);
  CHECK(s.events_of<Closed>() == 1);
  CHECK(s.events_of<Lost>() == 0);
}

TEST_CASE("client: the end comes within about a second even if nobody answers") {
  // Why: a program must be able to exit while the cell is down.
  Script s;
  s.open_session();
  s.with([&](Effects& fx) { s.core.shut_down(s.now, fx); });
  s.advance(1000);
  CHECK(s.shut_down);
}

}  // namespace holdfast::client
