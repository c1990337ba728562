// Oracle over applied states: no conflicting holds, tokens only grow, nobody is overtaken, equal
// slots have equal digests. It looks at rows, not at the code that made them.
#pragma once

#include <map>
#include <set>
#include <string>

#include "lockcore/locks/lock_table.h"
#include "tests/sim/checkers/model_checker.h"
#include "tests/sim/world.h"

namespace holdfast::sim {

class StateChecker {
 public:
  StateChecker(World& world, ModelChecker& model) : world_(world), model_(model) {}
  // A node has applied everything through table.meta().applied.
  void on_applied(base::NodeId node, const locks::LockTable& table);
  // This is what a node has found on its disk.
  void on_recovered(base::NodeId node, const locks::LockTable& table);

 private:
  void check_conflicts(base::NodeId node, const base::StateRows& rows);
  void check_holds(base::NodeId node, const base::StateRows& rows);
  // 2.6: no hold that is new came before a waiter that conflicts with it and asked earlier.
  void check_order(const base::StateRows& rows);

  World& world_;
  ModelChecker& model_;
  std::map<base::Slot, uint64_t> digests_;
  std::map<std::string, base::Token> newest_exclusive_;  // as first seen, on any node
  std::set<base::Token> seen_;
  base::Slot newest_;
  uint64_t newest_cell_time_ms_ = 0;  // at newest_
  std::set<base::Token> in_order_;    // the holds that check_order() has seen
  base::Revision looked_at_;          // when, last
  std::map<std::pair<base::LeaseId, base::HolderId>, base::Revision> queued_;  // who waited then
};

}  // namespace holdfast::sim
