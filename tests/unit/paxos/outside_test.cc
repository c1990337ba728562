// Bytes come from outside: what makes no sense is ignored, and never ends the process.
#include <doctest/doctest.h>

#include "tests/unit/paxos/cell.h"

using namespace holdfast;
using namespace holdfast::paxos;
using namespace holdfast::paxos::test;
using base::Ballot;
using base::Confirm;
using base::NodeId;
using base::Slot;

TEST_CASE("paxos: who has not said hello, or not acceptably, is not heard") {
  Cell cell(3);
  cell.restart(2);
  cell.crash(2);
  cell.start(2);  // knows nobody yet
  const Ballot ballot{3, NodeId{1}};
  cell.say(1, 2, Prepare{ballot, Slot{1}});
  cell.say(9, 2, Prepare{Ballot{3, NodeId{9}}, Slot{1}});
  CHECK(cell[2].promised() == Ballot{});
}

TEST_CASE("paxos: a ballot speaks only through its own node") {
  // Node 3 can't propose, or ask for promises, in node 1's name.
  Cell cell(3);
  const Ballot ballot{3, NodeId{1}};
  cell.say(3, 2, Prepare{ballot, Slot{1}});
  cell.say(3, 2, Accept{ballot, {entry(1, ballot, "x")}, Slot{}, Confirm{1}});
  cell.say(3, 2, Heartbeat{ballot, Slot{}, Confirm{1}});
  cell.say(3, 2, Probe{ballot});
  CHECK(cell[2].promised() == Ballot{});
  CHECK(cell[2].leader() == NodeId{});
  CHECK(cell.mail.empty());
}

TEST_CASE("paxos: an accept that makes no sense is ignored as a whole") {
  Cell cell(3);
  const Ballot ballot{3, NodeId{1}}, other{2, NodeId{1}};
  std::vector<base::Entry> bad = {entry(0, ballot, "x"),
                                  entry(1, other, "x"),
                                  entry(uint64_t{1} << 63, ballot, "x"),
                                  entry(1, ballot, "x", base::EntryKind::kNoOp),
                                  entry(1, ballot, "x", base::EntryKind::kReconfigure),
                                  entry(1, ballot, "x", static_cast<base::EntryKind>(99))};
  bad.push_back(entry(1, ballot, "x"));
  bad.back().value = nullptr;
  for (const base::Entry& wrong : bad) {
    cell.say(1, 2, Accept{ballot, {entry(1, ballot, "x"), wrong}, Slot{}, Confirm{1}});
    CHECK(cell.node(2).disk.pending.empty());
    CHECK(cell.mail.empty());
  }
}

TEST_CASE("paxos: absurd numbers are ignored wherever they come") {
  Cell cell(3);
  const uint64_t huge = ~uint64_t{0};
  const Ballot absurd{huge, NodeId{2}};
  cell.elect(1);
  const Ballot ballot = cell[1].ballot();
  const std::vector<Message> messages = {
      Prepare{absurd, Slot{1}},
      Prepare{Ballot{50, NodeId{2}}, Slot{0}},
      Prepare{Ballot{50, NodeId{2}}, Slot{huge}},
      Accept{absurd, {}, Slot{}, Confirm{}},
      Heartbeat{absurd, Slot{}, Confirm{}},
      Heartbeat{Ballot{}, Slot{}, Confirm{}},
      Probe{absurd},
      ProbeReply{Ballot{}, true, absurd},
      Reject{ballot, absurd},
      Reject{ballot, Ballot{}},
      Accepted{ballot, {Slot{0}, Slot{huge}, Slot{9999}}, Confirm{huge}},
      HeartbeatReply{ballot, Confirm{huge}, Slot{huge}, Slot{huge}, Slot{huge}},
      Promise{ballot, Slot{huge}, Slot{huge}, {}, 7, 3},
      Promise{ballot, Slot{}, Slot{}, {}, 0, 0},
      Fetch{Slot{0}, Slot{5}},
      Fetch{Slot{5}, Slot{1}},
      Fetch{Slot{1}, Slot{huge}},
      FetchReply{Slot{0}, Slot{0}, Slot{huge}, {}},
      FetchReply{Slot{1}, Slot{1}, Slot{1}, {entry(2, ballot, "x")}},
      FetchReply{Slot{2}, Slot{1}, Slot{1}, {entry(2, ballot, "x")}},
      FoundPropose{},
      FoundAck{},
      FoundCommit{}};
  for (const Message& message : messages) {
    cell.say(2, 1, message);
    cell.settle();
  }
  CHECK(cell[1].role() == Role::kLeader);
  CHECK(cell[1].ballot() == ballot);
  const Slot slot = cell.propose(1, "x");
  cell.settle();
  CHECK(cell[1].chosen_upto() == slot);
}

TEST_CASE("paxos: a candidate takes no absurd promise") {
  // One row at slot 2^61 would mean as many no-ops.
  Cell cell(3);
  cell.ask_to_lead(1);
  cell.deliver_if(is<Probe>());
  cell.deliver_if(is<ProbeReply>());
  cell.flush(1);
  cell.drop_if(everything);
  const Ballot ballot = cell[1].ballot(), old{1, NodeId{2}};
  cell.say(2, 1, Promise{ballot, Slot{1}, Slot{}, {entry(uint64_t{1} << 61, old, "x")}, 0, 1});
  cell.say(2, 1, Promise{ballot, Slot{1}, Slot{}, {}, 0, 0xffffffff});
  // Nor one that is far away only if its sender's word on what is chosen counts, which it doesn't
  // before it is complete.
  const Slot far{uint64_t{1} << 61};
  cell.say(3, 1, Promise{ballot, Slot{1}, far, {entry(far.value + 1, old, "x")}, 0, 2});
  CHECK(cell[1].role() == Role::kCandidate);
  cell.say(2, 1, Promise{ballot, Slot{1}, Slot{}, {}, 0, 1});
  CHECK(cell[1].role() == Role::kLeader);
}
