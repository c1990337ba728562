// P10, the first half: a cell is founded by all its voters, once.
#include <doctest/doctest.h>

#include "tests/unit/paxos/cell.h"

using namespace holdfast;
using namespace holdfast::paxos;
using namespace holdfast::paxos::test;
using base::Ballot;
using base::Confirm;
using base::FoundingState;
using base::Slot;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("paxos: three empty nodes found one cell, and elect a leader") {
  Cell cell(3, Cell::Start::kEmpty);
  cell.settle();
  for (uint64_t id = 1; id <= 3; ++id) {
    CHECK(cell[id].founding() == FoundingState::kFounded);
    CHECK(cell[id].config() == cell[1].config());
    CHECK(cell[id].config().members.size() == 3);
    CHECK(cell.node(id).disk.log.config.members[id - 1].incarnation.value == 1000 + id);
    CHECK(cell[id].waiting_for().empty());
  }
  cell.elect(2);
  CHECK(cell.value_at(2, 1) == "leader 2");
}

TEST_CASE("paxos: founding waits for every voter, and says for whom") {
  Cell cell(3, Cell::Start::kEmpty);
  cell.crash(3);
  cell.restart(1);
  cell.restart(2);
  cell.settle();
  cell.pass(10'000);
  cell.tick_due();
  cell.settle();
  CHECK(cell[1].founding() == FoundingState::kEmpty);
  CHECK(contains(cell[1].waiting_for(), "node 3 (" + address(3) + ")"));
  CHECK(contains(cell[2].waiting_for(), "node 3 (" + address(3) + ")"));
  CHECK_FALSE(contains(cell[1].waiting_for(), "node 2"));
  cell.restart(3);
  cell.settle();
  CHECK(cell[1].founding() == FoundingState::kFounded);
}

TEST_CASE("paxos: a cell of one founds itself") {
  Cell cell(1, Cell::Start::kEmpty);
  cell.settle();
  CHECK(cell[1].founding() == FoundingState::kFounded);
  CHECK(cell[1].config().members.size() == 1);
}

TEST_CASE("paxos: nothing is promised or accepted before the cell is founded") {
  Cell cell(3, Cell::Start::kEmpty);
  const Ballot ballot{3, base::NodeId{1}};
  cell.say(1, 2, Prepare{ballot, Slot{1}});
  cell.say(1, 2, Accept{ballot, {entry(1, ballot, "x")}, Slot{}, Confirm{1}});
  cell.say(1, 2, Probe{ballot});
  CHECK(cell[2].promised() == Ballot{});
  CHECK(cell.count<Promise>() + cell.count<Accepted>() + cell.count<ProbeReply>() == 0);
}

TEST_CASE("paxos: the record is durable everywhere before anybody is founded") {
  Cell cell(3, Cell::Start::kEmpty);
  CHECK(cell.count<FoundPropose>() == 0);
  cell.flush(1);
  CHECK(cell.count<FoundPropose>(1) == 2);
  cell.deliver_if(is<FoundPropose>());
  CHECK(cell.count<FoundAck>() == 0);
  cell.flush(2);
  cell.deliver_if(is<FoundAck>());
  cell.flush(1);
  CHECK(cell[1].founding() == FoundingState::kProposed);
  CHECK(contains(cell[1].waiting_for(), "node 3"));
  cell.flush(3);
  cell.deliver_if(is<FoundAck>());
  CHECK(cell[1].role() == Role::kFounding);
  cell.flush(1);
  CHECK(cell[1].founding() == FoundingState::kFounded);
  CHECK(cell[2].founding() == FoundingState::kProposed);
}

TEST_CASE("paxos: founding goes on after a crash at any point") {
  // Every prefix of the dance, then one node crashes and comes back.
  for (uint64_t victim = 1; victim <= 3; ++victim) {
    for (int steps = 0; steps <= 8; ++steps) {
      CAPTURE(victim);
      CAPTURE(steps);
      Cell cell(3, Cell::Start::kEmpty);
      for (int i = 0; i < steps; ++i) {
        if (i % 2 == 0) {
          for (uint64_t id = 1; id <= 3; ++id) cell.flush(id, 1);
        } else {
          cell.deliver_if(everything);
        }
      }
      cell.restart(victim);
      cell.settle();
      for (int i = 0; i < 5; ++i) {
        cell.pass(101);
        cell.tick_due();
        cell.settle();
      }
      for (uint64_t id = 1; id <= 3; ++id) {
        REQUIRE_MESSAGE(!cell.node(id).fatal, *cell.node(id).fatal);
        CHECK(cell[id].founding() == FoundingState::kFounded);
        CHECK(cell[id].config().cell == cell[1].config().cell);
      }
    }
  }
}

TEST_CASE("paxos: a node with the record is founded by any member that is") {
  // The proposer's last word was lost, and the proposer is gone.
  Cell cell(3, Cell::Start::kEmpty);
  cell.flush(1);
  cell.deliver_if(is<FoundPropose>());
  cell.flush(2);
  cell.flush(3);
  cell.deliver_if(is<FoundAck>());
  cell.flush(1);
  cell.deliver_if(is<FoundCommit>(1, 2));
  cell.flush(2);
  REQUIRE(cell[2].founding() == FoundingState::kFounded);
  cell.crash(1);
  CHECK(cell[3].founding() == FoundingState::kProposed);
  SUBCASE("by its hello") {
    cell.cut(2, 3);
    cell.link(2, 3);
    cell.settle();
  }
  SUBCASE("by its probe") {
    cell.ask_to_lead(2);
    cell.settle();
  }
  CHECK(cell[3].founding() == FoundingState::kFounded);
}

TEST_CASE("paxos: nodes with different lists found nothing, and show both") {
  Cell cell(3, Cell::Start::kEmpty);
  cell.crash(3);
  cell.node(3).options.cluster.pop_back();
  cell.node(3).options.cluster.push_back({base::NodeId{3}, {}, "elsewhere:1", true});
  cell.node(1).disk.pending.clear();
  cell.restart(1);
  cell.restart(2);
  cell.restart(3);
  cell.settle();
  CHECK(cell[1].founding() == FoundingState::kEmpty);
  const std::string waiting = cell[1].waiting_for();
  CHECK(contains(waiting, "3=elsewhere:1"));
  CHECK(contains(waiting, "3=" + address(3)));
}

TEST_CASE("paxos: two wiped nodes of three don't found a second cell") {
  // P10. The third is the only one that remembers; while it is away they must wait for it.
  Cell cell(3, Cell::Start::kEmpty);
  cell.settle();
  cell.elect(3);
  for (uint64_t id : {1, 2, 3}) cell.crash(id);
  for (uint64_t id : {1, 2}) {
    cell.node(id).disk = {};
    cell.node(id).disk.log.self = base::NodeId{id};
    cell.node(id).disk.log.incarnation.value = 5000 + id;
    cell.node(id).applied.clear();
    cell.restart(id);
  }
  cell.settle();
  cell.pass(10'000);
  cell.tick_due();
  cell.settle();
  CHECK(cell[1].founding() == FoundingState::kEmpty);
  CHECK(contains(cell[1].waiting_for(), "node 3"));
  cell.start(3);
  cell.link(1, 3);
  cell.link(2, 3);
  for (uint64_t id : {1, 2}) {
    REQUIRE(cell.node(id).fatal);
    CHECK(contains(*cell.node(id).fatal, "member replace"));
  }
  CHECK_FALSE(cell.node(3).fatal);
}

TEST_CASE("paxos: a node that its own list doesn't name ends with a clear word") {
  Cell cell(2, Cell::Start::kEmpty);
  cell.crash(2);
  cell.node(2).options.cluster.pop_back();
  cell.start(2);
  REQUIRE(cell.node(2).fatal);
  CHECK(contains(*cell.node(2).fatal, "node 2 is not in the cluster list"));
}

TEST_CASE("paxos: the stored membership beats the list of the command line") {
  Cell cell(3);
  cell.crash(1);
  cell.node(1).options.cluster = {{base::NodeId{1}, {}, "other:1", true}};
  cell.restart(1);
  cell.settle();
  CHECK_FALSE(cell.node(1).fatal);
  CHECK(cell[1].config().members.size() == 3);
  bool told = false;
  for (const std::string& text : cell.node(1).notices) told |= contains(text, "other:1");
  CHECK(told);
}
