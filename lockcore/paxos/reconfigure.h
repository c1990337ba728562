// Reconfiguration (P9): what follows when a change of the membership is applied.
//
// A slot's configuration is what the slots below it say, once they are applied. So
//  - the configuration of the first slot that a proposer doesn't know chosen is that of its ballot,
//    and a ballot is begun only when it is known (config_is_current);
//  - in this ballot nothing is proposed, or proposed again, behind a Reconfigure (the barrier);
//  - when that is applied, the ballot is over, and its leader begins another in the new
//    configuration, without a probe: it is the leader that everybody hears.
// Two configurations that follow one another differ by one voter, so that a quorum of either meets
// any quorum of the other; node/admin.cc decides nothing else. Those further apart need not meet:
// between them somebody has promised a quorum of each its ballot.
//
// Accepting and promising need no configuration: whoever asks counts. A node that was promoted and
// doesn't know it yet votes all the same, and one that was removed and doesn't know it is not
// counted, nor let in.
#pragma once

#include "lockcore/paxos/replica_state.h"

namespace holdfast::paxos::reconfigure {

void on_applied(ReplicaState& s, base::Slot slot, const base::Config& config, base::Instant now,
                Effects& fx);

}  // namespace holdfast::paxos::reconfigure
