#include "lockcore/paxos/catch_up.h"

#include <algorithm>
#include <utility>

#include "lockcore/base/assert.h"
#include "lockcore/base/mutant.h"
#include "lockcore/paxos/election.h"
#include "lockcore/paxos/snapshot.h"

namespace holdfast::paxos::catch_up {

namespace {

constexpr int64_t kRetryHeartbeats = 4;  // an answer may need a read from a busy disk

enum class Verdict { kLearnt, kKnown, kDeposed, kDiverged };

// Stores what is known chosen at the first slot that we don't know yet.
Verdict learn(ReplicaState& s, base::Entry entry) {
  HF_ASSERT(entry.slot == s.chosen_upto.next());
  // The slot was, or may have been, chosen above our ballot. Counter-example to leading on: we
  // proposed x there in ballot 2, others chose y in ballot 3; told by us "chosen through here, in
  // ballot 2", a follower would take its x (P5).
  const bool ours = s.role == Role::kLeader || s.role == Role::kCandidate;
  if (ours && entry.ballot > s.ballot) return Verdict::kDeposed;
  if (s.role == Role::kLeader && entry.slot >= s.lead.next_slot) return Verdict::kDeposed;
  if (Row* row = s.log.find(entry.slot); row != nullptr && row->entry.ballot >= entry.ballot) {
    // Both ballots are at or above the choosing one, and so carry the same value: ours may stay.
    if (!same_value(row->entry, entry)) return Verdict::kDiverged;
    row->chosen = true;
    s.advance_chosen();
    return Verdict::kKnown;
  }
  if (const Row* row = s.log.find(entry.slot); row != nullptr && row->chosen) {
    if (!same_value(row->entry, entry)) return Verdict::kDiverged;
  }
  const base::Slot slot = entry.slot;
  s.saw_round(entry.ballot);
  base::LogWrite& write = s.gate.open();
  write.entries.push_back(entry);
  s.log.put(std::move(entry), write.id);
  s.log.find(slot)->chosen = true;
  s.advance_chosen();
  return Verdict::kLearnt;
}

bool plausible(const FetchReply& message) {
  if (!message.from || message.chosen_upto.value >= kMaxCounter) return false;
  base::Slot expected = message.from;
  for (const base::Entry& entry : message.entries) {
    if (!well_formed(entry) || entry.slot != expected || entry.slot > message.chosen_upto) {
      return false;
    }
    expected = expected.next();
  }
  return true;
}

// False: nothing more is to be done with the message.
bool learn_all(ReplicaState& s, const Peer& from, std::vector<base::Entry> entries,
               base::Instant now, Effects& fx) {
  for (base::Entry& entry : entries) {
    if (entry.slot <= s.chosen_upto) continue;
    if (entry.slot != s.chosen_upto.next() || entry.slot > s.window_end()) break;
    const base::Ballot ballot = entry.ballot;
    const base::Slot slot = entry.slot;
    Verdict verdict = learn(s, entry);
    if (verdict == Verdict::kDeposed) {
      s.saw_round(ballot);
      election::step_down(s, ballot_text(ballot) + " chose above ours", now, fx);
      verdict = learn(s, std::move(entry));
    }
    if (verdict == Verdict::kDiverged) {
      s.end("slot " + std::to_string(slot.value) + " holds another value here than " +
                node_text(from.id, from.address) +
                " knows chosen: the logs of the cell have "
                "diverged",
            fx);
      return false;
    }
  }
  return true;
}

void forget_source(CatchUpState& c) {
  c.source = {};
  c.outstanding = false;
  c.retry_at = base::kNever;
}

}  // namespace

void want(ReplicaState& s, base::NodeId source, base::Slot upto) {
  CatchUpState& c = s.catch_up;
  if (c.source != source) c.outstanding = false;
  c.source = source;
  c.target = upto;
}

void heard_of(ReplicaState& s, base::NodeId source, base::Slot upto) {
  if (upto <= s.chosen_upto || upto.value >= kMaxCounter) return;
  CatchUpState& c = s.catch_up;
  if (c.outstanding && c.source != source) return;
  want(s, source, upto);
}

void on_fetch(ReplicaState& s, Peer& from, const Fetch& message, Effects& fx) {
  if (!message.from || message.to < message.from || message.to.value >= kMaxCounter) return;
  // Never what is only accepted here: whoever asks takes it for chosen (P11).
  const base::Slot known = HF_MUTANT(mends_with_unchosen) ? s.log.last() : s.chosen_upto;
  FetchReply reply{message.from, s.first_retained, known, {}};
  const base::Slot upto = std::min(message.to, known);
  if (message.from > upto || message.from < s.first_retained) {
    s.send(from.id, std::move(reply), fx);
    return;
  }
  if (message.from < s.log.first()) {
    // Only in log.db. One read for a peer at a time: what it asks for meanwhile it asks again.
    for (const CatchUpState::Reading& reading : s.catch_up.readings) {
      if (reading.peer == from.id) return;
    }
    const uint64_t id = ++s.catch_up.last_read;
    s.catch_up.readings.push_back({id, from.id, message.from});
    const base::Slot last{std::min(upto, base::Slot{s.log.first().value - 1})};
    fx.reads.push_back({id, message.from, last, base::kMaxFetchBytes});
    return;
  }
  size_t bytes = 0;
  for (base::Slot slot = message.from; slot <= upto; slot = slot.next()) {
    const Row* row = s.log.find(slot);
    if (HF_MUTANT(mends_with_unchosen) && row == nullptr) break;
    HF_ASSERT(row != nullptr);
    HF_ASSERT(row->chosen || HF_MUTANT(mends_with_unchosen));
    bytes += row->entry.bytes();
    if (bytes > base::kMaxFetchBytes && !reply.entries.empty()) break;
    reply.entries.push_back(row->entry);
  }
  s.send(from.id, std::move(reply), fx);
}

void on_log_read(ReplicaState& s, uint64_t read_id, std::vector<base::Entry> entries, Effects& fx) {
  std::vector<CatchUpState::Reading>& readings = s.catch_up.readings;
  const auto place = std::find_if(readings.begin(), readings.end(),
                                  [&](const auto& reading) { return reading.id == read_id; });
  if (place == readings.end()) return;
  const CatchUpState::Reading reading = *place;
  readings.erase(place);
  FetchReply reply{reading.from, s.first_retained, s.chosen_upto, {}};
  base::Slot expected = reading.from;
  for (base::Entry& entry : entries) {
    // Every slot below the window is chosen here, and durable: log.db has its value, unless it was
    // trimmed between the question and the reading. Behind a damaged row nothing is read (P11).
    if (entry.slot != expected) {
      HF_ASSERT(expected < s.first_retained);
      break;
    }
    HF_ASSERT(entry.slot < s.log.first());
    reply.entries.push_back(std::move(entry));
    expected = expected.next();
  }
  s.send(reading.peer, std::move(reply), fx);
}

void on_fetch_reply(ReplicaState& s, Peer& from, FetchReply message, base::Instant now,
                    Effects& fx) {
  if (!plausible(message)) return;
  if (HF_MUTANT(mended_by_a_node_without_it) && message.chosen_upto < message.from) {
    s.mending.rows_upto = {};
  }
  const base::Slot before = s.chosen_upto;
  if (!learn_all(s, from, std::move(message.entries), now, fx)) return;
  if (s.catch_up.source == from.id) {
    if (s.chosen_upto > before) {
      s.catch_up.outstanding = false;  // the next part is asked for at the end of the turn
    } else if (message.chosen_upto < message.from) {
      forget_source(s.catch_up);  // it knows less than it said: it was restarted
    } else if (message.first_retained > message.from) {
      forget_source(s.catch_up);
      if (message.from == s.chosen_upto.next()) snapshot::want(s, from, now, fx);
    }  // else a late copy, or nothing was found: the timer asks again
  }
  if (s.role == Role::kCandidate && s.chosen_upto > before) {
    s.election.deadline = now + s.options.election;  // it gets on
    election::try_to_lead(s, now, fx);
  }
}

void on_peer_lost(ReplicaState& s, base::NodeId peer) {
  std::vector<CatchUpState::Reading>& readings = s.catch_up.readings;
  std::erase_if(readings, [&](const auto& reading) { return reading.peer == peer; });
  if (s.catch_up.source == peer) forget_source(s.catch_up);
}

void on_tick(ReplicaState& s, base::Instant now) {
  if (now >= s.catch_up.retry_at) s.catch_up.outstanding = false;
}

void finish_turn(ReplicaState& s, base::Instant now, Effects& fx) {
  CatchUpState& c = s.catch_up;
  if (!c.source || c.target <= s.chosen_upto || snapshot::under_way(s)) {
    c.outstanding = false;
    c.retry_at = base::kNever;
    return;
  }
  // Not more than there is room for: what is applied makes room, and the next turn goes on.
  const base::Slot to = std::min(c.target, s.window_end());
  if (c.outstanding || to <= s.chosen_upto) return;
  s.send(c.source, Fetch{s.chosen_upto.next(), to}, fx);
  c.outstanding = true;
  c.retry_at = now + s.options.heartbeat * kRetryHeartbeats;
}

base::Instant next_tick(const ReplicaState& s) {
  return s.catch_up.outstanding ? s.catch_up.retry_at : base::kNever;
}

}  // namespace holdfast::paxos::catch_up
