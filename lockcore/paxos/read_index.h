// Linearizable reads on a node that doesn't lead.
//
// It asks the leader: from which slot on do I know all that anybody had been told when you got my
// question? The leader answers when a confirm round that began after the question came is through
// (P8), with the slot through which it knows all chosen: nobody is told of anything beyond that.
// Once the asker has applied that slot, its own state may be read (section 6.4 of Ongaro's
// dissertation). For the same reason the leader's own reads wait until what it knew chosen when
// they came is applied (node/clients.cc): a reader elsewhere may have seen it already.
//
// One question serves all reads that waited when it was sent, and only one is under way: a read
// that comes meanwhile waits for the next, since the leader's slot may be older than it.
#pragma once

#include "lockcore/paxos/replica_state.h"

namespace holdfast::paxos::read_index {

// The asker's.
uint64_t want(ReplicaState& s);
void on_reply(ReplicaState& s, const Peer& from, const ReadIndexReply& message);

// The leader's.
void on_query(ReplicaState& s, const Peer& from, const ReadIndexQuery& message);

// Both. After confirm's: what this turn confirmed is told in it.
void finish_turn(ReplicaState& s, base::Instant now, Effects& fx);

base::Instant next_tick(const ReplicaState& s);

}  // namespace holdfast::paxos::read_index
