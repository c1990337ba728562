#include "tests/sim/checkers/state_checker.h"

namespace holdfast::sim {

void StateChecker::on_applied(base::NodeId node, const locks::LockTable& table) {
  const base::Slot slot = table.meta().applied;
  const uint64_t digest = table.digest();
  const auto [it, fresh] = digests_.emplace(slot, digest);
  if (!fresh && it->second != digest) {
    world_.fail("node " + std::to_string(node.value) + " has another state at slot " +
                std::to_string(slot.value));
    return;
  }
  if (!fresh) return;
  const base::StateRows rows = table.rows();
  model_.on_state(node, rows);
  check_holds(node, rows);
}

void StateChecker::on_recovered(base::NodeId node, const locks::LockTable& table) {
  const auto known = digests_.find(table.meta().applied);
  if (known == digests_.end() || known->second == table.digest()) return;
  world_.fail("node " + std::to_string(node.value) + " recovers another state of slot " +
              std::to_string(table.meta().applied.value) + " than it was");
}

void StateChecker::check_holds(base::NodeId node, const base::StateRows& rows) {
  check_conflicts(node, rows);
  std::set<base::LeaseId> leases;
  for (const base::LeaseRow& lease : rows.leases) leases.insert(lease.id);
  for (const base::HoldRow& hold : rows.holds) {
    if (!leases.contains(hold.lease)) world_.fail("a hold of " + hold.lock + " has no lease");
    if (hold.token > rows.meta.revision) world_.fail("a token above the revision");
  }
  // Slots may be seen out of order, from nodes that lag: only the newest state tells of growth.
  if (rows.meta.applied < newest_) return;
  newest_ = rows.meta.applied;
  if (rows.meta.cell_time_ms < newest_cell_time_ms_) {
    world_.fail("cell time turns back to " + std::to_string(rows.meta.cell_time_ms) + " ms from " +
                std::to_string(newest_cell_time_ms_) + " at slot " + std::to_string(newest_.value));
  }
  newest_cell_time_ms_ = rows.meta.cell_time_ms;
  check_order(rows);
  for (const base::HoldRow& hold : rows.holds) {
    if (!seen_.insert(hold.token).second) continue;
    if (hold.mode == base::Mode::kNull) continue;  // conflicts with nothing
    auto& newest = newest_exclusive_[hold.lock];
    if (hold.token <= newest) {
      world_.fail("a later grant of " + hold.lock + " has the token " +
                  std::to_string(hold.token.value) + ", not above " + std::to_string(newest.value));
    }
    if (hold.mode == base::Mode::kExclusive) newest = hold.token;
  }
}

// 2.1: holds of a lock go together by their modes; of a semaphore, by its capacity.
void StateChecker::check_conflicts(base::NodeId node, const base::StateRows& rows) {
  std::map<std::string, uint64_t> capacity;
  for (const base::LockRow& lock : rows.locks) capacity[lock.name] = lock.capacity;
  std::map<std::string, std::vector<const base::HoldRow*>> held;
  for (const base::HoldRow& hold : rows.holds) {
    auto& others = held[hold.lock];
    uint64_t permits = hold.permits;
    bool conflicts = false;
    for (const base::HoldRow* other : others) {
      permits += other->permits;
      conflicts |= !locks::SimpleModel::is_compatible(hold.mode, other->mode);
    }
    const uint64_t most = capacity[hold.lock];
    if (most != 0 ? permits > most : conflicts) {
      world_.fail("conflicting holds of " + hold.lock + " in the state of node " +
                  std::to_string(node.value) + " at slot " +
                  std::to_string(rows.meta.applied.value));
    }
    others.push_back(&hold);
  }
}

void StateChecker::check_order(const base::StateRows& rows) {
  for (const base::HoldRow& hold : rows.holds) {
    // Upgrades go ahead of those who wait: of locks that have them the model knows the order.
    if (!hold.lock.starts_with("lock/") || !in_order_.insert(hold.token).second) continue;
    // A holder id is used once. Who was in a queue at the last look asked then, others later.
    const auto queued = queued_.find({hold.lease, hold.holder});
    const base::Revision asked = queued == queued_.end() ? looked_at_.next() : queued->second;
    for (const base::WaiterRow& waiter : rows.waiters) {
      if (waiter.lock != hold.lock || waiter.queued >= asked) continue;
      if (waiter.mode != base::Mode::kExclusive && hold.mode != base::Mode::kExclusive) continue;
      world_.fail("the hold of " + hold.lock + " with token " + std::to_string(hold.token.value) +
                  " overtook a waiter of revision " + std::to_string(waiter.queued.value));
    }
  }
  looked_at_ = rows.meta.revision;
  queued_.clear();
  for (const base::WaiterRow& waiter : rows.waiters) {
    queued_[{waiter.lease, waiter.holder}] = waiter.queued;
  }
}

}  // namespace holdfast::sim
