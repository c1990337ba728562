#include "lockcore/locks/deadlock.h"

#include <string>

#include "lockcore/base/lease_text.h"

namespace holdfast::locks {

const Claim* own_hold_in_the_way(const Lock& lock, const Lease& lease, base::AgentId agent,
                                 base::Mode mode) {
  if (!agent) return nullptr;
  const auto in_the_way = [&](const Claim& hold) {
    return &hold.lock->second == &lock && hold.lease == &lease && hold.agent == agent &&
           (conflicts_of(mode) & set_of(hold.mode)) != 0;
  };
  // A lock may have many shared holders and a lease many holds: through the shorter list.
  if (lock.held_modes.total() <= lease.hold_count) {
    for (const Claim* c = lock.holders.front(); c != nullptr; c = ClaimsOfLock::next(c)) {
      if (in_the_way(*c)) return c;
    }
  } else {
    for (const Claim* c = lease.holds.front(); c != nullptr; c = ClaimsOfLease::next(c)) {
      if (in_the_way(*c)) return c;
    }
  }
  return nullptr;
}

base::Error would_wait_for_itself(const Claim& hold) {
  const std::string& lock = hold.lock->first;
  const std::string lease = base::lease_text(hold.lease->row.id);
  const std::string token = std::to_string(hold.id.value);
  return {base::ErrorCode::kDeadlock,
          "whoever asks for lock \"" + lock + "\" holds it already, under lease " + lease +
              " with token " + token + ", and would wait for itself",
          {{"lock", lock}, {"lease", lease}, {"token", token}}};
}

}  // namespace holdfast::locks
