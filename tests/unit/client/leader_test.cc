// Finding the leader, following it, and trying again elsewhere.
#include "tests/unit/client/script.h"

namespace holdfast::client {

namespace {

void read(Script& s) {
  s.with([&](Effects& fx) { s.core.read(1, DescribeRequest{"l"}, s.now, fx); });
}

}  // namespace

TEST_CASE("client: it asks all endpoints at once, and sends to the one that leads") {
  // Why: one endpoint after the other would add a timeout for each that is down.
  Script s;
  read(s);
  CHECK(s.connecting.size() == 3);
  s.accept_all();
  CHECK(s.count<StatusRequest>() == 3);
  s.answer_status("b:1");
  CHECK(s.address_of(s.find<DescribeRequest>().connection) == "b:1");
}

TEST_CASE("client: a refusal with a hint is followed without asking again") {
  // Why: a round trip saved after every change of leaders.
  Script s;
  read(s);
  s.settle_on("a:1");
  s.respond(s.find<DescribeRequest>().request, not_leader("c:1"));
  CHECK(s.address_of(s.find<DescribeRequest>().connection) == "c:1");
}

TEST_CASE("client: two nodes that name each other don't keep it busy") {
  // Why: following hints costs a round trip each; a loop of them would burn a CPU here and there.
  Script s;
  read(s);
  s.settle_on("a:1");
  int hops = 0;
  while (s.count<DescribeRequest>() > 0 && hops < 10) {
    auto sent = s.find<DescribeRequest>();
    s.respond(sent.request, not_leader(s.address_of(sent.connection) == "a:1" ? "b:1" : "a:1"));
    ++hops;
  }
  CHECK(hops <= kMaxHops + 1);
  s.advance(100);
  s.answer_status("b:1");
  CHECK(s.address_of(s.find<DescribeRequest>().connection) == "b:1");
}

TEST_CASE("client: what was under way when a leader died goes to the next with the same number") {
  // Why: exactly once (DESIGN 7a): the first attempt may have been chosen.
  Script s;
  SessionId session = s.open_session();
  s.acquire(2, session, std::nullopt);
  locks::OpId first = s.op(s.find<locks::Acquire>());
  s.cut("a:1");
  CHECK(s.count<locks::Acquire>() == 0);
  s.advance(60);
  s.answer_status("b:1", 2);
  auto again = s.find<locks::Acquire>();
  CHECK(s.address_of(again.connection) == "b:1");
  CHECK(s.op(again).number == first.number);
  CHECK(s.op(again).client == first.client);
  s.grant(900);
  CHECK(std::get<Granted>(s.outcome(2)).tokens.at(0) == base::Token{900});
}

TEST_CASE("client: after the leader's death the others are asked every 20 to 50 ms") {
  // Why: the next acquire must succeed within 300 ms of a kill -9, election included.
  Script s;
  s.open_session();
  s.advance(100);
  s.cut("a:1");
  size_t questions = 0;
  for (int i = 0; i < 10; ++i) {
    questions += s.count<StatusRequest>();
    s.answer_status("");
    s.advance(50);
  }
  CHECK(questions >= 20);  // two nodes, ten times
}

TEST_CASE("client: a leader that falls silent is left for the one that the others know") {
  // Why: a stopped process keeps its connections open; nothing but silence tells.
  Script s;
  SessionId session = s.open_session();
  s.acquire(2, session, std::nullopt);
  s.advance(650);  // patience, then an unanswered question
  s.answer_status("b:1", 2, "a:1");
  CHECK(s.address_of(s.find<locks::Acquire>().connection) == "b:1");
  CHECK(s.count<locks::Acquire>() == 1);
}

TEST_CASE("client: a slow leader that still answers questions keeps what it has") {
  // Why: a slow answer is not a failure; moving to and fro would make it slower.
  Script s;
  SessionId session = s.open_session(60'000);
  s.acquire(2, session, std::nullopt);
  RequestId request = s.find<locks::Acquire>().request;
  s.advance_with("a:1", 5000);
  CHECK(s.find<locks::Acquire>().request == request);
}

TEST_CASE("client: a deposed leader that wakes up is not believed") {
  // Why: a stopped and continued leader thinks that it leads until it hears otherwise.
  Script s;
  SessionId session = s.open_session();
  s.acquire(2, session, std::nullopt);
  s.advance(650);
  s.answer_status("b:1", 2, "a:1");  // a stays silent; b leads in ballot 2
  s.answer_status("a:1", 1);         // a wakes up
  CHECK(s.address_of(s.find<locks::Acquire>().connection) == "b:1");
  s.cut("b:1");
  s.advance(60);
  s.answer_status("a:1", 1);
  CHECK(s.count<locks::Acquire>() == 0);
  s.advance(60);
  s.answer_status("a:1", 3);
  CHECK(s.address_of(s.find<locks::Acquire>().connection) == "a:1");
}

TEST_CASE("client: with no leader in time a request is unavailable, and says whom it tried") {
  // Why: "can't reach the cell" without a name helps nobody.
  Script s({"a:1"}, 1000);
  read(s);
  for (int i = 0; i < 30; ++i) {
    s.refuse("a:1");
    s.advance(50);
  }
  CHECK(s.failure(1) == Code::unavailable);
  CHECK(std::get<Failure>(s.outcome(1)).message.find("a:1: refused") != std::string::npos);
}

TEST_CASE("client: what waits behind something that the leader doesn't answer names that leader") {
  // Why: it waited for a client id, and the message said that the node knows no active leader.
  Script s({"a:1"}, 300);
  s.with([&](Effects& fx) { s.core.close(1, {0, {500}}, s.now, fx); });
  s.accept_all();
  s.answer_status("a:1");
  s.advance(400);
  CHECK(s.failure(1) == Code::unavailable);
  const auto& failure = std::get<Failure>(s.outcome(1));
  CHECK(failure.message == "the leader (a:1) did not answer in time");  // and nothing was done
  CHECK(failure.detail.at(0).second == "a:1");
}

TEST_CASE("client: a leader that is there but doesn't answer in time is a timeout") {
  // Why: lockctl tells the two apart (exit codes 69 and 75).
  Script s({"a:1"}, 1000);
  read(s);
  s.settle_on("a:1");
  s.advance_with("a:1", 1200);
  CHECK(s.failure(1) == Code::timeout);
}

TEST_CASE("client: while all nodes are down it tries less often, but twice a second at least") {
  // Why: a cell that comes back must not be trampled, nor overlooked.
  Script s({"a:1"}, 60'000);
  read(s);
  int attempts = 0;
  for (int i = 0; i < 2000; ++i) {  // 10 s
    attempts += !s.connecting.empty();
    s.refuse("a:1");
    s.advance(5);
  }
  CHECK(attempts >= 18);
  CHECK(attempts <= 60);
}

TEST_CASE("client: questions to a node that never answers are forgotten with its connection") {
  // Why: a stopped node may stay stopped for weeks while the others are down.
  Script s({"a:1"}, 3'600'000);
  read(s);
  for (int minute = 0; minute < 10; ++minute) {
    s.accept_all();
    s.advance(60'000);
  }
  CHECK(s.core.under_way() <= 3);
}

TEST_CASE("client: another cell at the same addresses is none of ours") {
  // Why: ids of leases and clients are counters; in a cell that was founded anew the same numbers
  // are somebody else's, and a renewal of his lease would look like one of ours.
  Script s;
  SessionId session = s.open_session();
  s.acquire(2, session, std::nullopt);
  s.cut("a:1");
  s.advance(60);
  s.cell = 2;
  s.answer_status("b:1", 1);
  CHECK(s.events_of<Lost>() == 1);
  CHECK(s.failure(2) == Code::lease_lost);
  CHECK(s.count<locks::Acquire>() + s.count<locks::CloseLease>() + s.count<RenewRequest>() == 0);
  // It goes on there under a new id.
  s.with([&](Effects& fx) { s.core.open(3, {10'000, {}, true}, s.now, fx); });
  s.respond(s.find<RegisterRequest>().request, locks::Answer(locks::ClientRegistered{{100}}));
  s.respond(s.find<locks::OpenLease>().request,
            locks::Answer(locks::LeaseOpened{{500}, 10'000, "secret"}));
  CHECK(std::holds_alternative<Opened>(s.outcome(3)));
}

TEST_CASE("client: what was sent to another cell has an unknown outcome") {
  // Why: the number means nothing to the new one, and the old one can't be asked any more.
  Script s;
  s.open_session();
  s.with([&](Effects& fx) { s.core.close(2, {0, {700}}, s.now, fx); });
  CHECK(s.count<locks::CloseLease>() == 1);
  s.cut("a:1");
  s.with([&](Effects& fx) { s.core.open(3, {10'000, {}, true}, s.now, fx); });  // not sent yet
  s.advance(60);
  s.cell = 2;
  s.answer_status("b:1", 1);
  CHECK(s.failure(2) == Code::unavailable);
  s.respond(s.find<RegisterRequest>().request, locks::Answer(locks::ClientRegistered{{7}}));
  CHECK(s.op(s.find<locks::OpenLease>()).client == base::ClientId{7});
}

TEST_CASE("client: nothing to do, nothing sent") {
  // Why: thousands of idle clients must not poll a cell.
  Script s;
  read(s);
  s.settle_on("a:1");
  s.respond(s.find<DescribeRequest>().request, LockInfo{});
  s.cut("a:1");
  s.advance(10'000);
  CHECK(s.sent.empty());
  CHECK(s.connecting.empty());
}

}  // namespace holdfast::client
