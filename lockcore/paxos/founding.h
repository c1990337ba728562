// Founding a cell (P10): every voter of the --cluster list, once.
//
// The voter with the lowest id proposes. It waits until all others have said, in this run, that
// their disk is empty and that they have the same list; then it makes the record of the cell (its
// id, the members with their incarnations and addresses). The record is durable on every one of
// them (kProposed) before the first one counts itself founded (kFounded) and says so. Before that
// nobody promises or accepts anything. So a node that comes back empty never finds all the others
// empty as well, unless all of them were wiped.
//
// A node that is to join a living cell (Options::join) takes no part in this: it waits until that
// cell has made it a learner, and gets the cell's record from there.
#pragma once

#include <optional>
#include <string>

#include "lockcore/paxos/replica_state.h"

namespace holdfast::paxos::founding {

// A hello, while we have no record ourselves.
std::optional<Refusal> check_stranger(ReplicaState& s, const Hello& peer, Effects& fx);
// A hello was accepted.
void on_peer_back(ReplicaState& s, Peer& peer, base::Instant now, Effects& fx);

void on_propose(ReplicaState& s, Peer& from, const FoundPropose& message, base::Instant now,
                Effects& fx);
void on_ack(ReplicaState& s, Peer& from, const FoundAck& message);
void on_commit(ReplicaState& s, const FoundCommit& message);
// A message that only a founded member sends.
void on_cell_message(ReplicaState& s);

// A living cell has taken this empty node in, as a learner.
void on_joined(ReplicaState& s, const base::Config& config, Effects& fx);

void on_tick(ReplicaState& s, base::Instant now, Effects& fx);
void on_written(ReplicaState& s, base::Instant now, Effects& fx);
void finish_turn(ReplicaState& s, base::Instant now, Effects& fx);

std::string waiting_for(const ReplicaState& s);
base::Instant next_tick(const ReplicaState& s);

}  // namespace holdfast::paxos::founding
