#include "tests/sim/checkers/log_checker.h"

namespace holdfast::sim {
namespace {

std::string value_of(const base::Entry& entry) {
  return std::string(1, static_cast<char>('0' + static_cast<int>(entry.kind))) + *entry.value;
}

std::string name_of(const base::Entry& entry) {
  return "slot " + std::to_string(entry.slot.value) + " in ballot " +
         std::to_string(entry.ballot.round) + "." + std::to_string(entry.ballot.node.value);
}

}  // namespace

void LogChecker::on_written(base::NodeId node, const base::Entry& entry) {
  Proposal& proposal = proposals_[{entry.slot, entry.ballot}];
  if (proposal.value.empty()) proposal.value = value_of(entry);
  if (proposal.value != value_of(entry)) {
    world_.fail(name_of(entry) + " has two values; node " + std::to_string(node.value) +
                " has the second");
  }
}

void LogChecker::on_durable(base::NodeId node, const base::Entry& entry) {
  Proposal& proposal = proposals_[{entry.slot, entry.ballot}];
  proposal.durable_on.insert(node);
  if (proposal.durable_on.size() < quorum_) return;
  const auto [it, fresh] = chosen_.emplace(entry.slot, proposal.value);
  if (!fresh && it->second != proposal.value) {
    world_.fail(name_of(entry) + " is the second value chosen there");
  }
  for (auto next = chosen_.find(contiguous_.next()); next != chosen_.end();
       next = chosen_.find(contiguous_.next())) {
    contiguous_ = contiguous_.next();
    on_chosen_(contiguous_, static_cast<base::EntryKind>(next->second[0] - '0'),
               next->second.substr(1));
  }
}

void LogChecker::on_applied(base::NodeId node, base::Slot through) {
  if (through > contiguous_) {
    world_.fail("node " + std::to_string(node.value) + " applied slot " +
                std::to_string(through.value) + ", but only those through " +
                std::to_string(contiguous_.value) + " are durable on a quorum");
  }
}

}  // namespace holdfast::sim
