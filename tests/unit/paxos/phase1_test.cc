// P3 and P6: what a new leader proposes again, and what it must fetch first.
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

namespace {

const Ballot kFirst{1, NodeId{3}};
const Ballot kSecond{2, NodeId{4}};
const Ballot kThird{3, NodeId{5}};

// As if that ballot's leader had reached only this node.
void accepted_by(Cell& cell, uint64_t node, Ballot ballot, std::vector<base::Entry> entries) {
  cell.say(ballot.node.value, node, Accept{ballot, std::move(entries), Slot{}, Confirm{1}});
  cell.flush(node);
  cell.drop_if(everything);
}

}  // namespace

TEST_CASE("paxos: a new leader re-proposes the value of the highest ballot") {
  // P3. The lower one was not chosen, or the higher one would be the same.
  Cell cell(5);
  accepted_by(cell, 1, kFirst, {entry(1, kFirst, "old")});
  accepted_by(cell, 2, kThird, {entry(1, kThird, "new")});
  accepted_by(cell, 3, kSecond, {entry(1, kSecond, "between")});
  cell.elect(1);
  for (uint64_t id = 1; id <= 5; ++id) {
    cell.pass(60);
    cell.tick(1);
    cell.settle();
    CHECK(cell.value_at(id, 1) == "new");
  }
  CHECK(cell.row(1, 1)->ballot == cell[1].ballot());  // re-proposed in its own ballot
}

TEST_CASE("paxos: the candidate's own row counts like anybody's") {
  Cell cell(3);
  accepted_by(cell, 1, kFirst, {entry(1, kFirst, "mine")});
  cell.elect(1);
  CHECK(cell.value_at(1, 1) == "mine");
}

TEST_CASE("paxos: gaps are closed with no-ops") {
  // P3. Slots are applied in order: a slot that nobody proposes would hold up all above it.
  Cell cell(3);
  accepted_by(cell, 2, kFirst, {entry(3, kFirst, "third")});
  cell.elect(1);
  REQUIRE(cell.node(1).applied.size() == 4);
  CHECK(cell.node(1).applied[0].kind == EntryKind::kNoOp);
  CHECK(cell.node(1).applied[1].kind == EntryKind::kNoOp);
  CHECK(cell.value_at(1, 3) == "third");
  CHECK(cell.node(1).applied[3].kind == EntryKind::kNewLeader);  // above every slot seen
}

TEST_CASE("paxos: a promise in several messages counts when all have come") {
  // P2. The missing part may hold the very row that was chosen.
  Cell cell(3);
  const std::string big(700 * 1024, 'x');
  accepted_by(cell, 2, kFirst,
              {entry(1, kFirst, big), entry(2, kFirst, big), entry(3, kFirst, "last")});
  cell.crash(3);
  cell.ask_to_lead(1);
  cell.deliver_if(is<Probe>());
  cell.deliver_if(is<ProbeReply>());
  cell.flush(1);
  cell.deliver_if(is<Prepare>());
  cell.flush(2);
  cell.drop_if([](const Envelope& e) { return !std::holds_alternative<Promise>(e.message); });
  REQUIRE(cell.count<Promise>(2, 1) == 2);
  const Envelope first = cell.mail[0], second = cell.mail[1];
  cell.mail.clear();
  cell.deliver(second);
  cell.deliver(second);  // a copy is not the other part
  CHECK(cell[1].role() == Role::kCandidate);
  cell.deliver(first);
  REQUIRE(cell[1].role() == Role::kLeader);
  cell.announce(1);
  cell.settle();
  CHECK(cell.value_at(1, 1) == big);
  CHECK(cell.value_at(1, 3) == "last");
}

TEST_CASE("paxos: parts of two copies of a promise are not taken for one promise") {
  // Between the copies the answerer learnt that slots 1 and 2 are chosen, and cut the rest
  // elsewhere. The first part of one and the second of the other would miss what lies between.
  Cell cell(3);
  cell.crash(3);
  cell.ask_to_lead(1);
  cell.deliver_if(is<Probe>());
  cell.deliver_if(is<ProbeReply>());
  cell.flush(1);
  cell.drop_if(everything);
  const Ballot ballot = cell[1].ballot();
  Promise early{ballot, Slot{1}, Slot{0}, {entry(1, kFirst, "a"), entry(2, kFirst, "b")}, 0, 2};
  Promise late{ballot, Slot{1}, Slot{2}, {entry(5, kFirst, "e")}, 1, 2};
  cell.say(2, 1, early);
  cell.say(2, 1, late);
  CHECK(cell[1].role() == Role::kCandidate);
}

TEST_CASE("paxos: what an answerer knows chosen is fetched, not guessed") {
  // P3. Its promise doesn't report chosen rows; taking the gap for empty would put no-ops there.
  Cell cell(3);
  cell.elect(2);
  for (int i = 0; i < 5; ++i) cell.propose(2, "value " + std::to_string(i));
  // Node 1 hears nothing of it.
  cell.drop_if(is<Accept>(2, 1));
  cell.settle();
  cell.pass(60);
  cell.tick(2);
  cell.drop_if(is<Heartbeat>(2, 1));
  cell.settle();
  REQUIRE(cell[3].chosen_upto() == Slot{6});
  REQUIRE(cell[1].chosen_upto() < Slot{6});
  cell.crash(2);
  cell.elect(1);
  CHECK(cell.value_at(1, 2) == "value 0");
  CHECK(cell.value_at(1, 6) == "value 4");
  CHECK(cell.node(1).applied[6].kind == EntryKind::kNewLeader);
}

TEST_CASE("paxos: who lacks what an answerer no longer has can't lead") {
  // P6. Those slots were chosen; whatever it proposed there would be a second value.
  Cell cell(3);
  cell.crash(3);
  cell.ask_to_lead(1);
  cell.deliver_if(is<Probe>());
  cell.deliver_if(is<ProbeReply>());
  cell.flush(1);
  cell.drop_if(everything);
  cell.say(2, 1, Promise{cell[1].ballot(), Slot{100}, Slot{200}, {}, 0, 1});
  CHECK(cell[1].role() == Role::kFollower);
  REQUIRE_FALSE(cell.node(1).notices.empty());
  CHECK(cell.node(1).notices.back().find("for a snapshot") != std::string::npos);
}

TEST_CASE("paxos: a candidate's own late promise doesn't make it lead without a quorum") {
  Cell cell(3);
  cell.ask_to_lead(1);
  cell.deliver_if(is<Probe>());
  cell.deliver_if(is<ProbeReply>());
  REQUIRE(cell[1].role() == Role::kCandidate);
  cell.flush(1);
  CHECK(cell[1].role() == Role::kCandidate);
  // An answer in another ballot is nobody's answer to this question.
  cell.say(2, 1, Promise{Ballot{99, NodeId{1}}, Slot{1}, Slot{0}, {}, 0, 1});
  CHECK(cell[1].role() == Role::kCandidate);
}

TEST_CASE("paxos: a leader may be followed by thousands of re-proposed slots, a few at a time") {
  // After a restart everything above state.db's slot is an accepted value only. Proposing it all at
  // once would put all of it into one write and into everybody's queues.
  Cell cell(3);
  cell.elect(1);
  for (int i = 0; i < 1000; ++i) {
    cell.propose(1, std::to_string(i));
    if (i % 100 == 0) cell.settle();
  }
  cell.settle();
  for (uint64_t id = 1; id <= 3; ++id) cell.crash(id);
  for (uint64_t id = 1; id <= 3; ++id) cell.restart(id);
  CHECK(cell[1].chosen_upto() == Slot{});
  cell.ask_to_lead(1);
  size_t most = 0;
  for (int i = 0; i < 200 && cell.value_at(1, 1001) == "-"; ++i) {
    cell.deliver_if(everything);
    for (uint64_t id = 1; id <= 3; ++id) {
      for (const base::LogWrite& write : cell.node(id).disk.pending) {
        most = std::max(most, write.entries.size());
      }
      cell.flush(id);
    }
  }
  CHECK(cell.value_at(1, 1001) == "999");
  CHECK(most <= base::kMaxSlotsInFlight);
}
