#include "lockcore/paxos/transfer.h"

#include <algorithm>
#include <string>

#include "lockcore/base/mutant.h"
#include "lockcore/paxos/acceptor.h"
#include "lockcore/paxos/catch_up.h"
#include "lockcore/paxos/clock_watch.h"
#include "lockcore/paxos/election.h"
#include "lockcore/paxos/fan_out.h"

namespace holdfast::paxos::transfer {

namespace {

using base::ErrorCode;

base::Error refuse(ErrorCode code, std::string why) {
  return base::Error{code, std::move(why), {}};
}

bool is_fresh(const ReplicaState& s, const Peer& peer, base::Instant now) {
  return peer.connected && peer.heard_at != base::kNever &&
         now - peer.heard_at < s.options.election;
}

// How many slots this voter has not accepted that are chosen.
uint64_t lag_of(const ReplicaState& s, const Peer& peer) {
  return s.chosen_upto.value - std::min(s.chosen_upto, std::max(peer.accepted, peer.chosen)).value;
}

const Peer* furthest(const ReplicaState& s, base::Instant now) {
  const Peer* best = nullptr;
  for (const Peer& peer : s.peers) {
    if (!s.electorate.is_voter(peer.id) || !is_fresh(s, peer, now)) continue;
    if (clock_watch::is_unfit(s, peer)) continue;
    if (best == nullptr || lag_of(s, peer) < lag_of(s, *best)) best = &peer;
  }
  return best;
}

std::optional<base::Error> check(const ReplicaState& s, base::NodeId to, const Peer* peer,
                                 base::Instant now) {
  const std::string id = std::to_string(to.value);
  if (s.role != Role::kLeader) {
    return refuse(ErrorCode::kNotLeader, "this node does not lead");
  }
  if (s.lead.hand_over) {
    return refuse(ErrorCode::kConflict,
                  "node " + std::to_string(s.self.value) + " is handing over to node " +
                      std::to_string(s.lead.hand_over->to.value) + " already");
  }
  if (to == s.self) {
    return refuse(ErrorCode::kInvalidArgument, "node " + id + " leads already");
  }
  if (!to && peer == nullptr) {
    return refuse(ErrorCode::kConflict,
                  s.electorate.voters() == 1
                      ? "node " + std::to_string(s.self.value) + " is the only voter"
                      : "no other voter answers node " + std::to_string(s.self.value));
  }
  if (peer == nullptr) {
    return refuse(
        ErrorCode::kInvalidArgument,
        "node " + id + " is not a member of the cell, which is " + cluster_text(s.config.members));
  }
  if (!s.electorate.is_voter(to)) {
    return refuse(ErrorCode::kInvalidArgument,
                  "node " + id + " is a learner: it can lead once it is a voter (member promote)");
  }
  if (!is_fresh(s, *peer, now)) {
    return refuse(ErrorCode::kConflict, "node " + id + " does not answer node " +
                                            std::to_string(s.self.value) +
                                            ", which leads: it could not take over");
  }
  if (clock_watch::is_unfit(s, *peer)) {
    return refuse(ErrorCode::kConflict,
                  "node " + id + " can't lead: its clock doesn't run as the " + "other nodes' do");
  }
  if (const uint64_t lag = lag_of(s, *peer); lag > base::kMaxPromotionLag) {
    return refuse(ErrorCode::kConflict, "node " + id + " is " + std::to_string(lag) +
                                            " slots behind; it can lead once it is within " +
                                            std::to_string(base::kMaxPromotionLag));
  }
  return std::nullopt;
}

void give_up(ReplicaState& s, const std::string& why, Effects& fx) {
  s.tell(Notice::Level::kWarning,
         "leads on: node " + std::to_string(s.lead.hand_over->to.value) + " " + why, fx);
  s.lead.hand_over.reset();
}

}  // namespace

std::optional<base::Error> start(ReplicaState& s, base::NodeId to, base::Instant now, Effects& fx) {
  const Peer* peer = to ? s.find_peer(to) : furthest(s, now);
  if (auto why_not = check(s, peer != nullptr ? peer->id : to, peer, now)) return why_not;
  s.lead.hand_over = LeaderState::HandOver{peer->id, now, now + s.options.election};
  s.tell(Notice::Level::kInfo, "hands over to " + node_text(peer->id, peer->address), fx);
  return std::nullopt;
}

void give_leave(ReplicaState& s, base::Instant now, Effects& fx) {
  if (const Peer* peer = furthest(s, now)) {
    s.send(peer->id, TakeOver{s.ballot, s.chosen_upto}, fx);
  }
}

void on_take_over(ReplicaState& s, const Peer& from, const TakeOver& message, base::Instant now,
                  Effects& fx) {
  if (!well_formed(message.ballot) || message.ballot.node != from.id) return;
  // Leave from whoever leads, in the ballot that we follow. That of a deposed leader is void:
  // it would unseat one that works.
  const bool from_leader = s.leader == from.id && s.leader_ballot == message.ballot;
  if (s.role != Role::kFollower || (!from_leader && !HF_MUTANT(stale_leave_counts))) return;
  acceptor::take_chosen(s, message.ballot, message.chosen_upto);
  catch_up::heard_of(s, from.id, message.chosen_upto);
  s.election.leave = s.promised;
  s.election.leave_until = now + s.options.election;
  // P9: what was just learnt may have to be applied first; then the next tick sees to it.
  election::take_leave(s, now, fx);
}

void on_peer_lost(ReplicaState& s, base::NodeId peer, Effects& fx) {
  if (s.role != Role::kLeader || !s.lead.hand_over || s.lead.hand_over->to != peer) return;
  give_up(s, "is gone", fx);
}

void on_tick(ReplicaState& s, base::Instant now, Effects& fx) {
  if (s.role != Role::kLeader || !s.lead.hand_over || now < s.lead.hand_over->until) return;
  give_up(s, "did not take over", fx);
}

void finish_turn(ReplicaState& s, base::Instant now, Effects& fx) {
  if (s.role != Role::kLeader || !s.lead.hand_over || now < s.lead.hand_over->say_at) return;
  // All of it is chosen first, so that the new leader finds nothing to propose again. A change of
  // the membership among it has to be applied, and ends this ballot anyway.
  if (!s.lead.reproposals.empty() || s.chosen_upto < s.lead.proposed_upto || s.lead.barrier) return;
  const base::NodeId to = s.lead.hand_over->to;
  fan_out::serve(s, to, fx);
  s.send(to, TakeOver{s.ballot, s.chosen_upto}, fx);
  s.lead.hand_over->say_at = now + s.options.heartbeat;
}

base::Instant next_tick(const ReplicaState& s) {
  if (s.role != Role::kLeader || !s.lead.hand_over) return base::kNever;
  const bool said = s.lead.hand_over->say_at > s.now;
  return said ? std::min(s.lead.hand_over->say_at, s.lead.hand_over->until)
              : s.lead.hand_over->until;
}

}  // namespace holdfast::paxos::transfer
