#include "lockcore/paxos/trim.h"

#include <algorithm>

#include "lockcore/base/assert.h"
#include "lockcore/base/mutant.h"
#include "lockcore/paxos/snapshot.h"

namespace holdfast::paxos::trim {
namespace {

// The first slot that somebody may yet ask for. Each member that is up goes on, even if it starts
// anew, behind what it recorded; of what the leader has not heard yet it needs all.
base::Slot first_needed(const ReplicaState& s) {
  base::Slot first = s.recorded.next();
  for (const Peer& peer : s.peers) {
    if (s.role == Role::kLeader && peer.connected) first = std::min(first, peer.recorded.next());
  }
  return std::min(first, snapshot::first_needed(s));
}

}  // namespace

void count_through(ReplicaState& s, base::Slot upto) {
  while (s.trim.counted_upto < upto) {
    const base::Slot slot = s.trim.counted_upto.next();
    const Row* row = s.log.find(slot);
    HF_ASSERT(row != nullptr);
    s.trim.sizes.add(slot, row->entry.bytes());
    s.trim.counted_upto = slot;
  }
}

void finish_turn(ReplicaState& s) {
  if (!s.gate.is_open() || s.snapshot.install) return;
  const LogSizes& sizes = s.trim.sizes;
  const uint64_t slots = s.options.log_slots;
  const uint64_t bytes = s.options.log_bytes;
  constexpr uint64_t kMore = base::kLogForFollowers;
  base::Slot first = std::min(sizes.first_within(slots, bytes), first_needed(s));
  first = std::max(first, sizes.first_within(slots * kMore, bytes * kMore));
  // Never what state.db doesn't hold yet: after a crash there would be nothing to go on from.
  if (!HF_MUTANT(trimmed_before_recorded)) first = std::min(first, s.recorded.next());
  first = sizes.first_behind(first, base::kMaxTrimmedPieces);
  if (first <= s.first_retained) return;
  s.first_retained = first;
  s.trim.sizes.forget_below(first);
  s.gate.open().first_retained = first;
}

}  // namespace holdfast::paxos::trim
