// Oracle: two machines never believe, at once, that they may write.
#pragma once

#include <functional>
#include <map>
#include <set>
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
  // Its clock, or everybody's, has run beyond ε: what it believes may be wrong, and that is what
  // tokens are for.
  void distrust(uint32_t client) { distrusted_.insert(client); }
  void distrust_everybody() { everybody_distrusted_ = true; }
  bool trusts(uint32_t client) const {
    return !everybody_distrusted_ && !distrusted_.contains(client);
  }
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
  std::set<uint32_t> distrusted_;
  bool everybody_distrusted_ = false;
};

}  // namespace holdfast::sim
