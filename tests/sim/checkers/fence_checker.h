// Oracle, and the resource that it guards: writes that carry tokens. Whatever clocks do, who admits
// no token below one that came before in a conflicting mode never lets an older grant in after a
// newer one (DESIGN 2.2, 10).
//
// Which grant is older it knows from the order of the chosen commands, not from tokens.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "lockcore/base/ids.h"
#include "lockcore/base/state_rows.h"
#include "tests/sim/world.h"

namespace holdfast::sim {

class FenceChecker {
 public:
  explicit FenceChecker(World& world) : world_(world) {}
  // The next grant, in the order of the chosen commands.
  void on_granted(base::Token token) { order_.emplace(token, order_.size() + 1); }
  // A write comes to the resource behind the lock.
  void on_write(const std::string& lock, base::Mode mode, base::Token token);
  uint64_t refused() const { return refused_; }

 private:
  struct Admitted {
    base::Token token;
    uint64_t order = 0;
  };
  struct Resource {
    Admitted exclusive, any;  // the newest
  };

  World& world_;
  std::map<base::Token, uint64_t> order_;
  std::map<std::string, Resource> resources_;
  uint64_t refused_ = 0;
};

}  // namespace holdfast::sim
