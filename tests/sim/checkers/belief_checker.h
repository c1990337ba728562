// Oracle: two machines never believe, at once, that they may write; and tokens fence.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "lockcore/base/ids.h"
#include "lockcore/base/state_rows.h"
#include "tests/sim/world.h"

namespace holdfast::sim {

class BeliefChecker {
 public:
  explicit BeliefChecker(World& world) : world_(world) {}
  // From now until end_belief(), or until `still_believes` says no, this client counts on the lock.
  void begin_belief(uint32_t client, const std::string& lock, base::Mode mode, base::Token token,
                    std::function<bool()> still_believes);
  void end_belief(uint32_t client, const std::string& lock, base::Token token);

 private:
  struct Belief {
    uint32_t client;
    base::Mode mode;
    base::Token token;
    std::function<bool()> still;
  };
  World& world_;
  std::map<std::string, std::vector<Belief>> beliefs_;
};

}  // namespace holdfast::sim
