// Whom the leader asks at once, and what the others get instead.
#include <doctest/doctest.h>

#include "tests/unit/paxos/cell.h"

using namespace holdfast;
using namespace holdfast::paxos;
using namespace holdfast::paxos::test;
using base::Confirm;

namespace {

// Node 1 leads, and node 2, who chose its NewLeader with it, is the front.
Cell thrifty_cell(size_t voters = 3) {
  Cell cell(voters, Cell::Start::kFounded, 1, Options{});
  cell.elect(1);
  cell.pass(50);
  cell.tick(1);  // a heartbeat: whoever chooses the next slot is the front
  cell.settle();
  cell.propose(1, "who is quick?");
  REQUIRE(cell.count<Accept>() == voters - 1);
  cell.flush(1);
  for (uint64_t id = 2; id <= voters / 2 + 1; ++id) {
    cell.deliver_if(is<Accept>(1, id));
    cell.flush(id);
  }
  cell.settle();
  REQUIRE(cell.mail.empty());
  return cell;
}

uint64_t last_slot(Cell& cell) {
  return cell[1].chosen_upto().value;
}

}  // namespace

TEST_CASE("paxos: a proposal goes to a quorum at once, and to the others in bulk") {
  // Why: in a cell of three every commit would cost a third more messages and fsyncs than it needs.
  Cell cell = thrifty_cell();
  for (int i = 0; i < 5; ++i) {
    cell.propose(1, "x");
    CHECK(cell.count<Accept>(1, 2) == 1);
    CHECK(cell.count<Accept>(1, 3) == 0);
    cell.settle();
  }
  const uint64_t chosen = last_slot(cell);
  CHECK(cell.node(1).applied.size() == chosen);
  cell.pass(5);
  cell.tick_due();
  CHECK(cell.count<Accept>(1, 2) == 0);
  REQUIRE(cell.count<Accept>(1, 3) == 1);
  CHECK(cell.find<Accept>(1, 3)->entries.size() == 5);
  CHECK(cell.find<Accept>(1, 3)->chosen_upto.value == chosen);
  cell.settle();
  CHECK(cell.node(3).applied.size() == chosen);
}

TEST_CASE("paxos: of five voters two are asked beside the leader") {
  Cell cell = thrifty_cell(5);
  cell.propose(1, "x");
  CHECK(cell.count<Accept>() == 2);
  CHECK(cell.count<Accept>(1, 2) == 1);
  CHECK(cell.count<Accept>(1, 3) == 1);
  const uint64_t before = last_slot(cell);
  cell.settle();
  CHECK(last_slot(cell) == before + 1);
}

TEST_CASE("paxos: a front that doesn't answer is replaced after the rest's delay") {
  // Why: a stopped process keeps its links; it must cost a moment once, not one for every commit.
  Cell cell = thrifty_cell();
  const uint64_t before = last_slot(cell);
  cell.propose(1, "x");
  cell.drop_if(is<Accept>(1, 2));
  cell.settle();
  CHECK(last_slot(cell) == before);
  cell.pass(5);
  cell.tick_due();
  CHECK(cell.count<Accept>(1, 3) == 1);
  cell.settle();
  CHECK(last_slot(cell) == before + 1);
  cell.propose(1, "y");
  CHECK(cell.count<Accept>(1, 2) == 0);
  CHECK(cell.count<Accept>(1, 3) == 1);
  cell.settle();
  CHECK(last_slot(cell) == before + 2);
}

TEST_CASE("paxos: when the front's link is lost the rest is asked at once") {
  Cell cell = thrifty_cell();
  const uint64_t before = last_slot(cell);
  cell.propose(1, "x");
  cell.cut(1, 2);
  cell.tick_due();
  CHECK(cell.count<Accept>(1, 3) == 1);
  cell.settle();
  CHECK(last_slot(cell) == before + 1);
}

TEST_CASE("paxos: a confirm round goes to the front, and to the others if it stays silent") {
  Cell cell = thrifty_cell();
  Confirm wanted = cell.want_confirm(1);
  CHECK(cell.count<Heartbeat>(1, 2) == 1);
  CHECK(cell.count<Heartbeat>(1, 3) == 0);
  cell.settle();
  CHECK(cell[1].confirmed() >= wanted);
  cell.pass(5);
  cell.tick_due();
  cell.drop_if(is<ClockQuery>());
  CHECK(cell.mail.empty());  // there is nothing that the rest lacks

  wanted = cell.want_confirm(1);
  cell.drop_if(everything);
  cell.pass(5);
  cell.tick_due();
  CHECK(cell.count<Heartbeat>(1, 3) == 1);
  cell.settle();
  CHECK(cell[1].confirmed() >= wanted);
}

TEST_CASE("paxos: a heartbeat comes after what the rest lacks, which it needn't fetch") {
  Cell cell = thrifty_cell();
  cell.propose(1, "x");
  cell.settle();
  cell.pass(50);
  cell.tick(1);
  CHECK(cell.count<Accept>(1, 3) == 1);
  CHECK(cell.count<Heartbeat>(1, 3) == 1);
  cell.deliver_if(is<Accept>(1, 3));
  cell.deliver_if(is<Heartbeat>(1, 3));
  CHECK(cell.count<Fetch>() == 0);
  CHECK(cell.node(3).applied.size() == last_slot(cell));
}

TEST_CASE("paxos: a leader whose own disk is the slowest still asks no more than a quorum") {
  Cell cell = thrifty_cell();
  cell.pass(50);
  cell.tick(1);
  cell.settle();
  cell.propose(1, "x");
  for (const uint64_t id : {3, 2}) {
    cell.deliver_if(is<Accept>(1, id));
    cell.flush(id);
    cell.deliver_if(is<Accepted>(id, 1));
  }
  cell.settle();
  cell.propose(1, "y");
  CHECK(cell.count<Accept>(1, 3) == 1);  // it was the first
  CHECK(cell.count<Accept>(1, 2) == 0);
}

TEST_CASE("paxos: the rest is not kept waiting for more than a message can take") {
  // Why: a burst above the socket's buffers, every few milliseconds, would make it a laggard.
  Cell cell = thrifty_cell();
  cell.propose(1, std::string(200 * 1024, 'x'));
  CHECK(cell.count<Accept>(1, 3) == 0);
  cell.propose(1, std::string(200 * 1024, 'y'));
  REQUIRE(cell.count<Accept>(1, 3) == 1);
  CHECK(cell.find<Accept>(1, 3)->entries.size() == 2);
}

TEST_CASE("paxos: a voter that comes back gets what it missed while it was in the rest") {
  Cell cell = thrifty_cell();
  cell.propose(1, "x");
  cell.settle();
  cell.cut(1, 3);
  cell.propose(1, "y");
  cell.settle();
  cell.pass(5);
  cell.tick_due();
  CHECK(cell.count<Accept>(1, 3) == 0);
  cell.link(1, 3);
  cell.settle();
  CHECK(cell.node(3).applied.size() == last_slot(cell));
}
