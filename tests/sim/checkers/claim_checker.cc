#include "tests/sim/checkers/claim_checker.h"

#include <string>

namespace holdfast::sim {

void ClaimChecker::on_said(base::NodeId node, const Disk& disk, const paxos::Message& message) {
  bool durable = true;
  const char* what = "";
  if (const auto* prepare = std::get_if<paxos::Prepare>(&message)) {
    what = "asks for promises in a ballot";
    durable = disk.promised() >= prepare->ballot;
  } else if (const auto* promise = std::get_if<paxos::Promise>(&message)) {
    what = "tells a promise, or a row with it,";
    durable = disk.promised() >= promise->ballot;
    for (const base::Entry& row : promise->entries) durable &= disk.holds(row.slot, row.ballot);
  } else if (const auto* accepted = std::get_if<paxos::Accepted>(&message)) {
    what = "says that it accepted what";
    durable = disk.promised() >= accepted->ballot;
    for (const base::Slot slot : accepted->slots) durable &= disk.holds(slot, accepted->ballot);
  }
  if (!durable) {
    world_.fail("node " + std::to_string(node.value) + " " + what + " is not on its disk");
  }
}

}  // namespace holdfast::sim
