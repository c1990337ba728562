// P7 and the elections around it.
#include <doctest/doctest.h>

#include "tests/unit/paxos/cell.h"

using namespace holdfast;
using namespace holdfast::paxos;
using namespace holdfast::paxos::test;
using base::Ballot;
using base::Confirm;
using base::NodeId;
using base::Slot;

namespace {

// Time goes on in small steps, with everything delivered and flushed.
void live(Cell& cell, int64_t ms) {
  for (int64_t i = 0; i < ms; i += 5) {
    cell.pass(5);
    cell.tick_due();
    cell.settle();
  }
}

}  // namespace

TEST_CASE("paxos: a node that was cut off can't unseat a working leader by coming back") {
  // P7. Its timer ran out while it was alone, again and again; without probing its higher ballot
  // would end the leadership of a leader that everybody else hears.
  Cell cell(3);
  cell.elect(1);
  const Ballot ballot = cell[1].ballot();
  cell.cut(1, 3);
  cell.cut(2, 3);
  live(cell, 5000);
  CHECK(cell[3].role() == Role::kProbing);
  CHECK(cell[1].role() == Role::kLeader);
  cell.link(2, 3);  // it reaches a follower, which hears the leader
  live(cell, 3000);
  CHECK(cell[1].ballot() == ballot);
  CHECK(cell[3].promised() <= ballot);
  cell.link(1, 3);
  live(cell, 1000);
  CHECK(cell[3].role() == Role::kFollower);
  CHECK(cell[3].leader() == NodeId{1});
  CHECK(cell[1].ballot() == ballot);
}

TEST_CASE("paxos: a leader and whoever hears it say no to a probe") {
  Cell cell(3);
  cell.elect(1);
  cell.say(3, 2, Probe{Ballot{50, NodeId{3}}});
  cell.say(3, 1, Probe{Ballot{50, NodeId{3}}});
  REQUIRE(cell.count<ProbeReply>() == 2);
  CHECK_FALSE(cell.find<ProbeReply>(2, 3)->yes);
  CHECK_FALSE(cell.find<ProbeReply>(1, 3)->yes);
  cell.drop_if(everything);
  cell.pass(501);  // an election timeout without a word
  cell.say(3, 2, Probe{Ballot{50, NodeId{3}}});
  CHECK(cell.find<ProbeReply>(2, 3)->yes);
}

TEST_CASE("paxos: asking promises nothing") {
  // A probe must not be able to disturb: only Prepare raises a promise.
  Cell cell(3);
  const Ballot before = cell[2].promised();
  cell.say(3, 2, Probe{Ballot{50, NodeId{3}}});
  CHECK(cell[2].promised() == before);
  CHECK(cell.node(2).disk.pending.empty());
}

TEST_CASE("paxos: a leader whose link closes is replaced in a fraction of the election timeout") {
  // P7: a crashed process closes its connections. Waiting out the timeout would only cost time.
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Cell cell(3, Cell::Start::kFounded, seed);
    cell.elect(1);
    cell.crash(1);
    CHECK(cell[2].leader() == NodeId{});
    int64_t waited = 0;
    for (; cell.leader() == 0 && waited < 1000; waited += 5) live(cell, 5);
    CHECK(waited <= 200);
  }
}

TEST_CASE("paxos: a leader that falls silent is replaced within two election timeouts or so") {
  // SIGSTOP: its links stay open.
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Cell cell(3, Cell::Start::kFounded, seed);
    cell.elect(1);
    live(cell, 100);
    int64_t waited = 0;
    for (; cell.leader() <= 1 && waited < 3000; waited += 5) {
      cell.pass(5);
      for (uint64_t id : {2, 3}) {
        if (cell[id].next_tick() <= cell.now()) cell.tick(id);
      }
      cell.drop_if([](const Envelope& e) { return e.to == 1; });
      cell.settle();
      if (cell[2].role() == Role::kLeader || cell[3].role() == Role::kLeader) break;
    }
    CHECK(waited >= 400);
    CHECK(waited <= 1150);
  }
}

TEST_CASE("paxos: a fresh promise deserves the patience that a leader gets") {
  // Else two candidates could go on outbidding each other.
  Cell cell(5);
  cell.pass(2000);
  cell.say(1, 2, Prepare{Ballot{5, NodeId{1}}, Slot{1}});
  cell.say(3, 2, Probe{Ballot{6, NodeId{3}}});
  CHECK_FALSE(cell.find<ProbeReply>(2, 3)->yes);
  cell.cut(1, 2);  // but not if the candidate is gone
  cell.say(3, 2, Probe{Ballot{6, NodeId{3}}});
  size_t yes = 0;
  for (const Envelope& envelope : cell.mail) {
    if (const auto* reply = std::get_if<ProbeReply>(&envelope.message)) yes += reply->yes;
  }
  CHECK(yes == 1);
}

TEST_CASE("paxos: five nodes that start together soon have one leader") {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Cell cell(5, Cell::Start::kFounded, seed);
    live(cell, 1500);
    REQUIRE(cell.leader() != 0);
    size_t followers = 0;
    for (uint64_t id = 1; id <= 5; ++id) {
      followers += cell[id].leader() == NodeId{cell.leader()};
    }
    CHECK(followers == 5);
  }
}

TEST_CASE("paxos: a candidate that gets no quorum asks again from the start") {
  Cell cell(3);
  cell.ask_to_lead(1);
  cell.deliver_if(is<Probe>());
  cell.deliver_if(is<ProbeReply>());
  cell.flush(1);
  REQUIRE(cell[1].role() == Role::kCandidate);
  for (int i = 0; i < 6; ++i) {
    cell.drop_if(everything);
    cell.pass(90);
    cell.tick(1);
  }
  CHECK(cell[1].role() == Role::kProbing);
}

TEST_CASE("paxos: a lost Prepare is sent again, to those who have not answered") {
  Cell cell(5);
  cell.ask_to_lead(1);
  cell.deliver_if(is<Probe>());
  cell.deliver_if(is<ProbeReply>());
  cell.flush(1);
  cell.deliver_if(is<Prepare>(1, 2));
  cell.flush(2);
  cell.deliver_if(is<Promise>());
  cell.drop_if(is<Prepare>());
  cell.pass(101);
  cell.tick(1);
  CHECK(cell.count<Prepare>(1, 2) == 0);
  CHECK(cell.count<Prepare>(1) == 3);
}

TEST_CASE("paxos: a node whose disk stalls doesn't ask to lead") {
  Cell cell(3);
  const Ballot ballot{4, NodeId{2}};
  cell.say(2, 1, Accept{ballot, {entry(1, ballot, "x")}, Slot{}, Confirm{1}});
  for (int i = 0; i < 300; ++i) {  // its write never ends
    cell.pass(10);
    cell.tick(1);
  }
  CHECK(cell[1].role() == Role::kFollower);
  cell.flush(1);
  cell.pass(60);
  cell.tick(1);
  CHECK(cell[1].role() == Role::kProbing);
}

TEST_CASE("paxos: a node whose disk stalls would not promise, and says so") {
  // P7: its promise would not be durable in time. A yes would cost a ballot, and the candidate an
  // election timeout.
  Cell cell(3);
  const Ballot ballot{4, NodeId{2}};
  cell.say(2, 1, Accept{ballot, {entry(1, ballot, "x")}, Slot{}, Confirm{1}});
  for (int i = 0; i < 13; ++i) {
    cell.pass(50);
    cell.tick(1);
  }
  cell.say(3, 1, Probe{Ballot{5, NodeId{3}}});
  REQUIRE(cell.find<ProbeReply>(1, 3) != nullptr);
  CHECK_FALSE(cell.find<ProbeReply>(1, 3)->yes);
  cell.drop_if(everything);
  cell.flush(1);
  cell.say(3, 1, Probe{Ballot{5, NodeId{3}}});
  CHECK(cell.find<ProbeReply>(1, 3)->yes);
}

TEST_CASE("paxos: a single voter waits for nobody's silence before it leads") {
  Cell cell(1);
  cell.tick_due();
  cell.settle();
  CHECK(cell[1].role() == Role::kLeader);
}
