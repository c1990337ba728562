#include "lockcore/locks/wait_queue.h"

namespace holdfast::locks {

bool grantable(const Lock& lock, base::Mode mode) {
  ModeSet blocked = lock.held_modes.conflicts();
  if (lock.queue != nullptr) blocked |= lock.queue->modes.conflicts();
  return (blocked & set_of(mode)) == 0;
}

Claim* next_grantable(const Lock& lock) {
  if (lock.queue == nullptr) return nullptr;
  ModeSet blocked = lock.held_modes.conflicts();
  // With exclusive and shared alone this looks at one waiter: whatever stops the first stops all.
  for (Claim* waiter = lock.queue->waiters.front(); waiter != nullptr && blocked != kAllConflicting;
       waiter = ClaimsOfLock::next(waiter)) {
    if ((blocked & set_of(waiter->mode)) == 0) return waiter;
    blocked |= conflicts_of(waiter->mode);
  }
  return nullptr;
}

}  // namespace holdfast::locks
