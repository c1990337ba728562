#include "tests/sim/checkers/log_checker.h"

#include <algorithm>

#include "lockcore/base/limits.h"
#include "lockcore/locks/command.h"

namespace holdfast::sim {
namespace {

bool same(const base::Entry& a, const base::Entry& b) {
  return a.kind == b.kind && (a.value == b.value || *a.value == *b.value);
}

std::string name_of(const base::Entry& entry) {
  return "slot " + std::to_string(entry.slot.value) + " in ballot " +
         std::to_string(entry.ballot.round) + "." + std::to_string(entry.ballot.node.value);
}

std::set<base::NodeId> voters_of(const base::Config& config) {
  std::set<base::NodeId> voters;
  for (const base::Member& member : config.members) {
    if (member.voter) voters.insert(member.id);
  }
  return voters;
}

}  // namespace

bool is_quorum(const base::Config& config, const std::set<base::NodeId>& nodes) {
  size_t in_favour = 0;
  for (const base::Member& member : config.members) {
    in_favour += member.voter && nodes.contains(member.id);
  }
  return in_favour > config.voters() / 2;
}

LogChecker::LogChecker(World& world, uint32_t voters, OnChosen on_chosen)
    : world_(world), on_chosen_(std::move(on_chosen)) {
  base::Config& founded = configs_[base::Slot{1}];
  founded.version = {1};
  for (uint32_t i = 1; i <= voters; ++i) founded.members.push_back({{i}, {}, {}, true});
}

const base::Config& LogChecker::config_of(base::Slot slot) const {
  return std::prev(configs_.upper_bound(std::max(slot, base::Slot{1})))->second;
}

bool LogChecker::changes_between(base::Slot from, base::Slot through) const {
  const auto next = changes_.upper_bound(from);
  return next != changes_.end() && *next <= through;
}

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
  if (entry.slot <= contiguous_) check_second(proposal);
  choose_next();
}

void LogChecker::on_mended(base::NodeId node, const base::Entry& entry) {
  const auto chosen = chosen_.find(entry.slot);
  if (chosen != chosen_.end() && same(chosen->second, entry)) return;
  world_.fail("node " + std::to_string(node.value) + " puts " + name_of(entry) +
              ", which isn't chosen, in the place of a damaged row (P11)");
}

bool LogChecker::is_decided(const Proposal& proposal) const {
  return is_quorum(config_of(proposal.entry.slot), proposal.durable_on);
}

void LogChecker::check_second(const Proposal& proposal) {
  if (!is_decided(proposal) || same(chosen_.at(proposal.entry.slot), proposal.entry)) return;
  world_.fail(name_of(proposal.entry) + " is the second value chosen there");
}

// Who decides about a slot is known once all below it is chosen.
void LogChecker::choose_next() {
  while (true) {
    const base::Slot slot = contiguous_.next();
    const auto first = proposals_.lower_bound({slot, base::Ballot{}});
    const auto end = proposals_.lower_bound({slot.next(), base::Ballot{}});
    const auto decided =
        std::find_if(first, end, [this](const auto& p) { return is_decided(p.second); });
    if (decided == end) return;
    contiguous_ = slot;
    const base::Entry& entry = chosen_.emplace(slot, decided->second.entry).first->second;
    for (auto other = first; other != end; ++other) check_second(other->second);
    if (entry.kind == base::EntryKind::kReconfigure) reconfigure(slot, *entry.value);
    on_chosen_(slot, entry.kind, *entry.value);
  }
}

void LogChecker::reconfigure(base::Slot slot, const std::string& value) {
  changes_.insert(slot);
  std::string why;
  const auto batch = locks::decode_batch(value, why);
  const locks::Reconfigure* change = batch ? locks::as_reconfigure(*batch) : nullptr;
  if (change == nullptr) return world_.fail("a membership change that can't be read: " + why);
  const base::Config& before = config();
  if (change->config.version != before.version.next()) return;  // decided too late: does nothing
  const auto old_voters = voters_of(before), new_voters = voters_of(change->config);
  std::set<base::NodeId> differ;
  std::ranges::set_symmetric_difference(old_voters, new_voters,
                                        std::inserter(differ, differ.begin()));
  if (differ.size() > 1) {
    world_.fail("the membership changes by " + std::to_string(differ.size()) + " voters at slot " +
                std::to_string(slot.value) + ": quorums before and after it need not meet (P9)");
  }
  for (const base::NodeId node : new_voters) {
    const uint64_t has = applied_[node].value + base::kMaxPromotionLag + base::kMaxSlotsInFlight;
    if (old_voters.contains(node) || has >= slot.value) continue;
    world_.fail("node " + std::to_string(node.value) + " is promoted at slot " +
                std::to_string(slot.value) + ", and has applied " +
                std::to_string(applied_[node].value));
  }
  configs_[slot.next()] = change->config;
}

void LogChecker::on_applied(base::NodeId node, base::Slot through) {
  applied_[node] = through;
  if (through > contiguous_) {
    world_.fail("node " + std::to_string(node.value) + " applied slot " +
                std::to_string(through.value) + ", but only those through " +
                std::to_string(contiguous_.value) + " are durable on a quorum");
  }
}

}  // namespace holdfast::sim
