// P7: a leader that hands over gives leave to skip the probe.
#include <doctest/doctest.h>

#include "tests/unit/paxos/cell.h"

using namespace holdfast;
using namespace holdfast::paxos;
using namespace holdfast::paxos::test;
using base::Ballot;
using base::NodeId;
using base::Slot;

namespace {

// Node 1 leads, and has heard the others answer.
Cell led_by_1() {
  Cell cell(3);
  cell.elect(1);
  cell.propose(1, "x");
  cell.settle();
  return cell;
}

std::optional<base::Error> hand_over(Cell& cell, uint64_t from, uint64_t to) {
  Effects fx;
  auto error = cell[from].hand_over(NodeId{to}, cell.now(), fx);
  cell.turn(from);
  return error;
}

}  // namespace

TEST_CASE("paxos: a leader hands over, and the next one leads without having asked anybody") {
  Cell cell = led_by_1();
  const Ballot before = cell[1].ballot();
  REQUIRE_FALSE(hand_over(cell, 1, 2));
  REQUIRE(cell.count<TakeOver>(1, 2) == 1);
  cell.deliver_if(is<TakeOver>());
  CHECK(cell.count<Probe>() == 0);
  CHECK(cell[1].role() == Role::kLeader);  // until somebody has promised a higher ballot
  cell.settle();
  CHECK(cell[2].role() == Role::kLeader);
  CHECK(cell[2].ballot() > before);
  CHECK(cell[1].role() == Role::kFollower);
  cell.announce(2);
  cell.settle();
  CHECK(cell[1].leader() == NodeId{2});
}

TEST_CASE(
    "paxos: what is under way is chosen before a leader hands over, and nothing comes after") {
  Cell cell = led_by_1();
  const Slot slot = cell.propose(1, "y");
  REQUIRE_FALSE(hand_over(cell, 1, 3));
  CHECK_FALSE(cell[1].can_propose());
  CHECK(cell.count<TakeOver>() == 0);
  cell.deliver_if(is<Accept>(1, 2));
  cell.flush(1);
  cell.flush(2);
  cell.deliver_if(is<Accepted>());
  REQUIRE(cell[1].chosen_upto() == slot);
  REQUIRE(cell.count<TakeOver>(1, 3) == 1);
  CHECK(cell.find<TakeOver>(1, 3)->chosen_upto == slot);
  cell.settle();
  CHECK(cell[3].role() == Role::kLeader);
  CHECK(cell.value_at(3, slot.value) == "y");
}

TEST_CASE("paxos: a leader to whom nobody answers in time leads on") {
  Cell cell = led_by_1();
  REQUIRE_FALSE(hand_over(cell, 1, 2));
  for (int i = 0; i < 12; ++i) {
    cell.drop_if(is<TakeOver>());
    cell.settle();
    cell.pass(50);
    cell.tick(1);
  }
  CHECK_FALSE(cell[1].handing_over());
  CHECK(cell[1].role() == Role::kLeader);
  CHECK(cell[1].can_propose());
}

TEST_CASE("paxos: leave that comes late unseats nobody") {
  // The message is delayed, and another leads by then.
  Cell cell = led_by_1();
  const Ballot old = cell[1].ballot();
  const Slot chosen = cell[1].chosen_upto();
  cell.elect(3);
  const Ballot present = cell[3].ballot();
  cell.say(1, 2, TakeOver{old, chosen});
  cell.settle();
  CHECK(cell[3].role() == Role::kLeader);
  CHECK(cell[3].ballot() == present);
  CHECK(cell[2].promised() == present);
}

TEST_CASE("paxos: who can't take over is refused, with the reason") {
  Cell cell = led_by_1();
  const auto why = [&](uint64_t to) { return hand_over(cell, 1, to)->message; };
  CHECK(why(1) == "node 1 leads already");
  CHECK(why(9).find("not a member") != std::string::npos);
  cell.cut(1, 3);
  CHECK(why(3).find("does not answer") != std::string::npos);
  Effects fx;
  const auto refused = cell[2].hand_over(NodeId{3}, cell.now(), fx);
  REQUIRE(refused);
  CHECK(refused->code == base::ErrorCode::kNotLeader);
}

TEST_CASE("paxos: without a name a leader hands over to whoever is furthest") {
  Cell cell = led_by_1();
  cell.propose(1, "y");
  cell.deliver_if(is<Accept>(1, 3));
  cell.drop_if(is<Accept>(1, 2));
  cell.flush(1);
  cell.flush(3);
  cell.deliver_if(is<Accepted>());
  REQUIRE_FALSE(hand_over(cell, 1, 0));
  CHECK(cell[1].handing_over() == NodeId{3});
}
