// The acceptor: promises and accepts, each durable before it is answered (P2).
#pragma once

#include "lockcore/paxos/replica_state.h"

namespace holdfast::paxos::acceptor {

void on_prepare(ReplicaState& s, Peer& from, const Prepare& message, base::Instant now,
                Effects& fx);
void on_accept(ReplicaState& s, Peer& from, Accept message, base::Instant now, Effects& fx);
void on_heartbeat(ReplicaState& s, Peer& from, const Heartbeat& message, base::Instant now,
                  Effects& fx);

// P5: takes "chosen through `upto`" from the leader of `ballot`, over what was accepted in it.
void take_chosen(ReplicaState& s, const base::Ballot& ballot, base::Slot upto);

// Promises `ballot`, above the present promise, in this turn's write.
void raise_promise(ReplicaState& s, const base::Ballot& ballot);

}  // namespace holdfast::paxos::acceptor
