// Oracle: a read sees all that anybody was told, or saw in another read, before it was asked
// (DESIGN 2.8), on whichever node.
#pragma once

#include <algorithm>

#include "lockcore/base/ids.h"
#include "tests/sim/world.h"

namespace holdfast::sim {

class ReadChecker {
 public:
  explicit ReadChecker(World& world) : world_(world) {}
  // Some client was told of this revision, or of a token, which is one.
  void on_told(base::Revision revision) { told_ = std::max(told_, revision); }
  base::Revision told() const { return told_; }
  // A read that was asked when `told` was all that anybody knew has seen the state of `seen`.
  void on_read(base::Revision told, base::Revision seen) {
    on_told(seen);
    if (seen >= told) return;
    world_.fail("a read saw revision " + std::to_string(seen.value) + " although revision " +
                std::to_string(told.value) + " was known before it was asked");
  }

 private:
  World& world_;
  base::Revision told_;
};

}  // namespace holdfast::sim
