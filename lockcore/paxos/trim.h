// Trimming: which rows of the log go (DESIGN 8).
//
// Rows go only when state.db durably holds what they did. Those within the limits of the settings
// stay; kLogForFollowers times as much stays while a live follower, or one that is sent a snapshot,
// needs it.
#pragma once

#include "lockcore/paxos/replica_state.h"

namespace holdfast::paxos::trim {

// Counts what was applied and is durable, through `upto`; before it may leave the window.
void count_through(ReplicaState& s, base::Slot upto);
// Puts what may go into this turn's write, if there is one: a write of its own isn't worth it.
void finish_turn(ReplicaState& s);

}  // namespace holdfast::paxos::trim
