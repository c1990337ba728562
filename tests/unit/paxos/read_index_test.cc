// DESIGN 2.8: a node that doesn't lead reads linearizably by asking the leader through where.
#include <doctest/doctest.h>

#include "tests/unit/paxos/cell.h"

using namespace holdfast;
using namespace holdfast::paxos;
using namespace holdfast::paxos::test;

namespace {

bool answered(Cell& cell, uint64_t id, uint64_t number) {
  return cell[id].read_index().number >= number;
}

}  // namespace

TEST_CASE("read index: a follower is told through where all is chosen") {
  Cell cell(3);
  cell.elect(1);
  cell.propose(1, "a");
  cell.settle();
  const uint64_t number = cell[2].want_read_index();
  cell.turn(2);
  cell.settle();
  REQUIRE(answered(cell, 2, number));
  CHECK(cell[2].read_index().slot == cell[1].chosen_upto());
}

TEST_CASE("read index: it is told after a confirm round that began when it had asked") {
  // P8: else a leader that was deposed would tell of the state that it remembers.
  Cell cell(3);
  cell.elect(1);
  const uint64_t number = cell[2].want_read_index();
  cell.turn(2);
  cell.cut(1, 3);
  cell.deliver_if(is<ReadIndexQuery>());
  CHECK(cell.count<ReadIndexReply>(1, 2) == 0);
  // What node 2 says of an older round proves nothing; its echo of this one does.
  CHECK(cell.count<Heartbeat>(1, 2) == 1);
  cell.deliver_if(is<Heartbeat>());
  CHECK(cell.count<ReadIndexReply>(1, 2) == 0);
  cell.settle();
  CHECK(answered(cell, 2, number));
}

TEST_CASE("read index: one question serves all that wait, none that come while it is out") {
  Cell cell(3);
  cell.elect(1);
  const uint64_t first = cell[2].want_read_index();
  CHECK(cell[2].want_read_index() == first);
  cell.turn(2);
  CHECK(cell.count<ReadIndexQuery>(2, 1) == 1);
  const uint64_t second = cell[2].want_read_index();
  CHECK(second > first);
  cell.turn(2);
  CHECK(cell.count<ReadIndexQuery>(2, 1) == 1);
  cell.deliver_if(is<ReadIndexQuery>());
  cell.settle();
  CHECK(answered(cell, 2, second));
}

TEST_CASE("read index: a question that was lost is asked again, whoever leads by then") {
  Cell cell(3);
  cell.elect(1);
  const uint64_t number = cell[2].want_read_index();
  cell.turn(2);
  REQUIRE(cell.drop_if(is<ReadIndexQuery>()) == 1);
  cell.elect(3);
  cell.pass(200);
  cell.tick(2);
  cell.settle();
  CHECK(answered(cell, 2, number));
}

TEST_CASE("read index: a leader tells nothing before its NewLeader is chosen") {
  // P3: what its predecessor told may lie in slots that it doesn't know chosen yet.
  Cell cell(3);
  cell.elect(1);
  cell.propose(1, "a");
  cell.settle();
  cell.cut(1, 2);
  cell.cut(1, 3);
  cell.pass(600);
  for (int i = 0; i < 200 && cell[2].role() != Role::kLeader; ++i) {
    cell.pass(25);
    cell.tick(2);
    cell.settle();
  }
  REQUIRE(cell[2].role() == Role::kLeader);
  const uint64_t number = cell[3].want_read_index();
  cell.turn(3);
  cell.settle();
  CHECK_FALSE(answered(cell, 3, number));
  cell.announce(2);
  cell.settle();
  cell.pass(200);
  cell.tick(3);
  cell.settle();
  REQUIRE(answered(cell, 3, number));
  CHECK(cell[3].read_index().slot == cell[2].chosen_upto());
}

TEST_CASE("read index: an answer to the process before, or to nobody, counts for nothing") {
  Cell cell(3);
  cell.elect(1);
  const uint64_t number = cell[2].want_read_index();
  cell.turn(2);
  cell.drop_if(is<ReadIndexQuery>());
  cell.say(1, 2, ReadIndexReply{cell[1].ballot(), 12'345, number, cell[1].chosen_upto()});
  CHECK_FALSE(answered(cell, 2, number));
}
