#include "lockcore/paxos/fan_out.h"

#include <algorithm>

#include "lockcore/base/assert.h"
#include "lockcore/paxos/confirm.h"

namespace holdfast::paxos::fan_out {

namespace {

constexpr size_t kAcceptBytes = base::kMaxPeerMessageBytes / 2;
// The rest is not kept waiting for more than this.
constexpr size_t kRestBytes = 256 * 1024;

bool in_front(const ReplicaState& s, base::NodeId peer) {
  return !s.lead.front || s.lead.front->has(*s.electorate.index_of(peer));
}

// From here on everybody is asked, until one of these slots is chosen.
void ask_everybody(ReplicaState& s, base::Slot from) {
  s.lead.front.reset();
  s.lead.front_from = from;
}

// Sends what was proposed in this ballot and this follower was not sent yet. What is no longer in
// memory it fetches, once it hears that it is chosen.
void send_missing(ReplicaState& s, LeaderState::Follower& follower, Effects& fx) {
  std::vector<base::Entry> entries;
  base::Slot slot = std::max(follower.sent_upto.next(), s.log.first());
  for (; slot <= s.lead.proposed_upto; slot = slot.next()) {
    const Row* row = s.log.find(slot);
    if (row != nullptr && row->entry.ballot == s.ballot) entries.push_back(row->entry);
  }
  follower.sent_upto = s.lead.proposed_upto;
  send_entries(s, follower.id, entries, fx);
}

bool is_linked(ReplicaState& s, const LeaderState::Follower& follower) {
  const Peer* peer = s.find_peer(follower.id);
  return peer != nullptr && peer->connected;
}

void serve_rest_later(ReplicaState& s, base::Instant now) {
  if (s.lead.rest_at != base::kNever) return;
  s.lead.rest_at = now + s.options.rest_delay;
  s.lead.rest_slot = s.lead.proposed_upto;
  s.lead.rest_confirm = s.lead.broadcast;
}

}  // namespace

void send_entries(ReplicaState& s, base::NodeId to, const std::vector<base::Entry>& entries,
                  Effects& fx) {
  for (size_t i = 0; i < entries.size();) {
    Accept message{s.ballot, {}, s.chosen_upto, confirm::stamp(s)};
    for (size_t bytes = 0; i < entries.size(); ++i) {
      bytes += entries[i].bytes();
      if (bytes > kAcceptBytes && !message.entries.empty()) break;
      message.entries.push_back(entries[i]);
    }
    s.send(to, std::move(message), fx);
  }
}

void send_turn(ReplicaState& s, base::Instant now, Effects& fx) {
  const bool everybody = s.lead.rest_bytes > kRestBytes;
  if (everybody) s.lead.rest_bytes = 0;
  bool some_wait = false;
  for (LeaderState::Follower& follower : s.lead.followers) {
    if (!is_linked(s, follower)) continue;
    if (everybody || in_front(s, follower.id)) {
      send_missing(s, follower, fx);
    } else {
      some_wait = true;
    }
  }
  if (some_wait) serve_rest_later(s, now);
}

void send_round(ReplicaState& s, bool to_all, base::Instant now, Effects& fx) {
  bool some_wait = false;
  for (LeaderState::Follower& follower : s.lead.followers) {
    if (!is_linked(s, follower)) continue;
    if (!to_all && !in_front(s, follower.id)) {
      some_wait = true;
      continue;
    }
    // A heartbeat tells what is chosen: without the entries it would be answered with a Fetch.
    send_missing(s, follower, fx);
    confirm::send_heartbeat(s, *s.find_peer(follower.id), fx);
  }
  if (to_all) {
    // Learners hear of what is chosen, and fetch it.
    for (const Peer& peer : s.peers) {
      if (peer.connected && !s.electorate.is_voter(peer.id)) confirm::send_heartbeat(s, peer, fx);
    }
    ask_everybody(s, s.lead.proposed_upto.next());
    s.lead.rest_at = base::kNever;
    s.lead.rest_bytes = 0;
  } else if (some_wait) {
    serve_rest_later(s, now);
  }
}

void serve(ReplicaState& s, base::NodeId to, Effects& fx) {
  for (LeaderState::Follower& follower : s.lead.followers) {
    if (follower.id == to && is_linked(s, follower)) send_missing(s, follower, fx);
  }
}

void on_chosen(ReplicaState& s, base::Slot slot, const VoterSet& votes, size_t voter) {
  if (s.lead.front || slot < s.lead.front_from || s.options.rest_delay == base::Duration{}) return;
  s.lead.front = votes;
  // With the others' votes alone: the front and we are a quorum without the last of them.
  const size_t self = *s.electorate.index_of(s.self);
  if (!votes.has(self)) {
    s.lead.front->remove(voter);
    s.lead.front->add(self);
  }
  HF_ASSERT(s.electorate.is_quorum(*s.lead.front));
}

void on_peer_lost(ReplicaState& s, base::NodeId peer, base::Instant now) {
  if (s.role != Role::kLeader || !s.electorate.is_voter(peer) || !in_front(s, peer)) return;
  ask_everybody(s, s.chosen_upto.next());
  s.lead.rest_at = now;
}

void on_tick(ReplicaState& s, base::Instant now, Effects& fx) {
  if (s.role != Role::kLeader || now < s.lead.rest_at) return;
  const bool is_late = s.chosen_upto < s.lead.rest_slot || s.lead.confirmed < s.lead.rest_confirm;
  s.lead.rest_at = base::kNever;
  s.lead.rest_bytes = 0;
  for (LeaderState::Follower& follower : s.lead.followers) {
    if (!is_linked(s, follower)) continue;
    if (follower.sent_upto < s.lead.proposed_upto) {
      send_missing(s, follower, fx);
    } else if (is_late && !in_front(s, follower.id)) {
      confirm::send_heartbeat(s, *s.find_peer(follower.id), fx);
    }
  }
  if (is_late) ask_everybody(s, s.chosen_upto.next());
}

base::Instant next_tick(const ReplicaState& s) {
  return s.role == Role::kLeader ? s.lead.rest_at : base::kNever;
}

}  // namespace holdfast::paxos::fan_out
