// Clocks that run too fast or too slow: leases are safe while rates are within 1±ε (DESIGN 6).
//
// Every node asks every other one now and then what its clock shows, and remembers between which
// two moments of its own the answer was read. Two such readings bound how fast the other clock
// runs against ours, whatever the network did to the messages:
//
//    theirs2 - theirs1                theirs2 - theirs1
//   ------------------  <=  rate  <=  ------------------
//    received2 - sent1                sent2 - received1
//
// Two clocks within 1±ε of true time differ by a factor of (1+ε)/(1-ε) at most. A node whose own
// clock surely, by these bounds, differs by more from those of a majority of the voters, which
// agree among themselves, is odd. If any majority keeps within ε, no good clock is ever called odd:
// that majority and the one which calls it odd have a voter in common, and two good clocks never
// surely differ. Nor are all nodes odd at once: the majority that agrees isn't.
//
// An odd node that leads hands over to one of those that agree, and an odd node doesn't ask to
// lead, nor takes leave to. If for kStandBack election timeouts nobody leads it asks all the same,
// and if nobody takes over it leads on: a cell that stood still for ever would be worse than a
// lease that may end early, for which there are tokens. Verdicts decide about nothing else.
#pragma once

#include "lockcore/paxos/replica_state.h"

namespace holdfast::paxos::clock_watch {

void start(ReplicaState& s, base::Instant now);  // of a founded cell's node
void on_hello(Peer& known, const Hello& hello);  // before it is noted
void on_query(const ReplicaState& s, const Peer& from, const ClockQuery& message, base::Instant now,
              Effects& fx);
void on_reply(Peer& from, const ClockReply& message, base::Instant now);
void on_tick(ReplicaState& s, base::Instant now, Effects& fx);

// Its clock is odd, and others have time enough to lead.
bool stands_back(const ReplicaState& s, base::Instant now);
// Leading is nothing for this peer, as far as clocks go.
bool is_unfit(const ReplicaState& s, const Peer& peer);

Replica::ClockView view(const ReplicaState& s);

base::Instant next_tick(const ReplicaState& s);

}  // namespace holdfast::paxos::clock_watch
