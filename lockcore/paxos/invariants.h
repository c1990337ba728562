// What is always true between two events, and how the state may change from one to the next.
#pragma once

#include "lockcore/paxos/replica_state.h"

namespace holdfast::paxos::invariants {

// Aborts with the broken one.
void check(const ReplicaState& s);

}  // namespace holdfast::paxos::invariants
