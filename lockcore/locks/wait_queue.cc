#include "lockcore/locks/wait_queue.h"

#include "lockcore/base/mutant.h"

namespace holdfast::locks {

bool grantable(const Lock& lock, base::Mode mode) {
  ModeSet blocked = lock.held_modes.conflicts();
  if (HF_MUTANT(shared_beside_exclusive)) blocked &= set_of(base::Mode::kExclusive);
  if (lock.queue != nullptr) blocked |= lock.queue->modes.conflicts();
  return (blocked & set_of(mode)) == 0;
}

Claim* next_grantable(const Lock& lock) {
  if (lock.queue == nullptr) return nullptr;
  ModeSet blocked = lock.held_modes.conflicts();
  // With exclusive and shared alone this looks at one waiter: whatever stops the first stops all.
  for (Claim* waiter = lock.queue->waiters.front(); waiter != nullptr && blocked != kAllConflicting;
       waiter = ClaimsOfLock::next(waiter)) {
    if ((blocked & set_of(waiter->mode)) == 0) {
      Claim* behind = ClaimsOfLock::next(waiter);
      return HF_MUTANT(second_comes_first) && behind != nullptr ? behind : waiter;
    }
    blocked |= conflicts_of(waiter->mode);
  }
  return nullptr;
}

}  // namespace holdfast::locks
