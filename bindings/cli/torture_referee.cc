#include "bindings/cli/torture_referee.h"

#include <algorithm>

namespace holdfast::cli {

std::optional<std::string> Referee::enter(const std::string& lock, const Grant& grant) {
  const std::lock_guard guard(mutex_);
  Name& name = names_[lock];
  const std::string token = std::to_string(grant.token());
  std::optional<std::string> wrong;
  for (const Grant* other : name.believers) {
    if (go_together(other->mode(), grant.mode())) continue;
    // Both at once, by each one's own certainty: this is what must never be.
    if (other->held() && grant.held()) {
      wrong = "two hold " + lock + " at once: tokens " + std::to_string(other->token()) + " and " +
              token;
    }
  }
  if (!name.tokens.insert(grant.token()).second) wrong = "token " + token + " came twice";
  name.believers.push_back(&grant);
  return wrong;
}

void Referee::leave(const std::string& lock, const Grant& grant) {
  const std::lock_guard guard(mutex_);
  std::erase(names_[lock].believers, &grant);
}

bool Referee::admits(const std::string& lock, const Grant& grant) {
  const std::lock_guard guard(mutex_);
  try {
    fence_.admit(lock, grant.token(), grant.mode());
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace holdfast::cli
