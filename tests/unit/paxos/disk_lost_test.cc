// P10, the second half: who forgot what it promised never votes again.
#include <doctest/doctest.h>

#include "tests/unit/paxos/cell.h"

using namespace holdfast;
using namespace holdfast::paxos;
using namespace holdfast::paxos::test;
using base::Ballot;
using base::FoundingState;
using base::NodeId;
using base::Slot;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("paxos: a wiped voter is refused, ends, and remembers that it may never vote") {
  Cell cell(3);
  cell.elect(1);
  cell.crash(3);
  base::RecoveredLog& log = cell.node(3).disk.log;
  log.incarnation.value = 9999;
  log.promised = {};
  cell.node(3).disk.rows.clear();
  cell.node(3).applied.clear();
  SUBCASE("its directory is empty") {
    log.founding = FoundingState::kEmpty;
    log.config = {};
    cell.restart(3);
  }
  SUBCASE("somebody gave it the cell's record again") {
    log.config.members[2].incarnation.value = 9999;
    cell.restart(3);
    CHECK(contains(log.disk_lost, "member replace"));
    cell.node(3).replica.reset();
    cell.start(3);
  }
  REQUIRE(cell.node(3).fatal);
  CHECK(contains(*cell.node(3).fatal, "lost or wiped"));
  CHECK(contains(*cell.node(3).fatal, "must never vote again"));
  CHECK(contains(*cell.node(3).fatal, "member replace"));
}

TEST_CASE("paxos: the refusal of a wiped voter names its disk, and comes from those who know it") {
  Cell cell(3);
  Hello hello = cell[3].hello();
  hello.incarnation.value = 4711;
  std::optional<Refusal> refusal = cell.greet(1, hello);
  REQUIRE(refusal);
  CHECK(refusal->disk_lost);
  CHECK(contains(refusal->reason, "the disk of node 3 was lost or wiped"));
  hello.founding = FoundingState::kEmpty;
  hello.cell = {};
  refusal = cell.greet(1, hello);
  REQUIRE(refusal);
  CHECK(refusal->disk_lost);
}

TEST_CASE("paxos: an old copy of a directory is refused") {
  Cell cell(3);
  cell.elect(1);
  cell.propose(1, "x");
  cell.settle();
  cell.restart(3);  // node 1 hears its promise and its log's end
  const Hello good = cell[3].hello();
  REQUIRE(good.highest_accepted >= Slot{2});
  SUBCASE("its start count is below what was heard") {
    Hello old = good;
    old.start_count -= 1;
    const auto refusal = cell.greet(1, old);
    REQUIRE(refusal);
    CHECK(refusal->disk_lost);
    CHECK(contains(refusal->reason, "old copy"));
  }
  SUBCASE("it was started as often, but promised less") {
    Hello old = good;
    old.start_count += 1;
    old.process_nonce += 1;
    old.promised = Ballot{};
    CHECK(cell.greet(1, old)->disk_lost);
  }
  SUBCASE("it was started as often, but its log ends earlier") {
    Hello old = good;
    old.start_count += 1;
    old.process_nonce += 1;
    old.highest_accepted = Slot{1};
    CHECK(cell.greet(1, old)->disk_lost);
  }
  SUBCASE("what it accepted after its hello counts too") {
    cell.propose(1, "y");
    cell.settle();
    Hello old = good;
    old.start_count += 1;
    old.process_nonce += 1;
    CHECK(cell.greet(1, old)->disk_lost);  // lacks y
  }
}

TEST_CASE("paxos: a second process with the same directory is refused") {
  // A cloned machine: both would vote.
  Cell cell(3);
  Hello clone = cell[3].hello();
  clone.process_nonce += 1;
  const auto refusal = cell.greet(1, clone);
  REQUIRE(refusal);
  CHECK(refusal->disk_lost);
  CHECK(contains(refusal->reason, "second copy"));
}

TEST_CASE("paxos: an overtaken hello of a healthy process is no sign of loss") {
  // It lay in a second connection while the process accepted more on the first. A false alarm would
  // poison a good disk.
  Cell cell(3);
  const Hello early = cell[3].hello();
  cell.elect(1);
  cell.propose(1, "x");
  cell.settle();
  CHECK_FALSE(cell.greet(1, early));
  Hello founding = early;  // said before the cell was founded
  founding.founding = FoundingState::kEmpty;
  founding.cell = {};
  founding.promised = {};
  CHECK_FALSE(cell.greet(1, founding));
}

TEST_CASE("paxos: a hello that the cell's founding overtook is no sign of loss") {
  // Node 3 never heard of node 2 before: its first hello lies in a lost packet while nodes 1 and 2,
  // and 1 and 3, found the cell in a few milliseconds.
  Cell cell(3, Cell::Start::kEmpty);
  const Hello early = cell[2].hello();
  REQUIRE(early.founding == FoundingState::kEmpty);
  cell.crash(3);
  cell.start(3);
  cell.link(1, 3);
  cell.settle();
  REQUIRE(cell[3].founding() == FoundingState::kFounded);
  const auto refusal = cell.greet(3, early);
  if (refusal) CHECK_FALSE(refusal->disk_lost);
  CHECK_FALSE(cell.greet(3, cell[2].hello()));
}

TEST_CASE("paxos: a copy of a directory from before the founding is refused") {
  Cell cell(3, Cell::Start::kEmpty);
  cell.restart(2);
  Hello copy = cell[2].hello();
  REQUIRE(copy.founding == FoundingState::kEmpty);
  cell.settle();
  REQUIRE(cell[3].founding() == FoundingState::kFounded);
  SUBCASE("as lost, if it shows that it is old") {
    copy.start_count -= 1;
    CHECK(cell.greet(3, copy)->disk_lost);
  }
  SUBCASE("or that it is a copy") {
    copy.process_nonce += 1;
    CHECK(cell.greet(3, copy)->disk_lost);
  }
  SUBCASE("and else for now") {  // its own process ends when it hears ours
    copy.start_count += 1;
    CHECK(cell.greet(3, copy));
  }
}

TEST_CASE("paxos: what is known of a peer's life survives our own restart") {
  Cell cell(3);
  cell.restart(3);
  const Hello good = cell[3].hello();
  cell.settle();
  cell.crash(3);
  cell.restart(1);  // it hears nothing of node 3 now
  REQUIRE(good.start_count > 1);
  Hello old = good;
  old.start_count -= 1;
  const auto refusal = cell.greet(1, old);
  REQUIRE(refusal);
  CHECK(refusal->disk_lost);
}

TEST_CASE("paxos: an honest restart is welcome, again and again") {
  Cell cell(3);
  for (uint64_t id : {1, 2, 3, 2, 1, 3}) {
    cell.elect(1 + id % 3);
    cell.propose(1 + id % 3, "x");
    cell.settle();
    cell.restart(id);
    cell.settle();
    for (uint64_t other = 1; other <= 3; ++other) {
      REQUIRE_MESSAGE(!cell.node(other).fatal, *cell.node(other).fatal);
    }
  }
}

TEST_CASE("paxos: strangers are refused, without a word of lost disks") {
  Cell cell(3);
  const Hello good = cell[3].hello();
  Hello hello = good;
  SUBCASE("another cell") {
    hello.cell.value = 4;
    CHECK(contains(cell.greet(1, hello)->reason, "belongs to"));
  }
  SUBCASE("an unknown node") {
    hello.node = NodeId{8};
    CHECK(contains(cell.greet(1, hello)->reason, "does not know node 8"));
  }
  SUBCASE("our own id") {
    hello.node = NodeId{1};
    CHECK(contains(cell.greet(1, hello)->reason, "two nodes call themselves node 1"));
  }
  SUBCASE("another protocol") {
    hello.protocol = 9;
    CHECK(contains(cell.greet(1, hello)->reason, "protocol 9"));
  }
  CHECK_FALSE(cell.greet(1, hello)->disk_lost);
}

TEST_CASE("paxos: a refusal that is no loss is told once, and ends nothing") {
  Cell cell(3);
  Effects fx;
  const size_t before = cell.node(2).notices.size();
  for (int i = 0; i < 3; ++i) {
    cell[2].on_refused(NodeId{1}, Refusal{"not today", false}, cell.now(), fx);
  }
  CHECK(fx.notices.size() == 1);
  CHECK_FALSE(fx.fatal);
  CHECK(cell.node(2).notices.size() == before);
}
