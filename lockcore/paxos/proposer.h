// The leader's phase 2: re-proposals, proposals, votes, sending again (P3, P4, P12).
#pragma once

#include <map>
#include <string>

#include "lockcore/paxos/replica_state.h"

namespace holdfast::paxos::proposer {

// The leader's ballot belongs to one configuration: behind a Reconfigure nothing is proposed in it
// (P9). See reconfigure.h for what follows.

// Phase 1 is complete, and `best` has per slot the reported value of the highest ballot.
void start_leading(ReplicaState& s, const std::map<base::Slot, base::Entry>& best,
                   base::Instant now, Effects& fx);
bool can_propose(const ReplicaState& s);
base::Slot propose(ReplicaState& s, base::EntryKind kind, std::string value);

void on_accepted(ReplicaState& s, Peer& from, const Accepted& message, base::Instant now);
void on_written(ReplicaState& s);
void on_tick(ReplicaState& s, base::Instant now, Effects& fx);
void on_peer_back(ReplicaState& s, Peer& peer, base::Instant now, Effects& fx);
// Sends what this turn proposed.
void finish_turn(ReplicaState& s, base::Instant now, Effects& fx);

base::Instant next_tick(const ReplicaState& s);

}  // namespace holdfast::paxos::proposer
