#include "tests/sim/checkers/claim_checker.h"

#include <string>

namespace holdfast::sim {
namespace {

// P11: a vote, the asking for votes, and the word that there will be one.
bool counts(const paxos::Message& message) {
  const auto* reply = std::get_if<paxos::ProbeReply>(&message);
  return std::holds_alternative<paxos::Probe>(message) ||
         std::holds_alternative<paxos::Prepare>(message) ||
         std::holds_alternative<paxos::Promise>(message) ||
         std::holds_alternative<paxos::Accepted>(message) || (reply != nullptr && reply->yes);
}

}  // namespace

void ClaimChecker::on_said(base::NodeId node, const Disk& disk, const paxos::Message& message) {
  if (disk.is_in_doubt() && counts(message)) {
    world_.fail("node " + std::to_string(node.value) +
                " votes, or asks for votes, with a damaged disk (P11)");
  }
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
