// Snapshots: how a node gets on that is behind the first retained slot of all who could help it
// (P6, DESIGN 8), and what it is given.
//
// The follower asks for part after part of the source's state.db; what it has stored lets it ask
// for more. When all of it is stored and checked, one write to log.db names it the current state
// file, sets the first retained slot and deletes the rows at or below its slot; rows above it and
// the promise stay. Until that write is durable nothing has changed, so a crash at any point
// leaves either the old state with its log, or the new one with its.
#pragma once

#include <string>

#include "lockcore/paxos/replica_state.h"

namespace holdfast::paxos::snapshot {

// Slots that we need are gone from this node's log: asks it for a snapshot, unless one is under
// way.
void want(ReplicaState& s, const Peer& source, base::Instant now, Effects& fx);
// From the request for a snapshot to its installation: fetching the log is of no use meanwhile.
bool under_way(const ReplicaState& s);

// -- the receiver
void on_reply(ReplicaState& s, Peer& from, SnapshotReply message, base::Instant now, Effects& fx);
void on_stored(ReplicaState& s, base::SnapshotId id, uint64_t upto, base::Instant now, Effects& fx);
void on_refused(ReplicaState& s, base::SnapshotId id, const std::string& why, Effects& fx);
bool install(ReplicaState& s, base::SnapshotId id, const std::string& state_file);
void on_written(ReplicaState& s, base::Instant now, Effects& fx);
void on_tick(ReplicaState& s, base::Instant now, Effects& fx);
void finish_turn(ReplicaState& s, base::Instant now, Effects& fx);
base::Instant next_tick(const ReplicaState& s);

// -- the sender
void on_fetch(ReplicaState& s, Peer& from, const SnapshotFetch& message, base::Instant now,
              Effects& fx);
void on_read(ReplicaState& s, base::NodeId peer, base::SnapshotId asked, base::SnapshotPart part,
             base::Instant now, Effects& fx);
// The first slot that somebody who is sent a snapshot will need of the log.
base::Slot first_needed(const ReplicaState& s);

}  // namespace holdfast::paxos::snapshot
