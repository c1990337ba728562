// Applying chosen slots, recording what they changed, and going on from a snapshot instead.
#include <utility>

#include "lockcore/base/assert.h"
#include "lockcore/base/limits.h"
#include "lockcore/base/mutant.h"
#include "lockcore/node/node_state.h"

namespace holdfast::node {

using base::EntryKind;
using base::Instant;

void Node::State::apply_chosen(Instant now, Effects& fx) {
  const base::Slot before = table.meta().applied;
  // Events that state.db hasn't taken yet are bounded: apply waits for the disk, and with it every
  // answer, which is what slows the clients down.
  while (!halted && !installing && !(barrier && !HF_MUTANT(barrier_passed)) &&
         table.unrecorded_percent() < 100) {
    const auto entry = replica.next_chosen();
    if (!entry) break;
    apply_entry(*entry, now, fx);
  }
  if (table.meta().applied != before) replica.set_progress(table.meta().applied, recorded);
}

void Node::State::apply_entry(const base::Entry& entry, Instant now, Effects& fx) {
  HF_ASSERT(entry.slot == table.meta().applied.next());
  std::optional<locks::Batch> batch;
  const bool ours = active_ballot && entry.ballot == active_ballot;
  if (ours) batch = batcher.take_proposed(entry.slot);
  if (!batch && entry.kind != EntryKind::kNoOp) {
    std::string why;
    batch = locks::decode_batch(*entry.value, why);
    if (!batch) {
      // DESIGN 7: a command that this version doesn't know stops the node. Skipping it would make
      // this state differ from everybody else's for ever.
      halted = true;
      fx.paxos.fatal = "slot " + std::to_string(entry.slot.value) + " can't be applied: " + why +
                       "; install the version of holdfastd that the other nodes run";
      return;
    }
  }
  // P9: who votes changes by an entry of its own kind, which is a barrier to every proposer; in any
  // other the command does nothing, on all nodes alike.
  const bool reconfigures = entry.kind == EntryKind::kReconfigure;
  if (batch && (reconfigures ? !locks::as_reconfigure(*batch) : locks::has_reconfigure(*batch))) {
    batch.reset();
  }
  applied_scratch.clear();
  table.apply(entry.slot, batch ? &*batch : nullptr, applied_scratch);

  // No-ops that fill gaps stand below the NewLeader of their ballot: this one was asked for.
  if (entry.kind == EntryKind::kNoOp && entry.ballot == table.meta().leader) barrier = entry.slot;

  // At its own slot alone: a value that was proposed again may be a NewLeader of any ballot, as
  // some peer made it.
  if (entry.slot == led_slot && entry.ballot == led) become_active(now, fx);
  if (active_ballot) tell_applied(ours && batch ? &*batch : nullptr, now, fx);
  if (reconfigures) on_reconfigured(entry.slot, now, fx);
}

// What the active leader owes to those who wait, and to its clock. `own`: the batch, if it sealed
// it.
void Node::State::tell_applied(const locks::Batch* own, Instant now, Effects& fx) {
  const auto full_ttl = [this](base::LeaseId lease) {
    return base::Duration::from_ms(static_cast<int64_t>(table.lease(lease)->ttl_ms));
  };
  for (const base::LeaseId lease : applied_scratch.opened) {
    // Opened and ended in one batch: nothing to time.
    if (table.lease(lease)) clock.add(lease, full_ttl(lease), full_ttl(lease), now);
  }
  for (const base::LeaseId lease : applied_scratch.ended) clock.remove(lease);
  for (locks::Reply& reply : applied_scratch.replies) {
    operations.take(base::AnswerKey{reply.client, reply.number}, [&](ClientRef ref) {
      fx.replies.push_back(CommandReply{ref, reply.answer});
    });
  }
  if (own == nullptr) return;
  finish_endings(*own);
  finish_checkpoints(*own);
  answer_held_renewals(fx);
}

// The fate of leases whose Close or Expire was in this batch is known now.
void Node::State::finish_endings(const locks::Batch& batch) {
  if (ending.empty()) return;
  const auto finish = [this](base::LeaseId lease) {
    const auto it = ending.find(lease);
    HF_ASSERT(it != ending.end());
    if (--it->second > 0) return;
    ending.erase(it);
    // A Close that was refused: the lease lives on, and may have been taken out of its bucket.
    clock.refile(lease);
  };
  for (const locks::Command& command : batch.commands) {
    if (const auto* close = std::get_if<locks::CloseLease>(&command.body)) {
      finish(close->lease);
    } else if (const auto* expire = std::get_if<locks::ExpireLeases>(&command.body)) {
      for (const base::LeaseId lease : expire->leases) finish(lease);
    }
  }
}

void Node::State::finish_checkpoints(const locks::Batch& batch) {
  if (checkpoints.empty()) return;
  for (const locks::Command& command : batch.commands) {
    const auto* checkpoint = std::get_if<locks::CheckpointLeases>(&command.body);
    if (checkpoint == nullptr) continue;
    for (const auto& each : checkpoint->leases) {
      const auto under_way = checkpoints.find(each.lease);
      HF_ASSERT(under_way != checkpoints.end());
      if (--under_way->second.count == 0) checkpoints.erase(under_way);
    }
  }
}

// A slot is recorded only after this node's own log holds it durably (DESIGN 8): else a crash could
// leave a record of slots that the log has never heard of.
bool Node::State::can_record() const {
  const base::Slot applied = table.meta().applied;
  return !recording && !installing && recorded < applied &&
         (replica.durable_upto() >= applied || HF_MUTANT(recorded_before_durable));
}

// Hands what changed to state.db: many slots in one transaction, behind the log.
void Node::State::record(Instant now, Effects& fx) {
  if (!can_record()) return;
  const bool urgent = table.unrecorded_percent() >= 25 || recorded < record_soon;
  if (!urgent && !barrier && now - last_record < options.record_interval) return;
  recording = table.meta().applied;
  if (barrier) {
    HF_ASSERT(recording == barrier);
    fx.compare = std::exchange(barrier, {});
  }
  fx.record = table.take_changes();
}

void Node::State::install_snapshot(Instant now, Effects& fx) {
  if (!snapshot || installing || recording) return;
  installing = replica.install_snapshot(snapshot->id, snapshot->state_file, now, fx.paxos);
  if (!installing) snapshot.reset();  // the log brought us further meanwhile
}

void Node::State::adopt_snapshot(Instant now, Effects& fx) {
  if (!installing) return;
  const base::Slot slot = snapshot->table.meta().applied;
  if (replica.installed() != slot) return;
  HF_ASSERT(!led && !recording);
  HF_ASSERT(table.meta().applied < slot);
  table = std::move(snapshot->table);
  recorded = slot;
  barrier = {};
  last_record = now;
  fx.state_file = std::move(snapshot->state_file);
  snapshot.reset();
  installing = false;
  // It brings the membership of its slot along (P9).
  if (table.config().version > replica.config().version) {
    replica.on_reconfigured(slot, table.config(), now, fx.paxos);
    follow_role(fx);
  }
}

}  // namespace holdfast::node
