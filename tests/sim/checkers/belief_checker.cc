#include "tests/sim/checkers/belief_checker.h"

#include <utility>

#include "tests/unit/locks/simple_model.h"

namespace holdfast::sim {

void BeliefChecker::begin_belief(uint32_t client, const std::string& lock, base::Mode mode,
                                 base::Token token, std::function<bool()> believes) {
  auto& beliefs = beliefs_[lock];
  beliefs.push_back(Belief{client, mode, token, std::move(believes)});
  check(lock, beliefs.back(), beliefs);
}

void BeliefChecker::end_belief(uint32_t client, const std::string& lock, base::Token token) {
  std::erase_if(beliefs_[lock], [&](const Belief& belief) {
    return belief.client == client && belief.token == token;
  });
}

void BeliefChecker::check(uint32_t client) {
  for (const auto& [lock, beliefs] : beliefs_) {
    for (const Belief& belief : beliefs) {
      if (belief.client == client) check(lock, belief, beliefs);
    }
  }
}

void BeliefChecker::check(const std::string& lock, const Belief& one,
                          const std::vector<Belief>& all) {
  if (!trusts(one.client) || !one.believes()) return;
  for (const Belief& other : all) {
    if (&other == &one || !trusts(other.client) || !other.believes()) continue;
    if (locks::SimpleModel::is_compatible(other.mode, one.mode)) continue;
    world_.fail("clients " + std::to_string(other.client) + " and " + std::to_string(one.client) +
                " both believe that they hold " + lock + ", with tokens " +
                std::to_string(other.token.value) + " and " + std::to_string(one.token.value) +
                ", in modes " + base::mode_name(other.mode) + " and " + base::mode_name(one.mode));
  }
}

}  // namespace holdfast::sim
