// Fence: the greatest admitted token of each lock and mode.
#include <holdfast/holdfast.h>

#include <array>
#include <map>
#include <mutex>

#include "lockcore/locks/modes.h"

namespace holdfast {

struct Fence::State {
  std::mutex mutex;
  std::map<std::string, std::array<uint64_t, locks::kModeCount>, std::less<>> admitted;
};

Fence::Fence() : state_(std::make_unique<State>()) {}
Fence::~Fence() = default;

void Fence::admit(std::string_view lock, uint64_t token, Mode mode) {
  const std::lock_guard guard(state_->mutex);
  auto found = state_->admitted.find(lock);
  if (found == state_->admitted.end()) {
    found = state_->admitted.emplace(std::string(lock), std::array<uint64_t, 6>{}).first;
  }
  for (size_t other = 0; other < found->second.size(); ++other) {
    const uint64_t seen = found->second[other];
    if (seen <= token || go_together(mode, static_cast<Mode>(other))) continue;
    throw Error(Code::fenced,
                "token " + std::to_string(token) + " of '" + std::string(lock) + "' comes after " +
                    std::to_string(seen) + ": a newer holder was here",
                {{"lock", std::string(lock)}, {"token", std::to_string(seen)}});
  }
  uint64_t& mine = found->second[static_cast<size_t>(mode)];
  mine = std::max(mine, token);
}

}  // namespace holdfast
