// P8: confirm rounds, and when a leader gives up.
#include <doctest/doctest.h>

#include "tests/unit/paxos/cell.h"

using namespace holdfast;
using namespace holdfast::paxos;
using namespace holdfast::paxos::test;
using base::Ballot;
using base::Confirm;
using base::EntryKind;
using base::NodeId;
using base::Slot;

TEST_CASE("paxos: a late echo of an older counter confirms nothing newer") {
  // P8. The echo was said before the request arrived; its sender may have promised a new leader
  // since, and that one may have given the lock to somebody else.
  Cell cell(3);
  cell.elect(1);
  cell.pass(60);
  cell.tick(1);
  cell.deliver_if(is<Heartbeat>());
  REQUIRE(cell.count<HeartbeatReply>(2, 1) == 1);  // under way, of the old counter
  const Confirm needed = cell[1].want_confirm();
  cell.turn(1);
  cell.drop_if(is<Heartbeat>());
  cell.deliver_if(is<HeartbeatReply>());
  CHECK(cell[1].confirmed() < needed);
}

TEST_CASE("paxos: a wanted counter is newer than everything sent, and shared by all who want it") {
  Cell cell(3);
  cell.elect(1);
  const Confirm first = cell[1].want_confirm();
  CHECK(cell[1].want_confirm() == first);
  CHECK(cell[1].confirmed() < first);
  cell.turn(1);
  CHECK(cell.find<Heartbeat>(1, 2)->confirm == first);
  CHECK(cell[1].want_confirm() > first);
  cell.deliver_if(is<Heartbeat>(1, 2));
  cell.deliver_if(is<HeartbeatReply>(2, 1));
  CHECK(cell[1].confirmed() == first);  // one echo and our own are a quorum of three
}

TEST_CASE("paxos: in a cell of five, two echoes beside the leader's are needed") {
  Cell cell(5);
  cell.elect(1);
  const Confirm wanted = cell[1].want_confirm();
  cell.turn(1);
  cell.deliver_if(is<Heartbeat>(1, 2));
  cell.deliver_if(is<HeartbeatReply>());
  CHECK(cell[1].confirmed() < wanted);
  cell.deliver_if(is<Heartbeat>(1, 4));
  cell.deliver_if(is<HeartbeatReply>());
  CHECK(cell[1].confirmed() == wanted);
}

TEST_CASE("paxos: under load a round costs no message of its own") {
  // P8: the accepts of the turn carry the counter.
  Cell cell(3);
  cell.elect(1);
  Effects fx;
  const Confirm wanted = cell[1].want_confirm();
  cell[1].propose(EntryKind::kCommands, "x", cell.now(), fx);
  cell.turn(1);
  CHECK(cell.count<Heartbeat>() == 0);
  CHECK(cell.find<Accept>(1, 2)->confirm == wanted);
  cell.deliver_if(is<Accept>(1, 2));
  CHECK(cell[1].confirmed() < wanted);
  cell.flush(2);
  cell.deliver_if(is<Accepted>());
  CHECK(cell[1].confirmed() == wanted);
}

TEST_CASE("paxos: one explicit round at a time, and the next begins when it is confirmed") {
  // Any number of renewals costs one message a round trip.
  Cell cell(3);
  cell.elect(1);
  cell[1].want_confirm();
  cell.turn(1);
  CHECK(cell.count<Heartbeat>(1, 2) == 1);
  const Confirm second = cell[1].want_confirm();
  cell.turn(1);
  CHECK(cell[1].want_confirm() == second);
  cell.turn(1);
  CHECK(cell.count<Heartbeat>(1, 2) == 1);
  cell.deliver_if(is<Heartbeat>());
  cell.deliver_if(is<HeartbeatReply>());
  REQUIRE(cell.count<Heartbeat>(1, 2) == 1);
  CHECK(cell.find<Heartbeat>(1, 2)->confirm == second);
}

TEST_CASE("paxos: a lost round doesn't stop the following ones") {
  Cell cell(3);
  cell.elect(1);
  cell[1].want_confirm();
  cell.turn(1);
  cell.drop_if(everything);
  const Confirm second = cell[1].want_confirm();
  cell.pass(51);
  cell.tick(1);
  cell.settle();
  CHECK(cell[1].confirmed() >= second);
}

TEST_CASE("paxos: who promised a higher ballot doesn't echo") {
  // P8: even if that promise is not durable yet.
  Cell cell(3);
  cell.elect(1);
  cell[1].want_confirm();
  cell.turn(1);
  cell.say(3, 2, Prepare{Ballot{cell[1].ballot().round + 1, NodeId{3}}, Slot{1}});
  REQUIRE_FALSE(cell.node(2).disk.pending.empty());
  cell.deliver_if(is<Heartbeat>(1, 2));
  CHECK(cell.count<HeartbeatReply>() == 0);
  CHECK(cell.count<Reject>(2, 1) == 1);
  cell.deliver_if(is<Reject>());
  CHECK(cell[1].role() == Role::kFollower);
}

TEST_CASE("paxos: echoes of another ballot, or of a counter never sent, don't count") {
  Cell cell(3);
  cell.elect(1);
  const Ballot ballot = cell[1].ballot();
  const Confirm wanted = cell[1].want_confirm();
  cell.turn(1);
  const Ballot earlier{ballot.round - 1, NodeId{1}};
  cell.say(2, 1, HeartbeatReply{earlier, wanted, Slot{}, Slot{}, Slot{}});
  cell.say(2, 1, HeartbeatReply{ballot, Confirm{wanted.value + 1000}, Slot{}, Slot{}, Slot{}});
  CHECK(cell[1].confirmed() < wanted);
}

TEST_CASE("paxos: a leader without a confirmed round for an election timeout steps down") {
  Cell cell(3);
  cell.elect(1);
  for (int i = 0; i < 12; ++i) {
    CHECK(cell[1].role() == Role::kLeader);
    cell.drop_if(everything);
    cell.pass(40);
    cell.tick(1);
  }
  cell.pass(40);
  cell.tick(1);
  CHECK(cell[1].role() == Role::kFollower);
  CHECK(cell[1].leader() == NodeId{});
}

TEST_CASE("paxos: a leader that slept first listens, and answers nothing meanwhile") {
  // After SIGCONT the answers to its last heartbeats may lie in its sockets, or a new leader's
  // word.
  Cell cell(3);
  cell.elect(1);
  const Confirm before = cell[1].confirmed();
  cell.pass(3000);
  cell.tick(1);
  CHECK(cell[1].role() == Role::kLeader);
  const Confirm wanted = cell[1].want_confirm();
  cell.turn(1);
  CHECK(cell[1].confirmed() == before);
  SUBCASE("a quorum still follows it") {
    cell.settle();
    CHECK(cell[1].confirmed() >= wanted);
  }
  SUBCASE("nobody answers") {
    cell.drop_if(everything);
    cell.pass(101);
    cell.tick(1);
    CHECK(cell[1].role() == Role::kFollower);
  }
}

TEST_CASE("paxos: a leader whose disk stalls neither confirms nor stays") {
  // etcd #15247: it went on answering renewals while it could commit nothing.
  Cell cell(3);
  cell.elect(1);
  cell.propose(1, "x");  // its own write never ends; the others answer
  for (int i = 0; i < 12; ++i) {
    cell.pass(40);
    cell.deliver_if(everything);
    cell.tick(1);
    cell.flush(2);
    cell.flush(3);
  }
  CHECK(cell[1].role() == Role::kLeader);  // 480 ms
  const Confirm wanted = cell[1].want_confirm();
  cell.turn(1);
  cell.pass(30);
  cell.deliver_if(everything);
  cell.deliver_if(everything);
  CHECK(cell[1].confirmed() < wanted);
  cell.tick(1);
  CHECK(cell[1].role() == Role::kFollower);
}

TEST_CASE("paxos: a single voter's round is confirmed at the end of the turn") {
  Cell cell(1);
  cell.ask_to_lead(1);
  cell.settle();
  const Confirm wanted = cell[1].want_confirm();
  CHECK(cell[1].confirmed() < wanted);
  cell.turn(1);
  CHECK(cell[1].confirmed() == wanted);
}
