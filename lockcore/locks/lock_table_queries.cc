// What can be asked of the state as of the last applied slot.
#include "lockcore/locks/lock_table.h"
#include "lockcore/locks/lock_table_state.h"

namespace holdfast::locks {

const base::MetaRow& LockTable::meta() const {
  return state_->meta;
}

OpState LockTable::op_state(base::ClientId client, uint64_t number) const {
  const Client* found = state_->clients.find(client);
  if (found == nullptr) return OpState::kUnknownClient;
  return state_->clients.state(*found, number);
}

std::optional<Answer> LockTable::recorded_answer(base::ClientId client, uint64_t number) const {
  const Client* found = state_->clients.find(client);
  if (found == nullptr) return std::nullopt;
  const Answer* answer = state_->clients.recorded(*found, number);
  if (answer == nullptr) return std::nullopt;
  return *answer;
}

bool LockTable::may_renew(base::LeaseId id, base::ClientId client) const {
  if (state_->leases.bound() == 0) return true;
  const Lease* lease = state_->leases.find(id);
  return lease == nullptr || !is_bound(lease->row) || lease->row.client == client;
}

bool LockTable::drops_on_disconnect(base::LeaseId id) const {
  if (state_->leases.bound() == 0) return false;
  const Lease* lease = state_->leases.find(id);
  return lease != nullptr && lease->row.drop_on_disconnect;
}

const base::LeaseRow* LockTable::lease(base::LeaseId id) const {
  const Lease* lease = std::as_const(state_->leases).find(id);
  return lease == nullptr ? nullptr : &lease->row;
}

LockInfo LockTable::describe(std::string_view name) const {
  LockInfo info;
  info.name = name;
  if (const base::PolicyRow* drain = state_->policies.drain_of(name)) info.drain = drain->reason;
  const LockRef found = state_->claims.find(name);
  if (found == state_->claims.end()) return info;
  const Lock& lock = found->second;
  info.kind = lock.kind;
  info.mode = lock.held_modes.strongest();
  info.capacity = lock.capacity;
  info.revision = lock.revision;
  if (lock.delay != nullptr) info.delay_until_ms = lock.delay->until_ms;
  info.holders.reserve(lock.held_modes.total());
  for (const Claim* c = lock.holders.front(); c != nullptr; c = ClaimsOfLock::next(c)) {
    base::HoldRow row = hold_row(*c);
    info.holders.push_back({row.lease, row.holder, row.mode, row.permits, row.token,
                            row.acquired_wall_ms, std::move(row.reason), std::move(row.value),
                            c->lease->row.owner});
  }
  if (lock.queue == nullptr) return info;
  info.waiters.reserve(lock.waiter_count());
  for (const ClaimsOfLock* queue : {&lock.queue->conversions, &lock.queue->waiters}) {
    for (const Claim* c = queue->front(); c != nullptr; c = ClaimsOfLock::next(c)) {
      base::WaiterRow row = waiter_row(*c);
      info.waiters.push_back({row.lease, row.holder, row.mode, row.permits, info.waiters.size() + 1,
                              row.since_wall_ms, std::move(row.reason), row.converts,
                              c->lease->row.owner});
    }
  }
  return info;
}

std::optional<LeaseInfo> LockTable::describe_lease(base::LeaseId id) const {
  const Lease* lease = std::as_const(state_->leases).find(id);
  if (lease == nullptr) return std::nullopt;
  const base::LeaseRow& row = lease->row;
  LeaseInfo info{row.id,    row.ttl_ms, row.lock_delay_ms, row.opened_wall_ms,
                 row.owner, {},         lease->wait_count};
  info.holds.reserve(lease->hold_count);
  for (const Claim* c = lease->holds.front(); c != nullptr;
       c = IntrusiveList<Claim, kLinkInLease>::next(c)) {
    info.holds.emplace_back(c->lock->first, c->id);
  }
  return info;
}

bool LockTable::is_held(std::string_view name) const {
  const LockRef lock = state_->claims.find(name);
  return lock != state_->claims.end() && !lock->second.holders.empty();
}

bool LockTable::could_acquire(std::string_view name, base::Mode mode) const {
  const LockRef lock = state_->claims.find(name);
  if (lock == state_->claims.end()) return state_->policies.drain_of(name) == nullptr;
  return grantable(lock->second, mode, 1);
}

bool LockTable::is_current(std::string_view name, base::Token token) const {
  return std::as_const(state_->claims).find_hold(name, token) != nullptr;
}

std::optional<uint64_t> LockTable::next_delay_end() const {
  return state_->claims.next_delay_end();
}

std::vector<std::string> LockTable::lock_names(std::string_view prefix, std::string_view after,
                                               size_t limit) const {
  const LockMap& locks = state_->claims.locks();
  auto lock = after < prefix ? locks.lower_bound(prefix) : locks.upper_bound(after);
  std::vector<std::string> names;
  for (; lock != locks.end() && names.size() < limit; ++lock) {
    if (!lock->first.starts_with(prefix)) break;
    names.push_back(lock->first);
  }
  return names;
}

std::vector<base::LeaseId> LockTable::lease_ids(base::LeaseId after, size_t limit) const {
  std::vector<base::LeaseId> ids;
  state_->leases.visit_above(after, [&](const Lease& lease) {
    if (ids.size() >= limit) return false;
    ids.push_back(lease.row.id);
    return true;
  });
  return ids;
}

void LockTable::for_each_lease(void (*visit)(void* context, const base::LeaseRow&),
                               void* context) const {
  state_->leases.visit_above({}, [&](const Lease& lease) {
    visit(context, lease.row);
    return true;
  });
}

std::optional<base::KeyRow> LockTable::key(std::string_view name) const {
  const Key* key = state_->keys.find(name);
  if (key == nullptr) return std::nullopt;
  return key_row(*key);
}

void LockTable::for_each_key(std::string_view prefix, std::string_view after,
                             const std::function<bool(const base::KeyRow&)>& take) const {
  const KeyMap& keys = state_->keys.keys();
  auto key = after < prefix ? keys.lower_bound(prefix) : keys.upper_bound(after);
  for (; key != keys.end() && key->first.starts_with(prefix); ++key) {
    if (!take(key_row(key->second))) return;
  }
}

std::vector<PolicyInfo> LockTable::policies() const {
  std::vector<PolicyInfo> infos;
  for (const auto& [key, policy] : state_->policies.policies()) {
    infos.push_back({policy.row, policy.used});
  }
  return infos;
}

LockTable::Counts LockTable::counts() const {
  const State& state = *state_;
  return {state.leases.size(),         state.claims.locks().size(), state.claims.hold_count(),
          state.claims.waiter_count(), state.clients.size(),        state.keys.keys().size(),
          state.keys.bytes(),          state.grants_total,          state.expirations_total};
}

}  // namespace holdfast::locks
