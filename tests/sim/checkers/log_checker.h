// Oracle over the logs: one value per slot and ballot, one chosen value per slot, for ever (P4),
// also while the membership changes (P9).
//
// It decides by itself what is chosen, from what is durable on the simulated disks: a value that a
// quorum of the slot's voters holds in one ballot, where the voters of a slot are what the chosen
// values below it say. It asks no node.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>

#include "lockcore/base/log_row.h"
#include "tests/sim/world.h"

namespace holdfast::sim {

class LogChecker {
 public:
  // Told of every slot once it is chosen, in order.
  using OnChosen = std::function<void(base::Slot, base::EntryKind, const std::string& value)>;
  LogChecker(World& world, uint32_t voters, OnChosen on_chosen);
  // A node hands this entry to its writer.
  void on_written(base::NodeId node, const base::Entry& entry);
  // It is durable there.
  void on_durable(base::NodeId node, const base::Entry& entry);
  // It took the place of a row that the node lost to damage: it must be chosen (P11).
  void on_mended(base::NodeId node, const base::Entry& entry);
  // A node's state machine has gone on, through this slot: it must be chosen by now.
  void on_applied(base::NodeId node, base::Slot through);

  // Who decides about this slot, as far as is known.
  const base::Config& config_of(base::Slot slot) const;
  const base::Config& config() const { return configs_.rbegin()->second; }
  // Whether a membership change stands above `from`, through `through`.
  bool changes_between(base::Slot from, base::Slot through) const;

 private:
  struct Proposal {
    base::Entry entry;
    std::set<base::NodeId> durable_on;
  };
  using Proposals = std::map<std::pair<base::Slot, base::Ballot>, Proposal>;

  bool is_decided(const Proposal& proposal) const;
  void choose_next();
  void check_second(const Proposal& proposal);
  void reconfigure(base::Slot slot, const std::string& value);

  World& world_;
  const OnChosen on_chosen_;
  Proposals proposals_;
  std::map<base::Slot, base::Entry> chosen_;
  base::Slot contiguous_;                       // every slot through here is in chosen_
  std::map<base::Slot, base::Config> configs_;  // from this slot on; the first is founded
  std::map<base::NodeId, base::Slot> applied_;  // as last told
  std::set<base::Slot> changes_;                // where a Reconfigure is chosen, with effect or not
};

// A majority of the voters of `config`.
bool is_quorum(const base::Config& config, const std::set<base::NodeId>& nodes);

}  // namespace holdfast::sim
