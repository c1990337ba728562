// P9: what follows when a membership change is applied.
#include <doctest/doctest.h>

#include "tests/unit/paxos/cell.h"

using namespace holdfast;
using namespace holdfast::paxos;
using namespace holdfast::paxos::test;
using base::Ballot;
using base::Config;
using base::NodeId;
using base::Slot;

namespace {

Config next_of(const Config& config) {
  Config next = config;
  next.version = next.version.next();
  return next;
}
Config with(const Config& config, uint64_t id, bool voter) {
  Config next = next_of(config);
  std::erase_if(next.members, [id](const base::Member& member) { return member.id.value == id; });
  next.members.push_back({{id}, {1000 + id}, address(id), voter});
  return next;
}
Config without(const Config& config, uint64_t id) {
  Config next = next_of(config);
  std::erase_if(next.members, [id](const base::Member& member) { return member.id.value == id; });
  next.removed.push_back({id});
  return next;
}

// Until somebody leads and everybody has applied what is chosen.
void go_on(Cell& cell) {
  for (int i = 0; i < 40; ++i) {
    cell.pass(25);
    cell.tick_due();
    cell.settle();
    const uint64_t leader = cell.leader();
    if (leader != 0 && cell[leader].can_propose() &&
        cell[leader].chosen_upto() < Slot{cell.node(leader).applied.size() + 1}) {
      return;
    }
  }
  FAIL("nobody leads");
}

}  // namespace

TEST_CASE("paxos: behind a membership change nothing is proposed before a new ballot is won") {
  Cell cell(3);
  cell.elect(1);
  const Ballot before = cell[1].ballot();
  const Slot slot = cell.reconfigure(1, without(cell[1].config(), 3));
  CHECK_FALSE(cell[1].can_propose());
  cell.deliver_if(is<Accept>(1, 2));
  cell.flush(1);
  cell.flush(2);
  cell.deliver_if(is<Accepted>(2, 1));  // chosen and applied
  REQUIRE(cell[1].chosen_upto() == slot);
  CHECK(cell[1].role() == Role::kFollower);
  CHECK(cell[1].config().voters() == 2);
  // The last word in the old ballot: so nobody has to fetch it.
  CHECK(cell.find<Heartbeat>(1, 2)->chosen_upto == slot);
  cell.tick(1);
  CHECK(cell[1].role() == Role::kCandidate);
  CHECK(cell.count<Probe>() == 0);
  cell.settle();
  CHECK(cell[1].role() == Role::kLeader);
  CHECK(cell[1].ballot() > before);
  CHECK(cell[2].config().voters() == 2);
}

TEST_CASE("paxos: a node that is removed goes when most of those that stay know it for good") {
  Cell cell(3);
  cell.elect(1);
  cell.reconfigure(1, without(cell[1].config(), 3));
  cell.settle();
  REQUIRE(cell[3].config().find(NodeId{3}) == nullptr);
  CHECK(cell.node(3).notices.back().find("was removed") != std::string::npos);
  cell.record(1);
  cell.link(3, 1);
  cell.link(3, 2);  // which may yet forget it
  CHECK_FALSE(cell.node(3).fatal);
  cell.record(2);
  cell.link(3, 2);
  REQUIRE(cell.node(3).fatal);
  CHECK(cell.node(3).fatal->find("was removed") != std::string::npos);
}

TEST_CASE("paxos: a node that missed its removal is told when it says hello") {
  Cell cell(3);
  cell.elect(1);
  cell.cut(1, 3);
  cell.cut(2, 3);
  cell.reconfigure(1, without(cell[1].config(), 3));
  cell.settle();
  cell.record(1);
  cell.record(2);
  cell.link(3, 1);
  CHECK_FALSE(cell.node(3).fatal);
  cell.link(3, 2);
  REQUIRE(cell.node(3).fatal);
  CHECK(cell.node(3).fatal->find("was removed") != std::string::npos);
}

TEST_CASE("paxos: a node that was removed long ago is told by any member") {
  Cell cell(5);
  cell.elect(1);
  for (uint64_t peer = 1; peer < 5; ++peer) cell.cut(peer, 5);
  cell.reconfigure(1, without(cell[1].config(), 5));
  cell.settle();
  go_on(cell);
  const uint64_t leader = cell.leader();
  cell.announce(leader);
  cell.settle();
  cell.reconfigure(leader, without(cell[leader].config(), leader == 4 ? 3 : 4));
  cell.settle();
  cell.record(1);
  cell.link(5, 1);
  CHECK(cell.node(5).fatal);
}

TEST_CASE("paxos: a removed node that alone learnt that it is lets the others learn it") {
  // Seed 448 of the simulator: of two voters one was removed, and ended.
  Cell cell(1);
  cell.elect(1);
  const uint64_t id = cell.add_joining();
  cell.reconfigure(1, with(cell[1].config(), id, false));
  cell.settle();
  go_on(cell);
  cell.announce(1);
  cell.settle();
  cell.join(id, cell[1].config());
  go_on(cell);
  cell.pass(60);
  cell.tick_due();
  cell.settle();
  cell.reconfigure(1, with(cell[1].config(), id, true));
  cell.settle();
  go_on(cell);
  cell.announce(1);
  cell.settle();
  REQUIRE(cell[id].config().voters() == 2);
  REQUIRE(cell.leader() == 1);
  const Slot slot = cell.reconfigure(1, without(cell[1].config(), 1));
  cell.flush(1);
  cell.deliver_if(is<Accept>(1, id));
  cell.flush(id);
  cell.deliver_if(is<Accepted>(id, 1));
  REQUIRE(cell[1].chosen_upto() == slot);
  cell.cut(1, id);  // the last word in the old ballot is lost
  REQUIRE(cell[id].chosen_upto() < slot);
  REQUIRE_FALSE(cell.node(1).fatal);
  cell.restart(1);
  cell.restart(id);
  go_on(cell);
  CHECK(cell.leader() == id);
  CHECK(cell[id].config().voters() == 1);
  cell.record(id);
  cell.link(1, id);
  CHECK(cell.node(1).fatal);
}

TEST_CASE("paxos: a leader that removes itself leaves the lead to another, without a timeout") {
  Cell cell(3);
  cell.elect(1);
  cell.propose(1, "x");
  cell.settle();
  cell.reconfigure(1, without(cell[1].config(), 1));
  cell.settle();
  cell.tick_due();
  cell.settle();
  CHECK(cell.leader() > 1);
  CHECK(cell[cell.leader()].config().voters() == 2);
}

TEST_CASE("paxos: a node joins as a learner, follows, and votes once it is promoted") {
  Cell cell(3);
  cell.elect(1);
  cell.propose(1, "x");
  const uint64_t id = cell.add_joining();
  CHECK(cell[id].waiting_for().find("learner") != std::string::npos);
  cell.reconfigure(1, with(cell[1].config(), id, false));
  cell.settle();
  go_on(cell);
  const uint64_t leader = cell.leader();
  cell.announce(leader);
  cell.settle();
  cell.join(id, cell[leader].config());
  go_on(cell);
  cell.pass(60);
  cell.tick_due();
  cell.settle();
  CHECK(cell[id].chosen_upto() == cell[leader].chosen_upto());
  CHECK(cell[id].role() == Role::kFollower);
  CHECK(cell[id].leader() == NodeId{leader});
  // It never asks to lead, whatever it doesn't hear.
  for (int i = 0; i < 40; ++i) {
    cell.pass(50);
    cell.tick(id);
  }
  CHECK(cell[id].role() == Role::kFollower);
  CHECK(cell.count<Probe>(id) == 0);
  cell.settle();

  go_on(cell);
  const uint64_t second = cell.leader();
  cell.announce(second);
  cell.settle();
  cell.reconfigure(second, with(cell[second].config(), id, true));
  cell.settle();
  go_on(cell);
  CHECK(cell[cell.leader()].config().voters() == 4);
  // Of four voters two are no quorum.
  const uint64_t third = cell.leader();
  cell.announce(third);
  cell.settle();
  const Slot slot = cell.propose(third, "y");
  cell.flush(third);
  const uint64_t one = third == 1 ? 2 : 1;
  cell.deliver_if(is<Accept>(third, one));
  cell.flush(one);
  cell.deliver_if(is<Accepted>(one, third));
  CHECK(cell[third].chosen_upto() < slot);
  cell.settle();
  cell.pass(60);  // the others hear of it with the next heartbeat
  cell.tick(third);
  cell.settle();
  CHECK(cell.value_at(id, slot.value) == "y");
}
