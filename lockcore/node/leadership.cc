// Becoming active, stepping down, and what a leader decides by itself.
#include <algorithm>
#include <utility>

#include "lockcore/base/assert.h"
#include "lockcore/base/limits.h"
#include "lockcore/base/mutant.h"
#include "lockcore/node/node_state.h"

namespace holdfast::node {

using base::EntryKind;
using base::Error;
using base::ErrorCode;
using base::Instant;

bool Node::State::is_active() const {
  // Both halves are needed: the replica may have stepped down in this very turn.
  return active_ballot && replica.role() == paxos::Role::kLeader &&
         replica.ballot() == active_ballot;
}

void Node::State::follow_role(Effects& fx) {
  if (!led) return;
  if (replica.role() == paxos::Role::kLeader && replica.ballot() == led) return;
  step_down(fx);
}

// The first proposal of a ballot is its NewLeader (P3). When it is applied, everything that an
// older leader can have told anybody is applied too.
void Node::State::propose_new_leader(Instant now, WallClock wall, Effects& fx) {
  if (led || replica.role() != paxos::Role::kLeader || !replica.can_propose()) return;
  led = replica.ballot();
  locks::Batch batch{.cell_time_ms = table.meta().cell_time_ms, .wall_ms = wall.ms, .commands = {}};
  batch.commands.push_back(locks::Command{{}, locks::NewLeader{led}});
  led_slot = replica.propose(EntryKind::kNewLeader, locks::encode_batch(batch), now, fx.paxos);
}

void Node::State::become_active(Instant now, Effects& fx) {
  HF_ASSERT(led && !active_ballot);
  HF_ASSERT(replica.role() == paxos::Role::kLeader && replica.ballot() == led);
  active_ballot = led;
  active_since = now;
  active_cell_ms = table.meta().cell_time_ms;
  // DESIGN 6: every lease has its full TTL from this moment, or what is left of it by a checkpoint.
  // Whatever renewal an older leader acknowledged had arrived before a quorum promised this ballot,
  // and so before now; and if it met a checkpoint, the end of that is applied.
  clock.clear();
  struct Context {
    LeaseClock* clock;
    Instant now;
  } context{&clock, now};
  table.for_each_lease(
      [](void* raw, const base::LeaseRow& lease) {
        auto& to = *static_cast<Context*>(raw);
        const int64_t share = HF_MUTANT(new_leader_gives_less) ? 4 : 1;
        const auto ttl = base::Duration::from_ms(static_cast<int64_t>(lease.ttl_ms));
        const bool known = lease.left_ms != 0 && !HF_MUTANT(checkpoint_not_heeded);
        const auto left =
            known ? base::Duration::from_ms(static_cast<int64_t>(lease.left_ms)) : ttl;
        to.clock->add(lease.id, ttl, left / share, to.now);
      },
      &context);
  fx.became_active = true;
}

// Forgets everything that only a leader may know. Every pending call is answered with notLeader, in
// a moment if somebody else is about to lead.
void Node::State::step_down(Effects& fx) {
  const bool was_active = static_cast<bool>(active_ballot);
  led = {};
  led_slot = {};
  active_ballot = {};
  operations.take_all([&](ClientRef ref) { owed.commands.push_back(ref); });
  for (ConfirmWait& wait : confirms) {
    if (const auto* renewal = std::get_if<RenewCall>(&wait.call)) {
      owed.renewals.push_back(renewal->ref);
    } else if (const auto* read = std::get_if<ReadCall>(&wait.call)) {
      owed.reads.push_back(read->ref);
    } else if (const auto* request = std::get_if<AdminCall>(&wait.call)) {
      owed.admin.push_back(request->ref);
    } else {
      owed.commands.push_back(std::get<LookupCall>(wait.call).ref);
    }
  }
  for (const ReadCall& read : confirmed_reads) owed.reads.push_back(read.ref);
  for (const RenewCall& call : held_renewals) owed.renewals.push_back(call.ref);
  if (change) owed.admin.push_back(change->ref);
  change.reset();
  confirms.clear();
  confirmed_reads.clear();
  held_renewals.clear();
  dropping.clear();
  renewing_leases = 0;
  if (!HF_MUTANT(queue_survives_leader)) batcher.clear();
  clock.clear();
  expiry_round.reset();
  delay_end_proposed_ms = 0;
  ending.clear();
  checkpoints.clear();
  fx.stepped_down |= was_active;
  if (!replica.expects_leader()) pay_owed(fx);
}

// Expiry takes two steps. When leases fall due, a confirm round is begun; only when it is through,
// those that are still due are proposed. The round does two things. It makes sure that this node
// still leads, so that a stopped and continued leader ends nobody's lease. And since its answers
// take a turn of the loop, every renewal that lay in a socket when the leases fell due, because the
// process was stopped or stalled, has been read by then and has moved its deadline.
void Node::State::expire(Instant now) {
  if (!is_active()) return;
  if (!expiry_round && clock.next_due() <= now) {
    expiry_round = ExpiryRound{replica.want_confirm(), now};
  }
  if (!expiry_round || replica.confirmed() < expiry_round->needed) return;
  std::vector<base::LeaseId> due;
  clock.take_due(expiry_round->as_of, base::kMaxExpirationsPerCommand, due);
  expiry_round.reset();
  // A Close that is under way ends it anyway.
  std::erase_if(due, [this](base::LeaseId lease) { return ending.contains(lease); });
  if (due.empty()) return;
  // Buckets hand leases out in an order of their own; by id, the order of opening is kept.
  std::sort(due.begin(), due.end());
  for (const base::LeaseId lease : due) ++ending[lease];
  // P13: the ballot in which it is decided goes along; applied under another leader it does
  // nothing.
  batcher.add(locks::Command{{}, locks::ExpireLeases{active_ballot, std::move(due)}});
}

// DESIGN 6: what is left of leases that go unrenewed for long is kept, so that leaders that come
// and go don't keep the leases of dead clients for ever. P13 makes it harmless under another
// leader.
void Node::State::checkpoint(Instant now) {
  if (!is_active() || clock.next_unrenewed() > now) return;
  std::vector<LeaseClock::Left> due;
  clock.take_unrenewed(now, base::kMaxCheckpointsPerCommand, due);
  locks::CheckpointLeases body{active_ballot, {}};
  for (const LeaseClock::Left& lease : due) {
    // One that is under way, or the lease's end, says more than this would.
    if (ending.contains(lease.lease) || checkpoints.contains(lease.lease)) continue;
    // Rounded up: a lease is never cut short. At least 1: 0 would end the checkpoint.
    body.leases.push_back({lease.lease, static_cast<uint64_t>(lease.left.ms_ceil())});
  }
  if (body.leases.empty()) return;
  std::sort(body.leases.begin(), body.leases.end(),
            [](const auto& a, const auto& b) { return a.lease < b.lease; });
  for (const auto& each : body.leases) checkpoints[each.lease] = {1, false};
  batcher.add(locks::Command{{}, std::move(body)});
}

// A lock-delay ends by time alone, and cell time moves with batches.
void Node::State::advance_time(Instant now) {
  if (!is_active()) return;
  const auto end_ms = table.next_delay_end();
  if (!end_ms || *end_ms <= delay_end_proposed_ms || *end_ms > cell_time_ms(now)) return;
  delay_end_proposed_ms = cell_time_ms(now);
  batcher.add(locks::Command{{}, locks::AdvanceTime{active_ballot}});
}

Instant Node::State::next_delay_end() const {
  if (!is_active()) return base::kNever;
  const auto end_ms = table.next_delay_end();
  if (!end_ms || *end_ms <= delay_end_proposed_ms) return base::kNever;
  const uint64_t from_now_on = *end_ms > active_cell_ms ? *end_ms - active_cell_ms : 0;
  return active_since + base::Duration::from_ms(static_cast<int64_t>(from_now_on));
}

// P12: a batch is sealed when the writer becomes free, or is full; never by a timer. While a write
// is under way, what arrives gathers for the next one.
void Node::State::seal_batches(Instant now, WallClock wall, Effects& fx) {
  if (!is_active()) return;
  bool may_seal = replica.writer_idle();
  while (!batcher.empty() && replica.can_propose() && (may_seal || batcher.full())) {
    locks::Batch batch = batcher.seal(cell_time_ms(now), wall.ms);
    const base::Slot slot =
        replica.propose(EntryKind::kCommands, locks::encode_batch(batch), now, fx.paxos);
    batcher.proposed(slot, std::move(batch));
    may_seal = false;
  }
}

// P11: so that a voter that lost the end of its log learns what is chosen there. Not no-ops, which
// are barriers here.
void Node::State::fill_slots(Instant now, WallClock wall, Effects& fx) {
  if (!is_active()) return;
  for (uint64_t left = replica.slots_to_fill(); left > 0 && replica.can_propose(); --left) {
    const locks::Batch nothing{cell_time_ms(now), wall.ms, {}};
    replica.propose(EntryKind::kCommands, locks::encode_batch(nothing), now, fx.paxos);
  }
}

uint64_t Node::State::cell_time_ms(Instant now) const {
  HF_ASSERT(active_ballot);
  if (HF_MUTANT(cell_time_from_own_clock)) return static_cast<uint64_t>(now.ns) / 1'000'000;
  return active_cell_ms + static_cast<uint64_t>((now - active_since).ms_floor());
}

Error Node::State::not_leader() const {
  if (replica.founding() != base::FoundingState::kFounded) {
    return Error{
        ErrorCode::kUnavailable, "the cell is not founded yet: " + replica.waiting_for(), {}};
  }
  const base::NodeId leader = replica.leader();
  if (!leader || (leader == options.paxos.self && !is_active())) {
    return Error{ErrorCode::kNotLeader, "this node does not lead, and knows of no leader now", {}};
  }
  for (const base::Member& member : replica.config().members) {
    if (member.id != leader) continue;
    return Error{ErrorCode::kNotLeader,
                 "this node does not lead; node " + std::to_string(leader.value) + " at " +
                     member.address + " does",
                 {{"leader", member.address}, {"leaderId", std::to_string(leader.value)}}};
  }
  return Error{ErrorCode::kNotLeader, "this node does not lead", {}};
}

}  // namespace holdfast::node
