// Deadlock: waits that could never end. A request that would close a cycle of them is refused.
//
// The graph's nodes are agents: the threads or tasks, each of one lease, that hold and wait. A
// waiter points at every holder in its way and at every waiter ahead that it may not overtake, in
// each lock of its request. Who waits in a semaphore needs only enough of what lies in its way.
// An agent of 0 is nobody in particular: it blocks others and is never part of a cycle.
#pragma once

#include <vector>

#include "lockcore/base/error.h"
#include "lockcore/locks/wait_queue.h"

namespace holdfast::locks {

// The claims that stand one behind the other in the way of this waiter's agent, back to a claim of
// its own; empty: it will be served. `waiter` has just been queued; before, there was no cycle.
//
// Looks from the agent forwards, at whom it waits for, and backwards, at who waits for it, and ends
// as soon as either has nothing left to see: the cost is that of the smaller side. Where a cycle
// leads through a semaphore, whether those outside of it could free enough is worked out from all
// that the agent waits for, up to kMaxReductionSteps claims; beyond that it is let wait.
std::vector<const Claim*> find_cycle(const Claim& waiter);

// Detail: one step of the cycle after another, each with "lock" (what is waited for), "lease" and
// "owner" (who has it), and "token" (0: it waits for it as well, ahead).
base::Error deadlock(const std::vector<const Claim*>& cycle);

}  // namespace holdfast::locks
