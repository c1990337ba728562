#include "lockcore/paxos/proposer.h"

#include <algorithm>
#include <utility>

#include "lockcore/base/assert.h"
#include "lockcore/base/mutant.h"
#include "lockcore/paxos/confirm.h"
#include "lockcore/paxos/fan_out.h"

namespace holdfast::paxos::proposer {

namespace {

constexpr size_t kResendBytes = 1024 * 1024;  // to one peer, at one look

uint64_t in_flight(const ReplicaState& s) {
  return s.lead.proposed_upto.value - std::min(s.lead.proposed_upto, s.chosen_upto).value;
}

bool room_for(const ReplicaState& s, base::Slot slot) {
  return in_flight(s) < base::kMaxSlotsInFlight && slot <= s.window_end();
}

// The leader accepts its own proposal, in this turn's write; its vote counts once that is durable.
void accept_own(ReplicaState& s, base::Entry entry) {
  HF_ASSERT(s.promised == s.ballot);  // P2
  HF_ASSERT(entry.ballot == s.ballot);
  HF_ASSERT(entry.slot > s.lead.proposed_upto);
  s.lead.proposed_upto = entry.slot;
  if (!s.lead.turn_from) s.lead.turn_from = entry.slot;
  s.lead.rest_bytes += entry.bytes();
  base::LogWrite& write = s.gate.open();
  write.entries.push_back(entry);
  s.log.put(std::move(entry), write.id);
}

// A few slots at a time: after a restart there may be thousands to propose again.
void repropose_some(ReplicaState& s) {
  std::deque<base::Entry>& queue = s.lead.reproposals;
  while (!queue.empty()) {
    if (queue.front().slot > s.chosen_upto) {  // else it was fetched meanwhile
      if (!room_for(s, queue.front().slot)) return;
      accept_own(s, std::move(queue.front()));
    }
    queue.pop_front();
  }
}

void vote(ReplicaState& s, size_t voter, base::Slot slot) {
  if (slot <= s.chosen_upto) return;
  Row* row = s.log.find(slot);
  // P4: votes count in one ballot only. An Accepted says what its sender accepted in this ballot.
  if (row == nullptr || row->entry.ballot != s.ballot) return;
  row->votes.add(voter);
  if (row->chosen || !s.electorate.is_quorum(row->votes)) return;
  row->chosen = true;
  fan_out::on_chosen(s, slot, row->votes, voter);
}

// Slots through `upto` that are proposed and that this peer has not accepted.
void send_again(ReplicaState& s, const Peer& peer, base::Slot upto, size_t max_bytes, Effects& fx) {
  const size_t voter = *s.electorate.index_of(peer.id);
  std::vector<base::Entry> entries;
  size_t bytes = 0;
  for (base::Slot slot = s.chosen_upto.next(); slot <= upto && bytes < max_bytes;
       slot = slot.next()) {
    const Row* row = s.log.find(slot);
    HF_ASSERT(row != nullptr);
    if (row->entry.ballot != s.ballot || row->votes.has(voter)) continue;
    bytes += row->entry.bytes();
    entries.push_back(row->entry);
  }
  fan_out::send_entries(s, peer.id, entries, fx);
}

}  // namespace

void start_leading(ReplicaState& s, const std::map<base::Slot, base::Entry>& best,
                   base::Instant now, Effects& fx) {
  s.role = Role::kLeader;
  s.leader = s.self;
  s.leader_ballot = s.ballot;
  s.lead = {};
  for (Peer& peer : s.peers) peer.heard_at = base::kNever;
  base::Slot last = std::max(s.log.last(), s.chosen_upto);
  if (!best.empty()) last = std::max(last, best.rbegin()->first);
  for (base::Slot slot = s.chosen_upto.next(); slot <= last; slot = slot.next()) {
    // P3: of all answers, ours included, the value of the highest ballot; where there is none,
    // nothing can have been chosen, and a no-op closes the gap.
    const base::Entry* choice = nullptr;
    if (const auto place = best.find(slot); place != best.end()) choice = &place->second;
    if (HF_MUTANT(no_op_over_value)) choice = nullptr;
    if (const Row* row = s.log.find(slot); row != nullptr && !HF_MUTANT(own_rows_forgotten)) {
      const bool higher = choice == nullptr || choice->ballot < row->entry.ballot;
      if (higher != (choice != nullptr && HF_MUTANT(lowest_ballot_wins))) choice = &row->entry;
    }
    static const auto kNothing = std::make_shared<const std::string>();
    base::Entry entry{slot, s.ballot, base::EntryKind::kNoOp, kNothing};
    if (choice != nullptr) {
      entry.kind = choice->kind;
      entry.value = choice->value;
    }
    const bool is_barrier = entry.kind == base::EntryKind::kReconfigure;
    s.lead.reproposals.push_back(std::move(entry));
    if (!is_barrier || HF_MUTANT(reproposes_behind_change)) continue;
    // P9: who decides about the slots behind it isn't known before it is applied. They are looked
    // at again, by phase 1 of the ballot that follows.
    s.lead.barrier = last = slot;
  }
  s.lead.proposed_upto = s.chosen_upto;
  s.lead.next_slot = last.next();
  for (const Peer& peer : s.peers) {
    if (s.electorate.is_voter(peer.id)) s.lead.followers.push_back({peer.id, s.chosen_upto});
  }
  confirm::start(s, now);
  s.tell(Notice::Level::kInfo,
         "leads in " + ballot_text(s.ballot) + ", proposes " +
             std::to_string(s.lead.reproposals.size()) + " slots again",
         fx);
}

bool can_propose(const ReplicaState& s) {
  if (s.role != Role::kLeader || s.lead.hand_over) return false;
  if (s.lead.barrier && !HF_MUTANT(proposes_behind_change)) return false;  // P9
  return s.lead.reproposals.empty() && room_for(s, s.lead.next_slot);
}

base::Slot propose(ReplicaState& s, base::EntryKind kind, std::string value) {
  HF_ASSERT(can_propose(s));
  // P3, P13: what is decided in this ballot stands above its NewLeader.
  HF_ASSERT(s.lead.announced || kind == base::EntryKind::kNewLeader);
  if (kind == base::EntryKind::kReconfigure) s.lead.barrier = s.lead.next_slot;
  const base::Slot slot = s.lead.next_slot;
  if (!s.lead.announced) s.lead.announced = slot;
  s.lead.next_slot = slot.next();
  accept_own(s, {slot, s.ballot, kind, std::make_shared<const std::string>(std::move(value))});
  return slot;
}

void on_accepted(ReplicaState& s, Peer& from, const Accepted& message, base::Instant now) {
  if (s.role != Role::kLeader || message.ballot != s.ballot) return;
  const std::optional<size_t> voter = s.electorate.index_of(from.id);
  if (!voter) return;
  from.heard_at = now;
  from.mark.promised = std::max(from.mark.promised, message.ballot);
  for (const base::Slot slot : message.slots) {
    if (!slot || slot > s.lead.proposed_upto) continue;
    from.accepted = std::max(from.accepted, slot);
    vote(s, *voter, slot);
  }
  from.mark.highest_accepted = std::max(from.mark.highest_accepted, from.accepted);
  s.advance_chosen();
  confirm::on_echo(s, from, message.confirm, now);
}

void on_written(ReplicaState& s) {
  if (s.role != Role::kLeader) return;
  const size_t self = *s.electorate.index_of(s.self);
  std::deque<LeaderState::OwnWrite>& writes = s.lead.own_writes;
  while (!writes.empty() &&
         (s.gate.is_durable(writes.front().id) || HF_MUTANT(own_vote_before_durable))) {
    const LeaderState::OwnWrite& done = writes.front();
    for (base::Slot slot = done.first; slot <= done.last; slot = slot.next()) vote(s, self, slot);
    writes.pop_front();
  }
  s.advance_chosen();
}

void on_tick(ReplicaState& s, base::Instant now, Effects& fx) {
  if (s.role != Role::kLeader) return;
  for (LeaderState::Follower& follower : s.lead.followers) {
    if (now < follower.resend_at) continue;
    const Peer* peer = s.find_peer(follower.id);
    // Only what was out at the last look already: an answer to the rest may be on its way.
    if (peer != nullptr && peer->connected) {
      send_again(s, *peer, follower.resend_upto, kResendBytes, fx);
    }
    const bool more = s.lead.proposed_upto > s.chosen_upto;
    follower.resend_upto = follower.sent_upto;
    follower.resend_at = more ? now + s.options.heartbeat * 2 : base::kNever;
  }
}

void on_peer_back(ReplicaState& s, Peer& peer, base::Instant now, Effects& fx) {
  if (s.role != Role::kLeader || !s.electorate.is_voter(peer.id)) return;
  // What this turn proposed is not sent yet; that is for the turn's end.
  base::Slot sent = s.lead.proposed_upto;
  if (s.lead.turn_from) sent = base::Slot{s.lead.turn_from.value - 1};
  send_again(s, peer, sent, base::kMaxPeerMessageBytes, fx);
  confirm::send_heartbeat(s, peer, fx);
  for (LeaderState::Follower& follower : s.lead.followers) {
    if (follower.id != peer.id) continue;
    follower.sent_upto = sent;
    follower.resend_at = now + s.options.heartbeat * 2;
  }
}

void finish_turn(ReplicaState& s, base::Instant now, Effects& fx) {
  if (s.role != Role::kLeader) return;
  repropose_some(s);
  if (!s.lead.turn_from) return;
  confirm::start_broadcast(s);
  fan_out::send_turn(s, now, fx);
  s.lead.own_writes.push_back({s.gate.last(), s.lead.turn_from, s.lead.proposed_upto});
  for (LeaderState::Follower& follower : s.lead.followers) {
    if (follower.resend_at != base::kNever) continue;
    follower.resend_at = now + s.options.heartbeat * 2;
    follower.resend_upto = follower.sent_upto;
  }
  s.lead.turn_from = {};
}

base::Instant next_tick(const ReplicaState& s) {
  base::Instant next = base::kNever;
  if (s.role != Role::kLeader) return next;
  for (const LeaderState::Follower& follower : s.lead.followers) {
    next = std::min(next, follower.resend_at);
  }
  return next;
}

}  // namespace holdfast::paxos::proposer
