// Calls between two leaders. A client that is told "not I" before it can be told who else asks
// around in vain, and then pauses for longer than a leader takes to hand over.
//
// So a leader whose NewLeader isn't applied yet keeps the calls that come until it is: in effect
// they come later. And one that steps down because somebody else is about to lead tells its callers
// when it hears from that one, and names it. Neither keeps them for longer than a few heartbeats.
#include <utility>

#include "lockcore/base/limits.h"
#include "lockcore/node/node_state.h"

namespace holdfast::node {

using base::Instant;

base::Duration Node::State::patience() const {
  constexpr int64_t kHeartbeats = 4;
  return options.paxos.heartbeat * kHeartbeats;
}

// False: this node won't lead in a moment, or too many wait already.
bool Node::State::keep_arrival(Arrival arrival) {
  if (is_active() || replica.role() != paxos::Role::kLeader) return false;
  if (arrivals.size() >= base::kMaxPendingReads) return false;
  arrivals.push_back(std::move(arrival));
  return true;
}

void Node::State::let_in(Instant now, Effects& fx) {
  if (arrivals.empty()) return;
  const bool active = is_active();
  if (!active && replica.role() == paxos::Role::kLeader) {
    if (arrivals_until == base::kNever) arrivals_until = now + patience();
    if (now < arrivals_until) return;
  }
  arrivals_until = base::kNever;
  for (Arrival& arrival : std::exchange(arrivals, {})) {
    if (auto* command = std::get_if<CommandArrival>(&arrival)) {
      if (active) {
        take_command(command->ref, std::move(command->command), fx);
      } else {
        owed.commands.push_back(command->ref);
      }
    } else if (auto* renewal = std::get_if<RenewArrival>(&arrival)) {
      if (active) {
        take_renewal(renewal->ref, std::move(renewal->request), now, fx);
      } else {
        owed.renewals.push_back(renewal->ref);
      }
    } else if (active) {
      take_read(std::get<ReadCall>(arrival).ref, fx);
    } else {
      owed.reads.push_back(std::get<ReadCall>(arrival).ref);
    }
  }
}

void Node::State::answer_owed(Instant now, Effects& fx) {
  if (owed.empty()) return;
  if (replica.expects_leader()) {
    if (owed.until == base::kNever) owed.until = now + patience();
    if (now < owed.until) return;
  }
  pay_owed(fx);
}

void Node::State::pay_owed(Effects& fx) {
  const base::Error error = not_leader();
  for (const ClientRef ref : owed.commands) fx.replies.push_back(CommandReply{ref, error});
  for (const ClientRef ref : owed.renewals) fx.renewals.push_back(RenewReply{ref, {}, error});
  for (const ClientRef ref : owed.reads) fx.reads.push_back(ReadReply{ref, error});
  for (const ClientRef ref : owed.admin) fx.admin.push_back(AdminReply{ref, error, {}, {}});
  owed = {};
}

}  // namespace holdfast::node
