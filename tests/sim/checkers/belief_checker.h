// Oracle: two machines never believe, at once, that they may write.
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
  // From now until end_belief() this client counts on the lock whenever `believes` says so. That
  // may be no for a while: a client that was late with a renewal, and is told all the same that its
  // lease lives, has its locks still.
  void begin_belief(uint32_t client, const std::string& lock, base::Mode mode, base::Token token,
                    std::function<bool()> believes);
  void end_belief(uint32_t client, const std::string& lock, base::Token token);
  // This client was told that its lease lives.
  void check(uint32_t client);

 private:
  struct Belief {
    uint32_t client;
    base::Mode mode;
    base::Token token;
    std::function<bool()> believes;
  };
  void check(const std::string& lock, const Belief& one, const std::vector<Belief>& all);

  World& world_;
  std::map<std::string, std::vector<Belief>> beliefs_;
};

}  // namespace holdfast::sim
