// Oracle over hellos: a directory that was wiped, or put back as an older copy, is never let in
// again (P10): its owner has forgotten promises.
#pragma once

#include <set>
#include <string>

#include "lockcore/base/ids.h"
#include "tests/sim/world.h"

namespace holdfast::sim {

class LifeChecker {
 public:
  explicit LifeChecker(World& world) : world_(world) {}
  // From now on this node runs on a disk that has forgotten what it had promised.
  void on_forgotten(base::NodeId node) { forgotten_.insert(node); }
  bool has_forgotten(base::NodeId node) const { return forgotten_.contains(node); }
  // `by` heard the hello of the present process of `peer`, and has nothing against it.
  void on_admitted(base::NodeId by, base::NodeId peer) {
    if (!forgotten_.contains(peer) || forgotten_.contains(by)) return;
    world_.fail("node " + std::to_string(by.value) + " lets node " + std::to_string(peer.value) +
                " in, whose disk has forgotten what it promised (P10)");
  }

 private:
  World& world_;
  std::set<base::NodeId> forgotten_;
};

}  // namespace holdfast::sim
