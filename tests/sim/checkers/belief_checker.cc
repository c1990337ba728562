#include "tests/sim/checkers/belief_checker.h"

#include <utility>

namespace holdfast::sim {

void BeliefChecker::begin_belief(uint32_t client, const std::string& lock, base::Mode mode,
                                 base::Token token, std::function<bool()> still_believes) {
  auto& beliefs = beliefs_[lock];
  // A belief that ended by the client's own deadline never comes back.
  std::erase_if(beliefs, [](const Belief& belief) { return !belief.still(); });
  for (const Belief& other : beliefs) {
    if (other.mode != base::Mode::kExclusive && mode != base::Mode::kExclusive) continue;
    world_.fail("clients " + std::to_string(other.client) + " and " + std::to_string(client) +
                " both believe that they hold " + lock + ", with tokens " +
                std::to_string(other.token.value) + " and " + std::to_string(token.value));
  }
  beliefs.push_back(Belief{client, mode, token, std::move(still_believes)});
}

void BeliefChecker::end_belief(uint32_t client, const std::string& lock, base::Token token) {
  std::erase_if(beliefs_[lock], [&](const Belief& belief) {
    return belief.client == client && belief.token == token;
  });
}

}  // namespace holdfast::sim
