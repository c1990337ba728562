#include "lockcore/paxos/reconfigure.h"

#include <utility>

#include "lockcore/base/assert.h"
#include "lockcore/base/mutant.h"
#include "lockcore/paxos/catch_up.h"
#include "lockcore/paxos/confirm.h"
#include "lockcore/paxos/election.h"
#include "lockcore/paxos/fan_out.h"
#include "lockcore/paxos/membership.h"
#include "lockcore/paxos/proposer.h"
#include "lockcore/paxos/transfer.h"

namespace holdfast::paxos::reconfigure {

namespace {

// The last word in this ballot: that the change is chosen. In the next one others could not take it
// for chosen over what they accepted in this one (P5), and would have to fetch it; and those who
// leave hear nothing more. Whoever of them misses it is told by the refusal of its next hello.
void say_that_it_is_chosen(ReplicaState& s, Effects& fx) {
  for (const Peer& peer : s.peers) {
    if (!peer.connected) continue;
    fan_out::serve(s, peer.id, fx);
    confirm::send_heartbeat(s, peer, fx);
  }
}

void adopt(ReplicaState& s, base::Config next, base::Instant now, Effects& fx) {
  for (const Peer& peer : s.peers) {
    if (next.find(peer.id) != nullptr) continue;
    catch_up::on_peer_lost(s, peer.id);
    election::on_peer_lost(s, peer.id, now);
  }
  next.cell = s.config.cell;
  s.set_config(std::move(next));
  s.tell(
      Notice::Level::kInfo,
      "configuration " + std::to_string(s.config.version.value) + ": " + membership_text(s.config),
      fx);
}

}  // namespace

void on_applied(ReplicaState& s, base::Slot slot, const base::Config& config, base::Instant now,
                Effects& fx) {
  HF_ASSERT(slot > s.config_slot);
  s.config_slot = slot;
  const bool led = s.role == Role::kLeader;
  const bool stays = config.find(s.self) != nullptr;
  const base::Ballot ballot = s.ballot;
  if (led && HF_MUTANT(same_ballot_goes_on)) {
    s.set_config(config);
    return proposer::start_leading(s, {}, now, fx);
  }
  // First of all, since whoever has applied the change listens to it no more.
  if (led && !stays) transfer::give_leave(s, now, fx);
  if (led) say_that_it_is_chosen(s, fx);
  // A ballot belongs to one configuration. Who was about to lead asks anew, at once.
  if (s.role != Role::kFollower) {
    election::step_down(s, "the membership changed", now, fx);
    if (!led) s.election.deadline = now;
  }
  // A learner that joined knows a later one from the beginning.
  if (config.version > s.config.version) {
    adopt(s, config, now, fx);
    if (!stays) s.tell(Notice::Level::kWarning, membership::removed_text(s), fx);
  }
  // Everybody hears this leader, so nobody need be asked whether it may go on.
  if (led && s.is_voter() && s.promised == ballot) {
    s.election.leave = ballot;
    s.election.leave_until = now + s.options.election;
  }
}

}  // namespace holdfast::paxos::reconfigure
