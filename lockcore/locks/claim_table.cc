#include "lockcore/locks/claim_table.h"

#include <algorithm>

#include "lockcore/locks/policy_table.h"

namespace holdfast::locks {

template <class Key>
size_t ClaimTable::HashIdentity::operator()(const Key& key) const noexcept {
  const Identity id = identity_of(key);
  const uint64_t mixed = (reinterpret_cast<uintptr_t>(id.lock) >> 4) * 0x9E3779B97F4A7C15ULL ^
                         (reinterpret_cast<uintptr_t>(id.lease) >> 4) * 0xC2B2AE3D27D4EB4FULL ^
                         id.holder.value * 0x165667B19E3779F9ULL;
  return static_cast<size_t>(mixed ^ (mixed >> 29));
}

Claim* ClaimTable::find(base::Revision id) {
  const auto found = claims_.find(id);
  return found == claims_.end() ? nullptr : &found->second;
}

const Claim* ClaimTable::find(base::Revision id) const {
  return const_cast<ClaimTable*>(this)->find(id);
}

Claim* ClaimTable::find_hold(std::string_view lock, base::Token token) {
  Claim* claim = find(token);
  return claim != nullptr && claim->held && claim->lock->first == lock ? claim : nullptr;
}

const Claim* ClaimTable::find_hold(std::string_view lock, base::Token token) const {
  return const_cast<ClaimTable*>(this)->find_hold(lock, token);
}

// -- by identity ----------------------------------------------------------------------------------

namespace {

// Few claims are looked through. A lock that ever had many keeps its index until it has few again.
constexpr uint32_t kCrowd = 16;
constexpr uint32_t kFew = 8;

}  // namespace

template <class Visit>
void ClaimTable::visit_claims_of(const Lock& lock, Visit visit) {
  for (Claim* c = lock.holders.front(); c != nullptr; c = ClaimsOfLock::next(c)) {
    if (!visit(*c)) return;
  }
  if (lock.queue == nullptr) return;
  for (Claim* c = lock.queue->waiters.front(); c != nullptr; c = ClaimsOfLock::next(c)) {
    if (!visit(*c)) return;
  }
}

Claim* ClaimTable::find(LockRef lock, const Lease* lease, base::HolderId holder) {
  const Identity identity{&lock->second, lease, holder};
  if (lock->second.crowded) {
    const auto found = by_identity_.find(identity);
    return found == by_identity_.end() ? nullptr : *found;
  }
  Claim* found = nullptr;
  visit_claims_of(lock->second, [&](Claim& claim) {
    if (identity_of(&claim) == identity) found = &claim;
    return found == nullptr;
  });
  return found;
}

// `claim` is linked into its lock.
void ClaimTable::index_identity(Claim& claim) {
  if (claim.converts) return;  // its hold is there already
  Lock& lock = claim.lock->second;
  if (lock.crowded) {
    const bool alone = by_identity_.insert(&claim).second;
    HF_ASSERT(alone);
  } else if (lock.claim_count() > kCrowd) {
    lock.crowded = true;
    visit_claims_of(lock, [&](Claim& each) { return by_identity_.insert(&each).second; });
  }
}

// `claim` is not linked into its lock any more.
void ClaimTable::unindex_identity(Claim& claim) {
  Lock& lock = claim.lock->second;
  if (claim.converts || !lock.crowded) return;
  by_identity_.erase(&claim);
  if (lock.claim_count() > kFew) return;
  visit_claims_of(lock, [&](Claim& each) { return by_identity_.erase(&each) != 0; });
  lock.crowded = false;
}

// -- claims ---------------------------------------------------------------------------------------

LockRef ClaimTable::find_or_add(const std::string& name) {
  const auto [lock, added] = locks_.try_emplace(name);
  if (added) lock->second.drained = policies_.drain_of(name) != nullptr;
  // New here, but perhaps still on the disk under this name: then a put replaces that row.
  if (added && !erased_locks_.empty()) lock->second.mark.recorded = erased_locks_.erase(name) != 0;
  return lock;
}

Claim& ClaimTable::add(Claim claim, Claim* request) {
  const auto [place, inserted] = claims_.try_emplace(claim.id, std::move(claim));
  HF_ASSERT(inserted);
  Claim& added = place->second;
  if (added.converts) {
    HF_ASSERT(added.partner->held && added.partner->partner == nullptr);
    added.partner->partner = &added;
  } else if (!added.held) {
    added.partner = request == nullptr ? &added : std::exchange(request->partner, &added);
  }
  link(added);
  index_identity(added);
  return added;
}

void ClaimTable::leave_ring(Claim& waiter) {
  Claim* before = &waiter;
  while (before->partner != &waiter) before = before->partner;
  before->partner = waiter.partner;
  waiter.partner = nullptr;
}

// Its row under the present id is erased already.
void ClaimTable::set_id(Claim& claim, base::Revision id) {
  auto node = claims_.extract(claim.id);
  node.key() = id;
  claim.id = id;
  claims_.insert(std::move(node));
}

void ClaimTable::grant(Claim& waiter, base::Token token, const base::MetaRow& now) {
  HF_ASSERT(!waiter.held && !waiter.converts);
  unlink(waiter);
  leave_ring(waiter);
  erase_row(waiter);
  set_id(waiter, token);
  waiter.held = true;
  waiter.client = {};
  waiter.since_wall_ms = now.wall_ms;
  waiter.since_cell_ms = now.cell_time_ms;
  link(waiter);
}

void ClaimTable::convert(Claim& hold, base::Mode mode, base::Token token) {
  HF_ASSERT(hold.held);
  Lock& lock = hold.lock->second;
  if (token == hold.id) {
    lock.held_modes.remove(hold.mode);
    lock.held_modes.add(mode);
    hold.mode = mode;
    dirty_claims_.add(hold);
    return;
  }
  unlink(hold);
  erase_row(hold);
  set_id(hold, token);
  hold.mode = mode;
  link(hold);
}

void ClaimTable::set_holder(Claim& hold, base::HolderId holder, base::AgentId agent) {
  HF_ASSERT(hold.held && hold.partner == nullptr);
  const bool crowded = hold.lock->second.crowded;
  if (crowded) by_identity_.erase(&hold);
  hold.lease->orphan_count -= is_orphan(hold);
  hold.holder = holder;
  hold.agent = agent;
  hold.lease->orphan_count += is_orphan(hold);
  if (crowded) by_identity_.insert(&hold);
  dirty_claims_.add(hold);
}

void ClaimTable::set_value(Claim& hold, const std::string& value) {
  HF_ASSERT(hold.held);
  hold.value = value.empty() ? nullptr : std::make_unique<const std::string>(value);
  dirty_claims_.add(hold);
}

void ClaimTable::remove(Claim& claim) {
  HF_ASSERT(!claim.held || claim.partner == nullptr);
  unlink(claim);
  if (claim.converts) {
    claim.partner->partner = nullptr;
  } else if (!claim.held) {
    leave_ring(claim);
  }
  erase_row(claim);
  unindex_identity(claim);
  claims_.erase(base::Revision{claim.id});
}

void ClaimTable::link(Claim& claim) {
  Lock& lock = claim.lock->second;
  if (claim.held) {
    lock.holders.push_back(&claim);
    lock.held_modes.add(claim.mode);
    lock.held_permits += claim.permits;
    claim.lease->holds.push_back(&claim);
    ++claim.lease->hold_count;
    claim.lease->orphan_count += is_orphan(claim);
    ++hold_count_;
  } else {
    if (lock.queue == nullptr) lock.queue = std::make_unique<WaitQueue>();
    (claim.converts ? lock.queue->conversions : lock.queue->waiters).push_back(&claim);
    lock.queue->modes.add(claim.mode);
    claim.lease->waits.push_back(&claim);
    ++claim.lease->wait_count;
  }
  dirty_claims_.add(claim);
  policies_.count(claim, 1);
}

void ClaimTable::unlink(Claim& claim) {
  policies_.count(claim, -1);
  Lock& lock = claim.lock->second;
  if (claim.held) {
    lock.holders.remove(&claim);
    lock.held_modes.remove(claim.mode);
    lock.held_permits -= claim.permits;
    claim.lease->holds.remove(&claim);
    --claim.lease->hold_count;
    claim.lease->orphan_count -= is_orphan(claim);
    --hold_count_;
  } else {
    (claim.converts ? lock.queue->conversions : lock.queue->waiters).remove(&claim);
    lock.queue->modes.remove(claim.mode);
    if (lock.queue->empty()) lock.queue = nullptr;
    claim.lease->waits.remove(&claim);
    --claim.lease->wait_count;
  }
}

// The row under the claim's present id goes: with the claim, or for another id.
void ClaimTable::erase_row(Claim& claim) {
  dirty_claims_.forget(claim);
  if (claim.mark.recorded) (claim.held ? erased_holds_ : erased_waiters_).push_back(claim.id);
  claim.mark.recorded = false;
}

void ClaimTable::change(LockRef lock, base::Revision revision) {
  lock->second.revision = revision;
  dirty_locks_.add(*lock);
}

void ClaimTable::delay(const Claim& lost, uint64_t until_ms) {
  const Lock& lock = lost.lock->second;
  Delay delay = lock.delay == nullptr ? Delay() : *lock.delay;
  delay.until_ms = std::max(delay.until_ms, until_ms);
  delay.blocks |= conflicts_of(lost.mode);
  delay.permits += lost.permits;
  set_delay(lost.lock, delay);
}

void ClaimTable::set_delay(LockRef lock, Delay delay) {
  if (lock->second.delay != nullptr) delays_.erase({lock->second.delay->until_ms, lock->first});
  lock->second.delay = std::make_unique<Delay>(delay);
  delays_.emplace(delay.until_ms, lock->first);
  dirty_locks_.add(*lock);
}

void ClaimTable::end_delay(LockRef lock) {
  delays_.erase({lock->second.delay->until_ms, lock->first});
  lock->second.delay = nullptr;
  dirty_locks_.add(*lock);
}

LockRef ClaimTable::first_delayed() {
  return delays_.empty() ? locks_.end() : find(delays_.begin()->second);
}

std::optional<uint64_t> ClaimTable::next_delay_end() const {
  if (delays_.empty()) return std::nullopt;
  return delays_.begin()->first;
}

void ClaimTable::drop_if_unused(LockRef lock) {
  if (!lock->second.unused()) return;
  dirty_locks_.forget(*lock);
  if (lock->second.mark.recorded) erased_locks_.insert(lock->first);
  locks_.erase(lock);
}

void ClaimTable::take_changes(base::StateWrite& out) {
  dirty_locks_.take(
      [&](const LockMap::value_type& lock) { out.locks.put.push_back(lock_row(lock)); });
  dirty_claims_.take([&](const Claim& claim) {
    if (claim.held) {
      out.holds.put.push_back(hold_row(claim));
    } else {
      out.waiters.put.push_back(waiter_row(claim));
    }
  });
  out.locks.erase.assign(erased_locks_.begin(), erased_locks_.end());
  erased_locks_.clear();
  out.holds.erase.swap(erased_holds_);
  out.waiters.erase.swap(erased_waiters_);
}

void ClaimTable::mark_recorded() {
  dirty_locks_.take([](const LockMap::value_type&) {});
  dirty_claims_.take([](const Claim&) {});
}

namespace {
std::string text_or_empty(const std::unique_ptr<const std::string>& text) {
  return text == nullptr ? std::string() : *text;
}
}  // namespace

base::HoldRow hold_row(const Claim& claim) {
  return {claim.id,
          claim.lock->first,
          claim.lease->row.id,
          claim.holder,
          claim.agent,
          claim.mode,
          claim.permits,
          claim.since_wall_ms,
          claim.since_cell_ms,
          claim.number,
          text_or_empty(claim.reason),
          text_or_empty(claim.value)};
}

base::WaiterRow waiter_row(const Claim& claim) {
  return {claim.id,
          claim.lock->first,
          claim.lease->row.id,
          claim.holder,
          claim.agent,
          claim.mode,
          claim.permits,
          claim.since_wall_ms,
          claim.since_cell_ms,
          claim.client,
          claim.number,
          text_or_empty(claim.reason),
          claim.converts ? claim.partner->id : base::Token(),
          text_or_empty(claim.value)};
}

base::LockRow lock_row(const LockMap::value_type& lock) {
  const Delay delay = lock.second.delay == nullptr ? Delay() : *lock.second.delay;
  return {lock.first,     lock.second.revision, lock.second.capacity, lock.second.kind,
          delay.until_ms, delay.blocks,         delay.permits};
}

}  // namespace holdfast::locks
