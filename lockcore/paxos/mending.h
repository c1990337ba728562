// Mending: a node that lost rows of its log, or its record, to damage (P11).
//
// A damaged row may have been this node's vote for what was chosen there, and nobody can say that
// it wasn't: that another node hasn't got the row proves nothing. So as long as a slot is in doubt
// this node neither promises nor accepts, and asks nobody to. It follows a leader, learns what is
// chosen, and asks whoever it is linked with for it, until every slot in doubt has a chosen value
// that is durable here. A slot above all that is chosen stays in doubt until the others have chosen
// something there.
//
// If state.db is lost, or older than the first row of the log, nothing is in doubt that this node
// promised. But its log says nothing about the slots that it trimmed, which were chosen: a promise
// without them would be taken for "nothing was accepted there". So it takes part again once a
// snapshot, or what others have of the log, leads up to its own.
#pragma once

#include "lockcore/paxos/replica_state.h"

namespace holdfast::paxos::mending {

// At start. Puts the rows that were found into the log, or keeps them for place_rows().
void begin(ReplicaState& s, base::RecoveredLog& recovered);
// A row of log.db fails its checksum while this process runs. No vote is in doubt: what is in
// memory is whole.
void on_damaged(ReplicaState& s, base::Slot slot, Effects& fx);
// Once what is known chosen leads up to the rows that were found, they stand in the log.
void place_rows(ReplicaState& s);

// The leader's part: whoever lost a row above all that is chosen needs something chosen there, and
// in a cell that is idle nothing would be. How many slots to fill, as far as any voter's log went.
uint64_t slots_to_fill(const ReplicaState& s);

void on_tick(ReplicaState& s, base::Instant now);
void finish_turn(ReplicaState& s, Effects& fx);
base::Instant next_tick(const ReplicaState& s);

}  // namespace holdfast::paxos::mending
