// Oracle over the logs: one value per slot and ballot, one chosen value per slot, for ever.
//
// It decides by itself what is chosen, from what is durable on the simulated disks: a value that a
// quorum holds in one ballot. It asks no node.
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
  LogChecker(World& world, uint32_t voters, OnChosen on_chosen)
      : world_(world), quorum_(voters / 2 + 1), on_chosen_(std::move(on_chosen)) {}
  // A node hands this entry to its writer.
  void on_written(base::NodeId node, const base::Entry& entry);
  // It is durable there.
  void on_durable(base::NodeId node, const base::Entry& entry);
  // A node's state machine has gone past this slot: it must be chosen by now.
  void on_applied(base::NodeId node, base::Slot through);

 private:
  struct Proposal {
    base::Entry entry;
    std::set<base::NodeId> durable_on;
  };

  World& world_;
  const size_t quorum_;
  const OnChosen on_chosen_;
  std::map<std::pair<base::Slot, base::Ballot>, Proposal> proposals_;
  std::map<base::Slot, base::Entry> chosen_;
  base::Slot contiguous_;  // every slot through here is in chosen_
};

}  // namespace holdfast::sim
