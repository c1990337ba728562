// P11: a node that lost rows, or its record, to damage votes again only when the others have told
// it what was chosen. The cell's witness sees to it that it says nothing before, and that what
// takes a damaged row's place is chosen.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/unit/paxos/cell.h"

using namespace holdfast;
using namespace holdfast::paxos;
using namespace holdfast::paxos::test;
using base::Ballot;
using base::NodeId;
using base::Slot;

namespace {

void heartbeat(Cell& cell, uint64_t leader) {
  cell.pass(51);
  cell.tick(leader);
}

// Slots 2 to 5, chosen by all, in the cell that node 1 leads.
void fill(Cell& cell) {
  cell.elect(1);
  for (const char* value : {"a", "b", "c", "d"}) cell.propose(1, value);
  cell.settle();
}

// Lets time pass for whoever is up, a second in all.
void live_on(Cell& cell) {
  for (int i = 0; i < 40; ++i) {
    cell.pass(25);
    cell.tick_due();
    cell.settle();
  }
}

bool told(Cell& cell, uint64_t id, const std::string& what) {
  return std::ranges::any_of(cell.node(id).notices, [&](const std::string& notice) {
    return notice.find(what) != std::string::npos;
  });
}

}  // namespace

TEST_CASE("paxos: a node with a damaged row votes again once a chosen value stands in its place") {
  Cell cell(3);
  fill(cell);
  cell.crash(3);
  cell.damage(3, 3);
  cell.restart(3);
  CHECK(cell[3].mending() == Slot{3});
  CHECK(told(cell, 3, "neither promises nor accepts"));
  heartbeat(cell, 1);
  while (cell.deliver_if(everything) > 0) continue;
  // The value has come, but is not durable.
  CHECK(cell[3].chosen_upto() == Slot{5});
  CHECK(cell[3].mending() == Slot{3});
  cell.flush(3);
  CHECK_FALSE(cell[3].mending());
  CHECK(told(cell, 3, "is mended"));
  REQUIRE(cell.row(3, 3) != nullptr);
  CHECK(*cell.row(3, 3)->value == "b");
  cell.propose(1, "e");
  cell.deliver_if(is<Accept>(1, 3));
  cell.flush(3);
  CHECK(cell.count<Accepted>(3, 1) == 1);
}

TEST_CASE("paxos: a node that mends accepts nothing, but gives the leader its word (P8)") {
  Cell cell(3);
  fill(cell);
  cell.crash(3);
  cell.damage(3, 3);
  cell.restart(3);
  cell.crash(2);
  cell.propose(1, "e");
  const base::Confirm counter = cell.want_confirm(1);
  // What it asks for is lost, so it goes on mending.
  for (int i = 0; i < 5; ++i) {
    cell.deliver_if(is<Accept>(1, 3));
    cell.deliver_if(is<Heartbeat>(1, 3));
    cell.drop_if(is<Fetch>(3, 1));
    cell.flush(3);
    cell.deliver_if(is<HeartbeatReply>(3, 1));
    heartbeat(cell, 1);
  }
  CHECK(cell[3].mending() == Slot{3});
  CHECK(cell[1].confirmed() >= counter);
  CHECK(cell[1].chosen_upto() == Slot{5});
  live_on(cell);
  CHECK_FALSE(cell[3].mending());
  CHECK(cell.value_at(3, 6) == "e");
}

TEST_CASE("paxos: a damaged row that a quorum counts on is not forgotten") {
  // 1 and 3 accepted x, perhaps it was chosen. 3 can't say so any more; without it 2 must not lead.
  Cell cell(3);
  fill(cell);
  cell.propose(1, "x");
  cell.drop_if(is<Accept>(1, 2));
  cell.deliver_if(is<Accept>(1, 3));
  cell.flush(3);
  cell.flush(1);
  cell.crash(1);
  cell.crash(3);
  cell.damage(3, 6);
  cell.restart(3);
  live_on(cell);
  CHECK(cell.leader() == 0);
  CHECK(cell[3].mending() == Slot{6});
  cell.restart(1);
  live_on(cell);
  REQUIRE(cell.leader() != 0);
  CHECK(cell.leader() != 3);
  CHECK(cell.value_at(cell.leader(), 6) == "x");
  cell.announce(cell.leader());
  live_on(cell);
  CHECK_FALSE(cell[3].mending());
  CHECK(cell.value_at(3, 6) == "x");
}

TEST_CASE("paxos: a node that mends asks the others by itself: without its vote nobody may lead") {
  Cell cell(3);
  fill(cell);
  heartbeat(cell, 1);  // 2 hears that all is chosen
  cell.settle();
  cell.crash(1);
  cell.crash(3);
  cell.damage(3, 2);
  cell.damage(3, 4);
  cell.restart(3);
  CHECK(cell[3].mending() == Slot{4});
  live_on(cell);
  CHECK_FALSE(cell[3].mending());
  CHECK(cell.leader() != 0);
  CHECK(cell.value_at(3, 4) == "c");
}

TEST_CASE("paxos: a damaged row above all that is chosen stays in doubt until something is") {
  Cell cell(3);
  fill(cell);
  cell.crash(1);
  cell.elect(3);
  cell.restart(1);
  cell.settle();
  const Slot slot = cell.propose(3, "only here");
  cell.drop_if(is<Accept>(3));
  cell.flush(3);
  cell.crash(3);
  cell.damage(3, slot.value);
  cell.restart(3);
  cell.elect(1);
  live_on(cell);
  // NewLeader has taken the slot: nobody else had seen anything there.
  CHECK_FALSE(cell[3].mending());
  CHECK(cell.value_at(3, slot.value) == "leader 1");
}

TEST_CASE("paxos: a node without a record doesn't vote on what its log no longer tells") {
  Cell cell(3);
  fill(cell);
  cell.record(3);
  cell.crash(3);
  cell.lose_record(3, 5);
  cell.restart(3);
  CHECK(cell[3].mending() == Slot{4});
  // A candidate that lacks those slots would take a promise for "nothing was accepted there".
  cell.say(2, 3, Prepare{Ballot{50, NodeId{2}}, Slot{1}});
  cell.flush(3);
  CHECK(cell.count<Promise>(3) == 0);
  heartbeat(cell, 1);
  cell.settle();
  // It has all of it again, but not in state.db, and the log doesn't keep what it had trimmed.
  CHECK(cell.value_at(3, 5) == "d");
  CHECK(cell.row(3, 4) == nullptr);
  CHECK(cell[3].mending() == Slot{4});
  cell.record(3);
  CHECK_FALSE(cell[3].mending());
  cell.propose(1, "e");
  cell.deliver_if(is<Accept>(1, 3));
  cell.flush(3);
  CHECK(cell.count<Accepted>(3, 1) == 1);
}

TEST_CASE("paxos: without a record, a log that was never trimmed says all there is to say") {
  Cell cell(3);
  fill(cell);
  cell.record(3);
  cell.crash(3);
  cell.lose_record(3, 1);
  cell.restart(3);
  CHECK_FALSE(cell[3].mending());
  cell.elect(3);
  CHECK(cell.value_at(3, 4) == "c");
}

TEST_CASE("paxos: a node that mends isn't handed over to, and keeps nobody from leading") {
  Cell cell(3);
  fill(cell);
  heartbeat(cell, 1);
  cell.settle();  // 2 hears that all is chosen
  cell.crash(3);
  cell.damage(3, 5);
  cell.restart(3);
  const Ballot ballot = cell[1].ballot();
  cell.drop_if(is<Fetch>(3));
  cell.say(1, 3, Heartbeat{ballot, Slot{1}, {}});
  cell.say(1, 3, TakeOver{ballot, Slot{1}});
  CHECK(cell[3].role() == Role::kFollower);
  CHECK(cell.count<Prepare>(3) == 0);
  cell.crash(1);
  live_on(cell);
  CHECK(cell.leader() != 0);
  CHECK_FALSE(cell[3].mending());
}
