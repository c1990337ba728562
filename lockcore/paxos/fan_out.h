// Whom the leader sends to at once, and who gets the same in bulk a moment later.
//
// A slot needs the votes of a quorum, not of all. So proposals and confirm rounds go at once to as
// many voters as make a quorum with us (the front; "thrifty" in EPaxos, SOSP'13), and the rest is
// sent what it lacks every `rest_delay`, in one message and thus one transaction: a cell of three
// then does two thirds of the work for a commit. Who is in front shows itself: at every heartbeat
// the proposals go to everybody, and those who choose the first of them are it. A front that
// doesn't answer within rest_delay, or loses its link, is given up: again everybody is asked.
//
// This is about speed only. Whoever is asked, P4 and P8 count the answers.
#pragma once

#include <vector>

#include "lockcore/paxos/replica_state.h"

namespace holdfast::paxos::fan_out {

// Sends the proposals of this turn.
void send_turn(ReplicaState& s, base::Instant now, Effects& fx);
// Sends a confirm round, to everybody if `to_all`; those in the rest get what they lack before it.
void send_round(ReplicaState& s, bool to_all, base::Instant now, Effects& fx);
// Sends these entries, cut into messages of bounded size.
void send_entries(ReplicaState& s, base::NodeId to, const std::vector<base::Entry>& entries,
                  Effects& fx);

// Sends this voter what it lacks, now.
void serve(ReplicaState& s, base::NodeId to, Effects& fx);

// `voter`'s vote made this slot chosen.
void on_chosen(ReplicaState& s, base::Slot slot, const VoterSet& votes, size_t voter);
void on_peer_lost(ReplicaState& s, base::NodeId peer, base::Instant now);
void on_tick(ReplicaState& s, base::Instant now, Effects& fx);

base::Instant next_tick(const ReplicaState& s);

}  // namespace holdfast::paxos::fan_out
