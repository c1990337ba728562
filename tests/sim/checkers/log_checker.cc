#include "tests/sim/checkers/log_checker.h"

namespace holdfast::sim {
namespace {

bool same(const base::Entry& a, const base::Entry& b) {
  return a.kind == b.kind && (a.value == b.value || *a.value == *b.value);
}

std::string name_of(const base::Entry& entry) {
  return "slot " + std::to_string(entry.slot.value) + " in ballot " +
         std::to_string(entry.ballot.round) + "." + std::to_string(entry.ballot.node.value);
}

}  // namespace

void LogChecker::on_written(base::NodeId node, const base::Entry& entry) {
  Proposal& proposal = proposals_[{entry.slot, entry.ballot}];
  if (!proposal.entry.value) proposal.entry = entry;
  if (!same(proposal.entry, entry)) {
    world_.fail(name_of(entry) + " has two values; node " + std::to_string(node.value) +
                " has the second");
  }
}

void LogChecker::on_durable(base::NodeId node, const base::Entry& entry) {
  Proposal& proposal = proposals_[{entry.slot, entry.ballot}];
  proposal.durable_on.insert(node);
  if (proposal.durable_on.size() < quorum_) return;
  const auto [it, fresh] = chosen_.emplace(entry.slot, proposal.entry);
  if (!fresh && !same(it->second, proposal.entry)) {
    world_.fail(name_of(entry) + " is the second value chosen there");
  }
  for (auto next = chosen_.find(contiguous_.next()); next != chosen_.end();
       next = chosen_.find(contiguous_.next())) {
    contiguous_ = contiguous_.next();
    on_chosen_(contiguous_, next->second.kind, *next->second.value);
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
