// Confirm rounds (P8): a quorum's word, fresher than a request, that no higher ballot is promised.
//
// The counter: want() draws one that no message has carried yet, so an echo of it answers a message
// that was sent after want(), and so after the request for whose sake it was drawn.
#pragma once

#include "lockcore/paxos/replica_state.h"

namespace holdfast::paxos::confirm {

void start(ReplicaState& s, base::Instant now);  // of a ballot
base::Confirm want(ReplicaState& s);

// The counter for a message that leaves now.
base::Confirm stamp(ReplicaState& s);
// What is stamped from here to the end of the turn goes to a quorum at least.
void start_broadcast(ReplicaState& s);
void send_heartbeat(ReplicaState& s, const Peer& peer, Effects& fx);

void on_echo(ReplicaState& s, const Peer& from, base::Confirm echoed, base::Instant now);
void on_heartbeat_reply(ReplicaState& s, Peer& from, const HeartbeatReply& message,
                        base::Instant now);
void on_tick(ReplicaState& s, base::Instant now, Effects& fx);
// After the proposer's: sends heartbeats if they are due, or if a round is wanted that no accept
// of this turn carried.
void finish_turn(ReplicaState& s, base::Instant now, Effects& fx);

base::Instant next_tick(const ReplicaState& s);

}  // namespace holdfast::paxos::confirm
