// Deadlock: waits that could never end. An agent (the thread or task of a lease that asks) is
// refused a place in a queue when what it would wait for is a hold of its own.
#pragma once

#include "lockcore/base/error.h"
#include "lockcore/locks/command.h"
#include "lockcore/locks/wait_queue.h"

namespace holdfast::locks {

// A hold of this lock by the same agent of the same lease that conflicts with `mode`; null: none.
// An agent of 0 is nobody in particular, so it is never the same.
const Claim* own_hold_in_the_way(const Lock& lock, const Lease& lease, base::AgentId agent,
                                 base::Mode mode);

// Detail: one step of the cycle after another, each with the keys "lock" (what is waited for),
// "lease" and "token" (who holds it).
base::Error would_wait_for_itself(const Claim& hold);

}  // namespace holdfast::locks
