// P4, P5, P12: when a slot is chosen, who may believe it, and how many are under way.
#include <doctest/doctest.h>

#include "lockcore/base/limits.h"
#include "tests/unit/paxos/cell.h"

using namespace holdfast;
using namespace holdfast::paxos;
using namespace holdfast::paxos::test;
using base::Ballot;
using base::Confirm;
using base::EntryKind;
using base::NodeId;
using base::Slot;

TEST_CASE("paxos: votes of different ballots don't add up to a quorum") {
  // P4. Two nodes accepted x, one of them in an older ballot: a higher ballot between the two may
  // have chosen y.
  Cell cell(5);
  cell.elect(1);
  const Ballot ballot = cell[1].ballot();
  const Slot slot = cell.propose(1, "x");
  cell.drop_if(everything);
  cell.flush(1);
  cell.say(2, 1, Accepted{ballot, {slot}, Confirm{}});
  cell.say(3, 1, Accepted{Ballot{ballot.round - 1, NodeId{1}}, {slot}, Confirm{}});
  cell.say(3, 1, Accepted{Ballot{ballot.round + 1, NodeId{4}}, {slot}, Confirm{}});
  cell.say(2, 1, Accepted{ballot, {slot}, Confirm{}});  // one voter has one vote
  CHECK(cell[1].chosen_upto() < slot);
  cell.say(3, 1, Accepted{ballot, {slot}, Confirm{}});
  CHECK(cell[1].chosen_upto() == slot);
}

TEST_CASE("paxos: slots may be chosen out of order, and are handed out in order") {
  Cell cell(3);
  cell.elect(1);
  const Slot first = cell.propose(1, "first");
  const Slot second = cell.propose(1, "second");
  cell.flush(1);
  cell.drop_if(everything);
  cell.say(2, 1, Accepted{cell[1].ballot(), {second}, Confirm{}});
  CHECK(cell[1].chosen_upto() < first);
  cell.say(3, 1, Accepted{cell[1].ballot(), {first}, Confirm{}});
  CHECK(cell[1].chosen_upto() == second);
  CHECK(cell.value_at(1, second.value) == "second");
}

TEST_CASE("paxos: a follower doesn't take an entry of an older ballot for the chosen one") {
  // P5. Node 3 accepted x at slot 1 in ballot 1; ballot 2 chose y there on nodes 1 and 2. Hearing
  // "chosen through slot 1" from ballot 2's leader, node 3 must not apply its x.
  Cell cell(3);
  const Ballot old{1, NodeId{2}};
  cell.say(2, 3, Accept{old, {entry(1, old, "x")}, Slot{}, Confirm{1}});
  cell.flush(3);
  cell.drop_if(everything);
  cell.crash(3);
  cell.say(2, 1, Reject{old, old});  // node 1 knows of that ballot
  cell.elect(1);
  REQUIRE(cell.node(1).applied.size() == 1);  // its NewLeader is at slot 1
  cell.restart(3);
  cell.drop_if(is<Accept>());
  cell.deliver_if(is<Heartbeat>(1, 3));
  CHECK(cell.value_at(3, 1) == "-");
  REQUIRE(cell.count<Fetch>(3, 1) == 1);  // it asks instead
  cell.settle();
  CHECK(cell.value_at(3, 1) == "leader 1");
  CHECK(cell.row(3, 1)->ballot == cell.row(1, 1)->ballot);
}

TEST_CASE("paxos: an accepted row above the applied slot is not applied at start") {
  // DESIGN 8: it is only an accepted value.
  Cell cell(3);
  const Ballot old{1, NodeId{2}};
  cell.say(2, 3, Accept{old, {entry(1, old, "x")}, Slot{}, Confirm{1}});
  cell.flush(3);
  cell.restart(3);
  CHECK(cell.value_at(3, 1) == "-");
  CHECK(cell[3].chosen_upto() == Slot{});
}

TEST_CASE("paxos: a late accept of a deposed leader never replaces a chosen value") {
  // Node 3 fetched slot 1, chosen in ballot 9, without having promised that ballot. The leader of
  // ballot 5, deposed long ago, may have proposed something else there.
  Cell cell(3);
  const Ballot high{9, NodeId{1}}, low{5, NodeId{2}};
  cell.say(1, 3, FetchReply{Slot{1}, Slot{1}, Slot{1}, {entry(1, high, "chosen")}});
  cell.flush(3);
  CHECK(cell.value_at(3, 1) == "chosen");
  cell.say(2, 3, Accept{low, {entry(1, low, "late")}, Slot{}, Confirm{1}});
  cell.flush(3);
  CHECK(*cell.row(3, 1)->value == "chosen");
  REQUIRE(cell.find<Accepted>(3, 2) != nullptr);
  CHECK(cell.find<Accepted>(3, 2)->slots.empty());  // no vote for it
}

TEST_CASE("paxos: a node whose log says otherwise than the cell's ends, and says where") {
  // Two values for one slot can't be mended by going on.
  Cell cell(3);
  const Ballot ballot{9, NodeId{1}};
  cell.say(1, 3, FetchReply{Slot{1}, Slot{1}, Slot{1}, {entry(1, ballot, "chosen")}});
  cell.say(1, 3,
           FetchReply{
               Slot{1}, Slot{1}, Slot{2}, {entry(1, ballot, "chosen"), entry(2, ballot, "next")}});
  const Ballot higher{10, NodeId{1}};
  cell.say(1, 3, Accept{higher, {entry(2, higher, "other")}, Slot{}, Confirm{1}});
  REQUIRE(cell.node(3).fatal);
  CHECK(cell.node(3).fatal->find("slot 2") != std::string::npos);
}

TEST_CASE("paxos: all that a turn proposes travels in one message and one write") {
  // P12.
  Cell cell(3);
  cell.elect(1);
  Effects fx;
  for (int i = 0; i < 10; ++i) {
    cell[1].propose(EntryKind::kCommands, "value", cell.now(), fx);
  }
  CHECK(fx.messages.empty());  // only queued
  cell.turn(1);
  CHECK(cell.count<Accept>(1) == 2);
  CHECK(cell.find<Accept>(1, 2)->entries.size() == 10);
  REQUIRE(cell.node(1).disk.pending.size() == 1);
  CHECK(cell.node(1).disk.pending[0].entries.size() == 10);
  CHECK_FALSE(cell[1].writer_idle());
  cell.flush(1);
  CHECK(cell[1].writer_idle());
}

TEST_CASE("paxos: a turn's accepts are cut into messages that a link can carry") {
  Cell cell(3);
  cell.elect(1);
  Effects fx;
  for (int i = 0; i < 8; ++i) {
    cell[1].propose(EntryKind::kCommands, std::string(base::kMaxBatchBytes, 'x'), cell.now(), fx);
  }
  cell.turn(1);
  size_t entries = 0;
  for (const Envelope& envelope : cell.mail) {
    const Accept* accept = std::get_if<Accept>(&envelope.message);
    if (accept == nullptr || envelope.to != 2) continue;
    size_t bytes = 0;
    for (const base::Entry& row : accept->entries) bytes += row.bytes();
    CHECK(bytes <= base::kMaxPeerMessageBytes / 2);
    entries += accept->entries.size();
  }
  CHECK(entries == 8);
}

TEST_CASE("paxos: the number of slots under way is limited") {
  Cell cell(3);
  cell.elect(1);
  size_t proposed = 0;
  while (cell[1].can_propose()) {
    cell.propose(1, "x");
    REQUIRE(++proposed <= base::kMaxSlotsInFlight);
  }
  CHECK(proposed == base::kMaxSlotsInFlight);
  cell.settle();
  CHECK(cell[1].can_propose());
}

TEST_CASE("paxos: what a peer didn't accept is sent again, and only that") {
  Cell cell(3);
  cell.elect(1);
  const Slot first = cell.propose(1, "first");
  cell.drop_if(is<Accept>(1));
  cell.flush(1);
  for (int i = 0; i < 4; ++i) {
    cell.pass(51);
    cell.tick(1);
  }
  cell.drop_if(is<Accept>(1, 3));
  REQUIRE(cell.count<Accept>(1, 2) == 1);
  CHECK(cell.find<Accept>(1, 2)->entries[0].slot == first);
  cell.settle();
  CHECK(cell[1].chosen_upto() == first);
  cell.pass(101);
  cell.tick(1);
  CHECK(cell.count<Accept>(1) == 0);  // chosen: who lacks it fetches it
}

TEST_CASE("paxos: what is under way goes at once to a peer that comes back") {
  Cell cell(3);
  cell.elect(1);
  cell.cut(1, 2);
  cell.cut(1, 3);
  const Slot slot = cell.propose(1, "x");
  cell.flush(1);
  CHECK(cell.count<Accept>() == 0);  // nobody is there
  cell.link(1, 2);
  REQUIRE(cell.count<Accept>(1, 2) == 1);
  cell.settle();
  CHECK(cell[1].chosen_upto() == slot);
}

TEST_CASE("paxos: a single voter needs nobody") {
  Cell cell(1);
  cell.ask_to_lead(1);
  CHECK(cell[1].role() == Role::kCandidate);
  cell.flush(1);
  REQUIRE(cell[1].role() == Role::kLeader);
  cell.announce(1);
  const Slot slot = cell.propose(1, "x");
  CHECK(cell[1].chosen_upto() < slot);  // not before it is durable
  cell.flush(1);
  CHECK(cell[1].chosen_upto() == slot);
  cell.pass(100'000);
  cell.tick(1);
  CHECK(cell[1].role() == Role::kLeader);
}
