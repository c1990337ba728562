#include "tests/sim/checkers/fence_checker.h"

#include <algorithm>

namespace holdfast::sim {

void FenceChecker::on_write(const std::string& lock, base::Mode mode, base::Token token) {
  Resource& resource = resources_[lock];
  const Admitted& before = mode == base::Mode::kExclusive ? resource.any : resource.exclusive;
  if (token < before.token) {
    ++refused_;
    return;
  }
  const auto granted = order_.find(token);
  if (granted == order_.end()) {
    world_.fail("a client has token " + std::to_string(token.value) + " of " + lock +
                ", which no chosen command granted");
    return;
  }
  if (granted->second < before.order) {
    world_.fail("behind " + lock + " a write with token " + std::to_string(token.value) +
                " is let in after one with " + std::to_string(before.token.value) +
                ", which is of a later grant");
  }
  const auto note = [&](Admitted& newest) {
    newest = {std::max(newest.token, token), std::max(newest.order, granted->second)};
  };
  note(resource.any);
  if (mode == base::Mode::kExclusive) note(resource.exclusive);
}

}  // namespace holdfast::sim
