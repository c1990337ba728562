#include "lockcore/paxos/invariants.h"

#include <algorithm>

#include "lockcore/base/assert.h"

namespace holdfast::paxos::invariants {

namespace {

void check_learner(const ReplicaState& s) {
  // DESIGN 8: what is trimmed is recorded; a snapshot is, once it is installed.
  HF_ASSERT(s.first_retained <= s.recorded.next() || s.snapshot.install || s.mends() ||
            HF_MUTANT(votes_without_record));
  HF_ASSERT(s.trim.counted_upto <= std::min(s.applied, s.durable_upto));
  HF_ASSERT(s.snapshot.stored <= s.snapshot.received);
  HF_ASSERT(!s.snapshot.install || s.snapshot.checking);
  HF_ASSERT(s.recorded <= s.applied);
  HF_ASSERT(s.recorded <= s.durable_upto);
  HF_ASSERT(s.applied <= s.handed_upto);
  HF_ASSERT(s.handed_upto <= s.chosen_upto);
  HF_ASSERT(s.durable_upto <= s.chosen_upto);
}

void check_log(const ReplicaState& s) {
  HF_ASSERT(s.log.first() <= s.applied.next());
  HF_ASSERT(s.log.first() <= s.durable_upto.next());
  HF_ASSERT(s.log.last() >= s.chosen_upto);
  // What is cached is most of it, and changes no more: it is looked at now and then.
  constexpr uint32_t kNowAndThen = 256;
  const bool all = s.checks++ % kNowAndThen == 0;
  const base::Slot first =
      all ? s.log.first() : std::max(s.log.first(), s.log.cached_upto().next());
  size_t cached = 0;
  for (base::Slot slot = first; slot <= s.log.last(); slot = slot.next()) {
    const Row* row = s.log.find(slot);
    if (slot <= s.chosen_upto) {
      HF_ASSERT(row != nullptr);
      HF_ASSERT(row->chosen);
    }
    if (row == nullptr) continue;
    HF_ASSERT(row->entry.slot == slot);
    HF_ASSERT(row->entry.ballot.round <= s.election.highest_round);
    HF_ASSERT(row->write <= s.gate.last());
    // P2: what this process accepted, it promised; what it fetched needs no promise.
    if (row->write && !row->chosen) HF_ASSERT(row->entry.ballot <= s.promised);
    if (slot <= s.log.cached_upto()) cached += row->entry.bytes();
  }
  HF_ASSERT(!all || cached == s.log.cached_bytes());
  HF_ASSERT(s.log.cached_bytes() <= base::kLogCacheBytes);
  HF_ASSERT(s.log.cached_upto() <= std::min(s.applied, s.durable_upto));
  HF_ASSERT(s.log.find(s.chosen_upto.next()) == nullptr ||
            !s.log.find(s.chosen_upto.next())->chosen);
}

void check_leader(const ReplicaState& s) {
  const LeaderState& lead = s.lead;
  HF_ASSERT(s.promised == s.ballot);  // P1, P2: a higher promise ends the leadership
  HF_ASSERT(s.ballot.node == s.self);
  HF_ASSERT(s.leader == s.self);
  HF_ASSERT(s.leader_ballot == s.ballot);
  HF_ASSERT(s.chosen_upto < lead.next_slot);
  HF_ASSERT(lead.proposed_upto < lead.next_slot);
  HF_ASSERT(lead.reproposals.empty() || lead.reproposals.back().slot.next() == lead.next_slot);
  // P9: the ballot belongs to one configuration.
  HF_ASSERT(!lead.barrier || lead.barrier.next() == lead.next_slot);
  HF_ASSERT(s.config_slot < lead.next_slot);
  // P8
  HF_ASSERT(lead.confirmed <= lead.sent);
  HF_ASSERT(lead.broadcast <= lead.sent);
  HF_ASSERT(lead.sent <= lead.drawn);
  HF_ASSERT(lead.wanted <= lead.drawn);
  for (const uint64_t echoed : lead.echoed) HF_ASSERT(echoed <= lead.sent.value);
  for (base::Slot slot = s.chosen_upto.next(); slot <= lead.proposed_upto; slot = slot.next()) {
    const Row* row = s.log.find(slot);
    HF_ASSERT(row != nullptr);
    HF_ASSERT(row->entry.ballot == s.ballot);
    const auto self = s.electorate.index_of(s.self);
    HF_ASSERT(!row->votes.has(*self) || s.gate.is_durable(row->write));  // P2
  }
}

void check_role(const ReplicaState& s) {
  HF_ASSERT(s.founded() || (!s.promised && s.log.last() == s.chosen_upto));  // P10
  HF_ASSERT(!s.founded() || s.gate.facts().founding == base::FoundingState::kFounded);
  HF_ASSERT(s.role == Role::kFounding || s.role == Role::kFollower || s.is_voter());
  HF_ASSERT(s.gate.facts().promised <= s.promised);
  HF_ASSERT(s.promised.round <= s.election.highest_round);
  HF_ASSERT(s.gate.held() == 0 || !s.gate.is_durable(s.gate.first_held()));
  if (s.role == Role::kLeader) check_leader(s);
  if (s.role == Role::kCandidate) {
    HF_ASSERT(s.promised == s.ballot);
    HF_ASSERT(!s.phase1.asked || s.gate.is_durable(s.phase1.own_promise));  // P1
  }
  if (s.role == Role::kFollower) HF_ASSERT(!s.ballot);
  // P11
  HF_ASSERT(s.role == Role::kFollower || s.role == Role::kFounding || !s.mends());
  HF_ASSERT(s.mending.rows.empty() || s.chosen_upto < s.mending.record_upto);
}

void check_growth(const ReplicaState& s) {
  HF_ASSERT(s.promised >= s.checked_promised);
  HF_ASSERT(s.chosen_upto >= s.checked_chosen);
  HF_ASSERT(s.handed_upto >= s.checked_handed);
  HF_ASSERT(s.durable_upto >= s.checked_durable);
  s.checked_promised = s.promised;
  s.checked_chosen = s.chosen_upto;
  s.checked_handed = s.handed_upto;
  s.checked_durable = s.durable_upto;
}

}  // namespace

void check(const ReplicaState& s) {
  if (s.ended) return;
  check_learner(s);
  check_log(s);
  check_role(s);
  check_growth(s);
}

}  // namespace holdfast::paxos::invariants
