// Elections: probing (P7), phase 1 (P1, P3, P6), following, stepping down.
#pragma once

#include <string>

#include "lockcore/paxos/replica_state.h"

namespace holdfast::paxos::election {

// Founding is over, or the process starts in a founded cell. A newly founded cell needn't wait.
void start(ReplicaState& s, bool soon, base::Instant now);

// P7: as long as `from` was heard within the election timeout, this node promises nobody else.
void heard(ReplicaState& s, base::NodeId from, base::Instant now);
// A leader's message arrived whose ballot is not below our promise.
void follow(ReplicaState& s, base::NodeId from, const base::Ballot& ballot, base::Instant now,
            Effects& fx);
// Becomes a follower of nobody, if this node was asking to lead or led.
void step_down(ReplicaState& s, const std::string& why, base::Instant now, Effects& fx);

// Goes on without a probe, if somebody who leads gave leave to do so and nothing has come since.
void take_leave(ReplicaState& s, base::Instant now, Effects& fx);

void on_probe(ReplicaState& s, Peer& from, const Probe& message, base::Instant now, Effects& fx);
void on_probe_reply(ReplicaState& s, Peer& from, const ProbeReply& message, base::Instant now,
                    Effects& fx);
void on_promise(ReplicaState& s, Peer& from, Promise message, base::Instant now, Effects& fx);
void on_reject(ReplicaState& s, const Reject& message, base::Instant now, Effects& fx);

void on_tick(ReplicaState& s, base::Instant now, Effects& fx);
void on_written(ReplicaState& s, base::Instant now, Effects& fx);
// Leads if phase 1 is complete and all that is known chosen has been fetched.
void try_to_lead(ReplicaState& s, base::Instant now, Effects& fx);
void on_peer_back(ReplicaState& s, Peer& peer, base::Instant now, Effects& fx);
void on_peer_lost(ReplicaState& s, base::NodeId peer, base::Instant now);

base::Instant next_tick(const ReplicaState& s);

}  // namespace holdfast::paxos::election
