// Handing over (P7): the leader stops proposing, waits until all that it proposed is chosen, and
// gives one voter leave to begin phase 1 without asking first. Until that one's ballot is promised
// the old leader leads on, and confirms; if nothing comes of it, it proposes again.
#pragma once

#include <optional>

#include "lockcore/base/error.h"
#include "lockcore/paxos/replica_state.h"

namespace holdfast::paxos::transfer {

// Begins, to this voter, or, if `to` is 0, to the one that is furthest. Or why not.
std::optional<base::Error> start(ReplicaState& s, base::NodeId to, base::Instant now, Effects& fx);
// Leave for the voter that is furthest, by a leader that is removed: there is no way back.
void give_leave(ReplicaState& s, base::Instant now, Effects& fx);

void on_take_over(ReplicaState& s, const Peer& from, const TakeOver& message, base::Instant now,
                  Effects& fx);
void on_peer_lost(ReplicaState& s, base::NodeId peer, Effects& fx);
void on_tick(ReplicaState& s, base::Instant now, Effects& fx);
// After the proposer's: what is said here follows what it sent.
void finish_turn(ReplicaState& s, base::Instant now, Effects& fx);

base::Instant next_tick(const ReplicaState& s);

}  // namespace holdfast::paxos::transfer
