// P1 and P2: what must be durable before it is said.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/unit/paxos/cell.h"

using namespace holdfast;
using namespace holdfast::paxos;
using namespace holdfast::paxos::test;
using base::Ballot;
using base::Confirm;
using base::NodeId;
using base::Slot;

TEST_CASE("paxos: a ballot is durable before anybody hears of it") {
  // P1. A candidate that asked, crashed and forgot could propose another value in the same ballot.
  Cell cell(3);
  cell.ask_to_lead(1);
  cell.deliver_if(is<Probe>());
  cell.deliver_if(is<ProbeReply>());
  CHECK(cell[1].role() == Role::kCandidate);
  CHECK(cell.count<Prepare>() == 0);
  REQUIRE_FALSE(cell.node(1).disk.pending.empty());
  cell.flush(1);
  CHECK(cell.count<Prepare>() == 2);
  CHECK(cell.find<Prepare>(1, 2)->ballot == cell.node(1).disk.log.promised);
}

TEST_CASE("paxos: no ballot is used twice, neither after a restart nor after a step-down") {
  // P1. Two leaderships in one ballot could choose two values for one slot.
  Cell cell(3);
  cell.elect(1);
  const Ballot first = cell[1].ballot();
  cell.restart(1);
  CHECK(cell[1].role() == Role::kFollower);
  cell.elect(1);
  const Ballot second = cell[1].ballot();
  CHECK(second.round > first.round);
  cell.say(2, 1, Reject{second, Ballot{second.round + 4, NodeId{3}}});
  CHECK(cell[1].role() == Role::kFollower);
  cell.elect(1);
  CHECK(cell[1].ballot().round > second.round + 4);
}

TEST_CASE("paxos: a promise is not told before it is durable") {
  // P2. An acceptor that promised, crashed and forgot would accept in a ballot below its promise.
  Cell cell(3);
  cell.say(1, 2, Prepare{Ballot{5, NodeId{1}}, Slot{1}});
  CHECK(cell.count<Promise>(2, 1) == 0);
  CHECK(cell[2].promised() == Ballot{5, NodeId{1}});
  cell.flush(2);
  CHECK(cell.count<Promise>(2, 1) == 1);
  CHECK(cell.node(2).disk.log.promised == Ballot{5, NodeId{1}});
}

TEST_CASE("paxos: a promise reports rows that are still with the writer, and waits for them") {
  // P2. Were the row left out, a value that becomes durable a moment later, and counts as accepted,
  // would be unknown to the next leader. Were the promise sent first, it might tell of a row that a
  // crash takes back.
  Cell cell(3);
  const Ballot old{1, NodeId{3}};
  cell.say(3, 2, Accept{old, {entry(1, old, "x")}, Slot{}, Confirm{1}});
  cell.say(1, 2, Prepare{Ballot{5, NodeId{1}}, Slot{1}});
  CHECK(cell.mail.empty());
  cell.flush(2, 1);  // the row is durable, the promise is not
  CHECK(cell.count<Accepted>(2, 3) == 1);
  CHECK(cell.count<Promise>() == 0);
  cell.flush(2, 1);
  const Promise* promise = cell.find<Promise>(2, 1);
  REQUIRE(promise != nullptr);
  REQUIRE(promise->entries.size() == 1);
  CHECK(*promise->entries[0].value == "x");
  CHECK(promise->entries[0].ballot == old);  // its own ballot, not the promised one
}

TEST_CASE("paxos: a repeated promise waits for everything handed over before it") {
  // P2. The first copy of the promise may be lost; the second is as good only if it is as durable.
  Cell cell(3);
  const Ballot ballot{5, NodeId{1}};
  cell.say(1, 2, Prepare{ballot, Slot{1}});
  cell.say(1, 2, Prepare{ballot, Slot{1}});
  CHECK(cell.count<Promise>() == 0);
  cell.flush(2);
  CHECK(cell.count<Promise>(2, 1) == 2);
  cell.say(1, 2, Prepare{ballot, Slot{1}});
  CHECK(cell.count<Promise>(2, 1) == 3);  // nothing is outstanding: at once
}

TEST_CASE("paxos: an accept is not told before it is durable, and raises the promise with it") {
  // P2. One transaction: a row whose ballot is above the promise would be forgotten in part.
  Cell cell(3);
  const Ballot ballot{4, NodeId{1}};
  cell.say(1, 2, Accept{ballot, {entry(1, ballot, "x")}, Slot{}, Confirm{1}});
  CHECK(cell.mail.empty());
  REQUIRE(cell.node(2).disk.pending.size() == 1);
  CHECK(cell.node(2).disk.pending[0].promised == ballot);
  CHECK(cell.node(2).disk.pending[0].entries.size() == 1);
  cell.flush(2);
  REQUIRE(cell.find<Accepted>(2, 1) != nullptr);
  CHECK(cell.find<Accepted>(2, 1)->slots == std::vector<Slot>{Slot{1}});
}

TEST_CASE("paxos: what comes in a ballot below the promise is rejected, and its leader told why") {
  Cell cell(3);
  const Ballot low{4, NodeId{1}}, high{5, NodeId{3}};
  cell.say(3, 2, Prepare{high, Slot{1}});
  cell.say(1, 2, Accept{low, {entry(1, low, "x")}, Slot{}, Confirm{1}});
  cell.say(1, 2, Prepare{low, Slot{1}});
  cell.say(1, 2, Heartbeat{low, Slot{}, Confirm{1}});
  CHECK(cell.count<Reject>(2, 1) == 3);
  CHECK(cell.find<Reject>(2, 1)->promised == high);
  cell.flush(2);
  CHECK(cell.row(2, 1) == nullptr);
  CHECK(cell.count<Accepted>() == 0);
}

TEST_CASE("paxos: an accept sent twice is written once, and answered both times") {
  // The first answer may be lost. Rewriting the row would cost an fsync for nothing.
  Cell cell(3);
  const Ballot ballot{4, NodeId{1}};
  const Accept accept{ballot, {entry(1, ballot, "x")}, Slot{}, Confirm{1}};
  cell.say(1, 2, accept);
  cell.say(1, 2, accept);
  CHECK(cell.node(2).disk.pending.size() == 1);
  CHECK(cell.mail.empty());
  cell.flush(2);
  CHECK(cell.count<Accepted>(2, 1) == 2);
}

TEST_CASE("paxos: a leader sends accepts before its own write ends, and votes when it ends") {
  // DESIGN 4: replication overlaps with the leader's fsync, but a vote is a durable row (P2).
  Cell cell(3);
  cell.elect(1);
  const Slot slot = cell.propose(1, "x");
  CHECK(cell.count<Accept>(1) == 2);
  cell.deliver_if(is<Accept>(1, 2));
  cell.flush(2);
  cell.deliver_if(is<Accepted>(2, 1));
  CHECK(cell[1].chosen_upto() < slot);  // one vote, of node 2
  cell.flush(1);
  CHECK(cell[1].chosen_upto() == slot);
}

TEST_CASE("paxos: durable_upto follows this node's own disk, not the quorum's") {
  // DESIGN 8: state.db may not run ahead of this node's own log, or a restart would lack rows.
  Cell cell(3);
  cell.elect(1);
  const Slot slot = cell.propose(1, "x");
  cell.deliver_if(is<Accept>());
  cell.flush(2);
  cell.flush(3);
  cell.deliver_if(is<Accepted>());
  CHECK(cell[1].chosen_upto() == slot);
  CHECK(cell.value_at(1, slot.value) == "x");
  CHECK(cell[1].durable_upto() < slot);
  cell.flush(1);
  CHECK(cell[1].durable_upto() == slot);
}

TEST_CASE("paxos: while its disk stalls, a follower keeps a bounded number of answers back") {
  // DESIGN 2.10. The others go on without it, and the leader sends it all they choose.
  Cell cell(3);
  const Ballot ballot{4, NodeId{1}};
  const Accept accept{ballot, {entry(1, ballot, "x")}, Slot{}, Confirm{1}};
  for (int i = 0; i < 20'000; ++i) cell.say(1, 2, accept);
  cell.flush(2);
  CHECK(cell.count<Accepted>(2, 1) >= 1);
  CHECK(cell.count<Accepted>(2, 1) <= 5'000);
  cell.drop_if(everything);
  cell.say(1, 2, accept);  // a lost answer is asked for again
  CHECK(cell.count<Accepted>(2, 1) == 1);
}
