// Catch-up: fetching what another node knows chosen, and answering those who fetch.
//
// Rows that are known chosen carry a ballot not below the one that chose them: they were accepted
// in a ballot whose leader said "chosen" (P5), or fetched from such a node with the ballot of its
// row. Every ballot from the choosing one on proposes the chosen value, so of two such rows the
// one of the higher ballot may always stand.
#pragma once

#include <vector>

#include "lockcore/paxos/replica_state.h"

namespace holdfast::paxos::catch_up {

// `source` knows slots through `upto` to be chosen; fetched at the end of the turn.
void want(ReplicaState& s, base::NodeId source, base::Slot upto);
// The same, unless a fetch from another node is under way.
void heard_of(ReplicaState& s, base::NodeId source, base::Slot upto);

void on_fetch(ReplicaState& s, Peer& from, const Fetch& message, Effects& fx);
void on_log_read(ReplicaState& s, uint64_t read_id, std::vector<base::Entry> entries, Effects& fx);
void on_fetch_reply(ReplicaState& s, Peer& from, FetchReply message, base::Instant now,
                    Effects& fx);
void on_peer_lost(ReplicaState& s, base::NodeId peer);
void on_tick(ReplicaState& s, base::Instant now);
void finish_turn(ReplicaState& s, base::Instant now, Effects& fx);

base::Instant next_tick(const ReplicaState& s);

}  // namespace holdfast::paxos::catch_up
