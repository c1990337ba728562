// DESIGN 6: leases are safe while clock rates keep within ε. A node whose clock doesn't is noticed,
// and doesn't lead.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/unit/paxos/cell.h"

using namespace holdfast;
using namespace holdfast::paxos;
using namespace holdfast::paxos::test;
using base::Instant;
using base::NodeId;

namespace {

// Messages take `delay_ms` there and back, alternating between the two extremes: what a network
// does to whoever believes that an answer was half of the round trip old.
void run(Cell& cell, int64_t ms, int64_t delay_ms = 0) {
  constexpr int64_t kStep = 5;
  for (int64_t passed = 0; passed < ms; passed += kStep) {
    const bool slow_there = passed / 1000 % 2 == 0;
    cell.tick_due();
    cell.settle();
    const auto arrives = [&](const Envelope& e) {
      const bool asks = std::holds_alternative<ClockQuery>(e.message);
      const bool answers = std::holds_alternative<ClockReply>(e.message);
      return (!asks && !answers) || asks != slow_there;
    };
    cell.deliver_if(arrives);
    if (delay_ms == 0) cell.settle();
    cell.pass(kStep);
  }
}

bool told(Cell& cell, uint64_t id, const char* words) {
  return std::ranges::any_of(cell.node(id).notices, [words](const std::string& notice) {
    return notice.find(words) != std::string::npos;
  });
}

ClockVerdict verdict(Cell& cell, uint64_t id) {
  return cell[id].clock().verdict;
}

// NewLeader is proposed by whoever leads, as Node does it.
void announce(Cell& cell) {
  if (const uint64_t id = cell.leader(); id != 0 && cell[id].can_propose()) cell.announce(id);
  cell.settle();
}

}  // namespace

TEST_CASE("clocks: nobody is odd while rates keep within the bound, however far apart they are") {
  Cell cell(3);
  cell.set_clock_rate(1, 0.9901);
  cell.set_clock_rate(2, 1.0099);
  cell.elect(1);
  run(cell, 90'000);
  for (uint64_t id = 1; id <= 3; ++id) {
    CHECK(verdict(cell, id) == ClockVerdict::kFine);
    CHECK(cell[id].clock().trouble.empty());
  }
  CHECK(cell.leader() == 1);
}

TEST_CASE("clocks: a leader whose clock runs 5 % fast hands over, and asks no more") {
  Cell cell(3);
  cell.elect(1);
  run(cell, 20'000);
  REQUIRE(verdict(cell, 1) == ClockVerdict::kFine);
  REQUIRE(cell.leader() == 1);
  cell.set_clock_rate(1, 1.05);
  run(cell, 12'000);
  CHECK(verdict(cell, 1) == ClockVerdict::kOdd);
  CHECK(told(cell, 1, "clock doesn't run as a majority's do: node 2's runs"));
  CHECK(told(cell, 2, "a clock runs wrong, not this node's: node 1's runs"));
  const uint64_t next = cell.leader();
  REQUIRE(next != 1);
  REQUIRE(next != 0);
  announce(cell);
  run(cell, 15'000);
  // It is told of what the others think by measuring alone, whoever leads.
  const auto seen = cell[1].clock().against_leader;
  REQUIRE(seen);
  CHECK(seen->first <= 1.05);
  CHECK(seen->second >= 1.0499);
  // The leader dies: the odd one leaves it to the third to ask.
  cell.crash(next);
  const uint64_t third = next == 2 ? 3 : 2;
  run(cell, 3'000);
  CHECK(cell.leader() == third);
}

TEST_CASE("clocks: whose clock runs well again may lead, in time") {
  Cell cell(3);
  cell.elect(1);
  cell.set_clock_rate(2, 0.9);
  run(cell, 12'000);
  REQUIRE(verdict(cell, 2) == ClockVerdict::kOdd);
  Effects fx;
  const auto refused = cell[1].hand_over(NodeId{2}, cell.clock(1), fx);
  REQUIRE(refused);
  CHECK(refused->message.find("its clock") != std::string::npos);
  cell.set_clock_rate(2, 1);
  run(cell, 20'000);
  CHECK(verdict(cell, 2) == ClockVerdict::kFine);
  CHECK(told(cell, 2, "no longer known to run wrong"));
  cell.elect(2);
}

TEST_CASE("clocks: an odd node whom nobody replaces asks all the same, and hands over if it can") {
  Cell cell(3);
  cell.elect(1);
  cell.set_clock_rate(3, 1.1);
  run(cell, 15'000);
  REQUIRE(verdict(cell, 3) == ClockVerdict::kOdd);
  // Node 1 leads no more, and neither it nor node 2 wishes to: they answer, but nobody calls them.
  const base::Ballot ballot = cell[1].ballot();
  cell.say(3, 1, Reject{ballot, {ballot.round + 1, NodeId{3}}});
  REQUIRE(cell.leader() == 0);
  const auto wait = [&](int64_t ms) {
    for (int64_t passed = 0; passed < ms; passed += 25) {
      cell.pass(25);
      cell.tick(3);
      cell.settle();
    }
  };
  wait(8'000);
  CHECK(cell.leader() == 0);
  CHECK(cell[3].leader() == NodeId{});
  CHECK(!told(cell, 3, "asks to lead"));
  wait(5'000);
  CHECK(verdict(cell, 3) == ClockVerdict::kOdd);
  CHECK(told(cell, 3, "asks to lead"));
  CHECK(told(cell, 3, "hands over to node"));
  CHECK(cell.leader() != 0);
}

TEST_CASE("clocks: an odd leader to whom nobody answers the call leads on, and tries again") {
  Cell cell(3);
  cell.elect(1);
  run(cell, 12'000);
  cell.set_clock_rate(1, 0.8);
  int offers = 0;
  for (int64_t passed = 0; passed < 30'000; passed += 5) {
    cell.tick_due();
    for (int round = 0; round < 4; ++round) {
      offers += cell.drop_if(is<TakeOver>()) > 0 && round == 0;
      cell.deliver_if(everything);
      for (uint64_t id = 1; id <= 3; ++id) cell.flush(id);
    }
    cell.pass(5);
    if (cell[1].role() == Role::kLeader && cell[1].can_propose()) cell.propose(1, "x");
  }
  CHECK(cell.leader() == 1);
  CHECK(offers >= 2);
  CHECK(verdict(cell, 1) == ClockVerdict::kOdd);
}

TEST_CASE("clocks: between two nobody decides whose clock runs wrong, but both say so") {
  Cell cell(2);
  cell.elect(1);
  cell.set_clock_rate(1, 1.2);
  run(cell, 15'000);
  for (uint64_t id = 1; id <= 2; ++id) {
    CHECK(verdict(cell, id) == ClockVerdict::kDisputed);
    CHECK(told(cell, id, "nobody knows whose"));
  }
  CHECK(cell.leader() == 1);
}

TEST_CASE("clocks: three that all disagree leave it at that") {
  Cell cell(3);
  cell.elect(1);
  cell.set_clock_rate(1, 1.3);
  cell.set_clock_rate(2, 0.7);
  run(cell, 20'000);
  for (uint64_t id = 1; id <= 3; ++id) CHECK(verdict(cell, id) == ClockVerdict::kDisputed);
  CHECK(cell.leader() == 1);
}

TEST_CASE("clocks: delays raise no alarm, whichever way they lie") {
  Cell cell(3);
  cell.elect(1);
  run(cell, 60'000, 50);
  for (uint64_t id = 1; id <= 3; ++id) {
    CHECK(cell[id].clock().trouble.empty());
    CHECK(verdict(cell, id) != ClockVerdict::kOdd);
  }
}

TEST_CASE("clocks: a machine that starts anew, with its clock at nought, raises no alarm") {
  Cell cell(3);
  cell.elect(1);
  run(cell, 15'000);
  cell.crash(3);
  cell.node(3).clock_then = Instant{};
  cell.node(3).clock_since = cell.now();
  cell.restart(3);
  run(cell, 15'000);
  for (uint64_t id = 1; id <= 3; ++id) CHECK(verdict(cell, id) == ClockVerdict::kFine);
}

TEST_CASE("clocks: an answer that is late, comes twice or tells of the past counts for nothing") {
  Cell cell(3);
  cell.elect(1);
  run(cell, 12'000);
  const Instant now = cell.now();
  cell.say(2, 1, ClockReply{now, now + base::Duration::from_ms(3'600'000)});
  cell.say(2, 1, ClockReply{Instant{}, now + base::Duration::from_ms(3'600'000)});
  run(cell, 600);
  CHECK(verdict(cell, 1) == ClockVerdict::kFine);
  CHECK(cell[1].clock().trouble.empty());
}
