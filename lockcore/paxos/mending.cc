#include "lockcore/paxos/mending.h"

#include <algorithm>
#include <utility>

#include "lockcore/base/assert.h"
#include "lockcore/base/limits.h"
#include "lockcore/base/mutant.h"
#include "lockcore/paxos/catch_up.h"
#include "lockcore/paxos/snapshot.h"

namespace holdfast::paxos::mending {

namespace {

// By so much the log of one voter may go on above all that is chosen: what two leaders proposed
// that nobody else has, and what it may have lost.
constexpr uint64_t kMaxFilledSlots = 1024;
static_assert(kMaxFilledSlots >= 2 * base::kMaxSlotsInFlight);

constexpr int64_t kAskHeartbeats = 4;  // as long as an answer may take, see catch_up

// The next one after the one that was asked last; nullptr: nobody is there.
const Peer* next_to_ask(const ReplicaState& s) {
  const Peer* first = nullptr;
  const Peer* next = nullptr;
  for (const Peer& peer : s.peers) {
    if (!peer.connected) continue;
    if (first == nullptr || peer.id < first->id) first = &peer;
    if (peer.id > s.mending.asked && (next == nullptr || peer.id < next->id)) next = &peer;
  }
  return next != nullptr ? next : first;
}

bool lacks_values(const ReplicaState& s) {
  return s.mends() && s.chosen_upto < s.mending.upto();
}

}  // namespace

void begin(ReplicaState& s, base::RecoveredLog& recovered) {
  MendingState& m = s.mending;
  if (!recovered.damaged.empty() && !HF_MUTANT(damaged_row_forgotten)) {
    HF_ASSERT(recovered.damaged.front() > s.applied);
    m.rows_upto = recovered.damaged.back();
  }
  if (s.first_retained > s.applied.next() && !HF_MUTANT(votes_without_record)) {
    m.record_upto = {s.first_retained.value - 1};
  }
  m.rows = std::move(recovered.entries);
  HF_ASSERT(m.rows.empty() || m.rows.front().slot >= s.first_retained);
  place_rows(s);
  if (!s.mends()) return;
  m.told_end = false;
  s.early_notices.push_back(
      {Notice::Level::kError, recovered.damage +
                                  ": this node neither promises nor accepts until it has from the "
                                  "other nodes what was chosen, through slot " +
                                  std::to_string(m.upto().value)});
}

void place_rows(ReplicaState& s) {
  MendingState& m = s.mending;
  // The log's window has no room for a gap of any length, and nobody looks at these rows before.
  if (m.rows.empty() || s.chosen_upto < m.record_upto) return;
  for (base::Entry& entry : std::exchange(m.rows, {})) {
    if (entry.slot > s.chosen_upto) s.log.put(std::move(entry), {});
  }
}

void on_damaged(ReplicaState& s, base::Slot slot, Effects& fx) {
  MendingState& m = s.mending;
  const std::string text = "the damaged row of slot " + std::to_string(slot.value) + " ";
  const auto aside = std::ranges::find(m.rows, slot, &base::Entry::slot);
  const Row* row = s.log.find(slot);
  if (row != nullptr || aside != m.rows.end()) {
    s.gate.open().entries.push_back(row != nullptr ? row->entry : *aside);
    return s.tell(Notice::Level::kWarning, text + "is written again, from memory", fx);
  }
  // Else it was known at the start already, and is waited for.
  if (slot > s.durable_upto || slot < s.first_retained) return;
  m.trim_through = std::max(m.trim_through, slot);
  s.tell(Notice::Level::kWarning,
         text + "goes from the log, with all below it: what they did is in the record", fx);
}

namespace {

// What a damaged row did is recorded, so nobody but laggards would need it, and they have other
// nodes and snapshots.
void trim_damaged(ReplicaState& s) {
  MendingState& m = s.mending;
  if (!m.trim_through || s.recorded < m.trim_through || s.snapshot.install) return;
  const base::Slot first = std::exchange(m.trim_through, {}).next();
  if (first <= s.first_retained) return;
  s.first_retained = first;
  s.trim.sizes.forget_below(first);
  s.gate.open().first_retained = first;
}

}  // namespace

uint64_t slots_to_fill(const ReplicaState& s) {
  const bool is_idle = s.lead.announced && s.lead.proposed_upto <= s.chosen_upto;
  if (s.role != Role::kLeader || !is_idle || HF_MUTANT(slots_left_unfilled)) return 0;
  base::Slot furthest;
  for (const Peer& peer : s.peers) {
    if (!peer.connected || !s.electorate.is_voter(peer.id)) continue;
    furthest = std::max(furthest, peer.mark.highest_accepted);
  }
  // A hello that says more makes no sense.
  if (furthest.value > s.chosen_upto.value + kMaxFilledSlots) return 0;
  return furthest < s.lead.next_slot ? 0 : furthest.value - s.lead.next_slot.value + 1;
}

void on_tick(ReplicaState& s, base::Instant now) {
  MendingState& m = s.mending;
  if (!lacks_values(s) || now < m.ask_at) return;
  m.ask_at = now + s.options.heartbeat * kAskHeartbeats;
  const bool is_fetching = s.catch_up.source && s.catch_up.target > s.chosen_upto;
  if (is_fetching || snapshot::under_way(s)) return;
  // Not only what a leader says: without this node's vote there may be none.
  const Peer* peer = next_to_ask(s);
  if (peer == nullptr) return;
  m.asked = peer->id;
  catch_up::want(s, peer->id, m.upto());
}

void finish_turn(ReplicaState& s, Effects& fx) {
  trim_damaged(s);
  if (s.mending.told_end || s.mends()) return;
  s.mending.told_end = true;
  s.tell(Notice::Level::kWarning,
         "is mended: what was chosen through slot " + std::to_string(s.mending.upto().value) +
             " came from the other nodes; it takes part again",
         fx);
}

base::Instant next_tick(const ReplicaState& s) {
  return lacks_values(s) ? s.mending.ask_at : base::kNever;
}

}  // namespace holdfast::paxos::mending
