// Catch-up from the others' logs, in memory and on disk.
#include <doctest/doctest.h>

#include "lockcore/base/limits.h"
#include "tests/unit/paxos/cell.h"

using namespace holdfast;
using namespace holdfast::paxos;
using namespace holdfast::paxos::test;
using base::Ballot;
using base::Confirm;
using base::NodeId;
using base::Slot;

namespace {

void heartbeat(Cell& cell, uint64_t leader) {
  cell.pass(51);
  cell.tick(leader);
  cell.settle();
}

}  // namespace

TEST_CASE("paxos: a node that was down fetches what it missed") {
  Cell cell(3);
  cell.elect(1);
  cell.crash(3);
  for (int i = 0; i < 20; ++i) cell.propose(1, std::to_string(i));
  cell.settle();
  cell.restart(3);
  cell.settle();
  heartbeat(cell, 1);
  CHECK(cell.value_at(3, 21) == "19");
  CHECK(cell[3].durable_upto() == Slot{21});  // stored like accepted rows
}

TEST_CASE("paxos: rows that are no longer in memory are read from log.db") {
  // The cache of applied entries is bounded; a laggard may lack more than it holds.
  Cell cell(3);
  cell.elect(1);
  cell.crash(3);
  const std::string big(base::kMaxBatchBytes, 'x');
  for (int i = 0; i < 40; ++i) {  // 20 MiB
    cell.propose(1, std::to_string(i) + big);
    cell.settle();
  }
  cell.restart(3);
  cell.settle();
  heartbeat(cell, 1);
  CHECK(cell.node(3).applied.size() == 41);
  CHECK(cell.value_at(3, 2) == "0" + big);
}

TEST_CASE(
    "paxos: an answer to a fetch is limited in size, and the next part is asked for at once") {
  Cell cell(3);
  cell.elect(1);
  cell.crash(3);
  const std::string big(base::kMaxBatchBytes, 'x');
  for (int i = 0; i < 6; ++i) cell.propose(1, big);
  cell.settle();
  cell.restart(3);
  cell.deliver_if(is<Heartbeat>(1, 3));
  size_t replies = 0;
  while (cell.deliver_if(is<Fetch>(3, 1)) > 0) {
    const FetchReply* reply = cell.find<FetchReply>(1, 3);
    REQUIRE(reply != nullptr);
    size_t bytes = 0;
    for (const base::Entry& row : reply->entries) bytes += row.bytes();
    CHECK(bytes <= base::kMaxFetchBytes);
    ++replies;
    cell.deliver_if(is<FetchReply>(1, 3));
  }
  CHECK(replies > 2);
  CHECK(cell.node(3).applied.size() == 7);
}

TEST_CASE("paxos: a lost fetch is asked again, one at a time") {
  Cell cell(3);
  cell.elect(1);
  cell.crash(3);
  cell.propose(1, "x");
  cell.settle();
  cell.restart(3);
  cell.deliver_if(is<Heartbeat>(1, 3));
  REQUIRE(cell.count<Fetch>(3, 1) == 1);
  cell.turn(3);
  CHECK(cell.count<Fetch>(3, 1) == 1);
  cell.drop_if(everything);
  cell.pass(201);
  cell.tick(3);
  CHECK(cell.count<Fetch>(3, 1) == 1);
}

TEST_CASE("paxos: fetching promises nothing") {
  // A laggard that fetched rows of a high ballot must still be able to hear the present leader.
  Cell cell(3);
  const Ballot high{9, NodeId{1}};
  cell.say(1, 3, FetchReply{Slot{1}, Slot{1}, Slot{1}, {entry(1, high, "x")}});
  cell.flush(3);
  CHECK(cell[3].promised() == Ballot{});
  CHECK(cell.value_at(3, 1) == "x");
}

TEST_CASE("paxos: of two rows that are known chosen, the one of the higher ballot stays") {
  // Both hold the chosen value; the higher ballot is what tells a later phase 1 so.
  Cell cell(3);
  const Ballot high{9, NodeId{2}}, low{3, NodeId{2}};
  cell.say(2, 3, Accept{high, {entry(1, high, "x")}, Slot{}, Confirm{1}});
  cell.say(1, 3, FetchReply{Slot{1}, Slot{1}, Slot{1}, {entry(1, low, "x")}});
  cell.flush(3);
  CHECK(cell.value_at(3, 1) == "x");
  CHECK(cell.row(3, 1)->ballot == high);
}

TEST_CASE("paxos: a leader learns from a follower that knows more") {
  // Node 3 applied slots that its two quorum partners don't know chosen; its votes for them are no
  // longer to be had (the rows left its memory), so its word must do.
  Cell cell(3);
  cell.elect(1);
  const Ballot ballot = cell[1].ballot();
  const Slot slot = cell.propose(1, "x");
  cell.drop_if(everything);
  cell.flush(1);
  cell.say(3, 1, HeartbeatReply{ballot, Confirm{}, slot, slot, Slot{}});
  REQUIRE(cell.count<Fetch>(1, 3) == 1);
  cell.say(3, 1, FetchReply{slot, Slot{1}, slot, {entry(slot.value, ballot, "x")}});
  CHECK(cell[1].chosen_upto() == slot);
  CHECK(cell[1].role() == Role::kLeader);
}

TEST_CASE("paxos: a leader that fetches a row of a higher ballot steps down") {
  // It proposed x there, a higher ballot chose y. Were it to lead on and say "chosen through here",
  // followers that accepted its x would apply it (P5).
  Cell cell(3);
  cell.elect(1);
  const Ballot ballot = cell[1].ballot();
  const Slot slot = cell.propose(1, "x");
  cell.drop_if(everything);
  cell.flush(1);
  const Ballot higher{ballot.round + 1, NodeId{2}};
  cell.say(3, 1, FetchReply{slot, Slot{1}, slot, {entry(slot.value, higher, "y")}});
  CHECK(cell[1].role() == Role::kFollower);
  CHECK(cell.value_at(1, slot.value) == "y");
}

TEST_CASE("paxos: a laggard behind the first retained slot says so, and asks for a snapshot") {
  // P6: what it lacks is gone from the log; asking for it again would never end.
  Cell cell(3);
  const Ballot ballot{3, NodeId{1}};
  cell.say(1, 3, Heartbeat{ballot, Slot{500}, Confirm{1}});
  REQUIRE(cell.count<Fetch>(3, 1) == 1);
  cell.drop_if(everything);
  for (int i = 0; i < 3; ++i) {
    cell.say(1, 3, FetchReply{Slot{1}, Slot{400}, Slot{500}, {}});
    CHECK(cell.count<Fetch>() == 0);
    CHECK(cell.count<SnapshotFetch>(3, 1) == 1);
    cell.say(1, 3, Heartbeat{ballot, Slot{500}, Confirm{1}});
  }
  size_t told = 0;
  for (const std::string& text : cell.node(3).notices) {
    told += text.find("lags behind") != std::string::npos;
  }
  CHECK(told == 1);
}

TEST_CASE("paxos: accepts far above what is applied count as lost") {
  // DESIGN 2.10: memory is bounded whatever arrives.
  Cell cell(3);
  const Ballot ballot{3, NodeId{1}};
  cell.say(
      1, 3,
      Accept{ballot, {entry(base::kMaxUnappliedSlots + 1, ballot, "far")}, Slot{}, Confirm{1}});
  cell.flush(3);
  REQUIRE(cell.find<Accepted>(3, 1) != nullptr);
  CHECK(cell.find<Accepted>(3, 1)->slots.empty());
  CHECK(cell.row(3, base::kMaxUnappliedSlots + 1) == nullptr);
}
