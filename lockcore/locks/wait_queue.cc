#include "lockcore/locks/wait_queue.h"

#include "lockcore/base/mutant.h"

namespace holdfast::locks {
namespace {

// What the holders, and those that were lost, leave no room for. `converting`: that hold doesn't
// stand in its own way.
ModeSet blocked_by_holders(const Lock& lock, const Claim* converting = nullptr) {
  ModeCounts counts = lock.held_modes;
  if (converting != nullptr) counts.remove(converting->mode);
  return counts.conflicts() | (lock.delay == nullptr ? 0 : lock.delay->blocks);
}

bool permits_left(const Lock& lock, uint32_t permits) {
  const uint64_t lost = lock.delay == nullptr ? 0 : lock.delay->permits;
  const uint64_t one_too_many = HF_MUTANT(semaphore_admits_too_many) ? 1 : 0;
  return lock.held_permits + lost + permits <= lock.capacity + one_too_many;
}

// Has the turn of this claim come in its own lock? It is no conversion.
bool is_served_next(const Claim& waiter) {
  const Lock& lock = waiter.lock->second;
  if (lock.drained) return false;
  const WaitQueue& queue = *lock.queue;
  if (lock.counts_permits()) {
    return queue.waiters.front() == &waiter && permits_left(lock, waiter.permits);
  }
  const ModeSet wanted = set_of(waiter.mode);
  if ((blocked_by_holders(lock) & wanted) != 0) return false;
  if ((queue.modes.conflicts() & wanted) == 0) return true;  // nobody ahead, or behind, conflicts
  ModeSet ahead = 0;
  for (const Claim* c = queue.conversions.front(); c != nullptr; c = ClaimsOfLock::next(c)) {
    ahead |= conflicts_of(c->mode);
  }
  for (const Claim* c = queue.waiters.front(); c != &waiter && (ahead & wanted) == 0;
       c = ClaimsOfLock::next(c)) {
    ahead |= conflicts_of(c->mode);
  }
  return (ahead & wanted) == 0;
}

// The turn of `waiter` has come in its own lock. Has it in the others of its request?
bool is_served_next_elsewhere(const Claim& waiter) {
  if (HF_MUTANT(several_granted_in_part)) return true;
  for (const Claim* c = waiter.partner; c != &waiter; c = c->partner) {
    if (!is_served_next(*c)) return false;
  }
  return true;
}

Claim* next_conversion(const Lock& lock) {
  ModeSet ahead = 0;
  for (Claim* c = lock.queue->conversions.front(); c != nullptr; c = ClaimsOfLock::next(c)) {
    if (((ahead | blocked_by_holders(lock, c->partner)) & set_of(c->mode)) == 0) return c;
    ahead |= conflicts_of(c->mode);
  }
  return nullptr;
}

Claim* next_of_semaphore(const Lock& lock) {
  Claim* first = lock.queue->waiters.front();
  const bool fits = first != nullptr && permits_left(lock, first->permits);
  return fits && is_served_next_elsewhere(*first) ? first : nullptr;
}

}  // namespace

bool grantable(const Lock& lock, base::Mode mode, uint32_t permits) {
  if (lock.drained && !HF_MUTANT(drain_binds_waiters_only)) return false;
  if (lock.counts_permits()) {
    const bool is_first = lock.queue == nullptr || HF_MUTANT(small_request_overtakes);
    return is_first && permits_left(lock, permits);
  }
  ModeSet blocked = blocked_by_holders(lock);
  if (HF_MUTANT(shared_beside_exclusive)) blocked &= set_of(base::Mode::kExclusive);
  if (lock.queue != nullptr) blocked |= lock.queue->modes.conflicts();
  return (blocked & set_of(mode)) == 0;
}

bool only_delayed(const Lock& lock, base::Mode mode, uint32_t permits) {
  if (lock.delay == nullptr || lock.drained) return false;
  if (lock.counts_permits()) {
    return lock.queue == nullptr && lock.held_permits + permits <= lock.capacity;
  }
  ModeSet blocked = lock.held_modes.conflicts();
  if (lock.queue != nullptr) blocked |= lock.queue->modes.conflicts();
  return (blocked & set_of(mode)) == 0;
}

bool convertible(const Claim& hold, base::Mode mode) {
  const Lock& lock = hold.lock->second;
  if (lock.drained) return false;
  ModeSet blocked = HF_MUTANT(upgrade_beside_readers) ? 0 : blocked_by_holders(lock, &hold);
  if (lock.queue != nullptr) {
    for (const Claim* c = lock.queue->conversions.front(); c != nullptr;
         c = ClaimsOfLock::next(c)) {
      blocked |= conflicts_of(c->mode);
    }
  }
  return (blocked & set_of(mode)) == 0;
}

Claim* next_grantable(const Lock& lock) {
  if (lock.queue == nullptr || (lock.drained && !HF_MUTANT(drain_binds_newcomers_only))) {
    return nullptr;
  }
  if (lock.counts_permits()) return next_of_semaphore(lock);
  Claim* const conversion = next_conversion(lock);
  const bool waits = HF_MUTANT(upgrade_waits_its_turn) && !lock.queue->waiters.empty();
  if (conversion != nullptr && !waits) return conversion;
  ModeSet blocked = blocked_by_holders(lock);
  for (Claim* c = lock.queue->conversions.front(); c != nullptr; c = ClaimsOfLock::next(c)) {
    blocked |= conflicts_of(c->mode);
  }
  // With exclusive and shared alone this looks at one waiter: whatever stops the first stops all,
  // but for the mode null, which conflicts with nothing. It waits behind a drain alone.
  const bool has_null = lock.queue->modes.of(base::Mode::kNull) != 0;
  for (Claim* waiter = lock.queue->waiters.front();
       waiter != nullptr && (blocked != kAllConflicting || has_null);
       waiter = ClaimsOfLock::next(waiter)) {
    if ((blocked & set_of(waiter->mode)) == 0 && is_served_next_elsewhere(*waiter)) {
      Claim* behind = ClaimsOfLock::next(waiter);
      return HF_MUTANT(second_comes_first) && behind != nullptr ? behind : waiter;
    }
    blocked |= conflicts_of(waiter->mode);
  }
  return nullptr;
}

// -- who is in whose way -------------------------------------------------------------------------

namespace {

const Claim* first_waiting(const Lock& lock) {
  if (lock.queue == nullptr) return nullptr;
  const Claim* conversion = lock.queue->conversions.front();
  return conversion != nullptr ? conversion : lock.queue->waiters.front();
}

}  // namespace

const Claim* first_claim(const Lock& lock) {
  const Claim* holder = lock.holders.front();
  return holder != nullptr ? holder : first_waiting(lock);
}
const Claim* next_claim(const Claim& claim) {
  if (const Claim* next = ClaimsOfLock::next(&claim)) return next;
  const Lock& lock = claim.lock->second;
  if (claim.held) return first_waiting(lock);
  return claim.converts ? lock.queue->waiters.front() : nullptr;
}

bool stands_in_the_way(const Claim& other, const Claim& waiter) {
  if (waiter.converts && &other == waiter.partner) return false;
  if (!other.held) {
    const bool is_ahead = other.converts == waiter.converts ? other.id < waiter.id : other.converts;
    if (!is_ahead) return false;
  }
  if (waiter.lock->second.counts_permits()) return true;
  return (conflicts_of(waiter.mode) & set_of(other.mode)) != 0;
}

}  // namespace holdfast::locks
