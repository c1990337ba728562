#include "lockcore/locks/policy_table.h"

#include <algorithm>

#include "lockcore/base/assert.h"
#include "lockcore/base/mutant.h"
#include "lockcore/locks/key_table.h"
#include "lockcore/locks/lease_table.h"
#include "lockcore/locks/refusal.h"
#include "lockcore/locks/wait_queue.h"

namespace holdfast::locks {

using base::PolicyKind;

namespace {

// A lock's or key's name; of a lease, which has none, `name` is null.
bool applies(const base::PolicyKey& key, const std::string_view* name, const base::Owner* owner) {
  switch (key.kind) {
    case PolicyKind::kDrain: return false;
    case PolicyKind::kPrefixQuota: return name != nullptr && name->starts_with(key.name);
    case PolicyKind::kOwnerQuota: return owner != nullptr && owner->user == key.name;
  }
  return false;
}

base::Error over_quota(const base::PolicyRow& row, const char* what, const char* limit,
                       uint64_t most) {
  const bool is_prefix = row.key.kind == PolicyKind::kPrefixQuota;
  base::Error error = exhausted(limit, most,
                                "a quota allows " + std::to_string(most) + " " + what +
                                    (is_prefix ? " under prefix \"" : " for user \"") +
                                    row.key.name + "\": " + row.reason);
  error.detail.emplace_back(is_prefix ? "prefix" : "owner", row.key.name);
  return error;
}

bool exceeds(uint64_t limit, uint64_t used, uint64_t more) {
  return limit != 0 && more != 0 && used + more > limit;
}

}  // namespace

const Policy* PolicyTable::find(const base::PolicyKey& key) const {
  const auto found = policies_.find(key);
  return found == policies_.end() ? nullptr : &found->second;
}

Policy& PolicyTable::set(base::PolicyRow row) {
  const auto [entry, added] = policies_.try_emplace(row.key);
  if (added) {
    ++(row.key.kind == PolicyKind::kDrain ? drains_ : quotas_);
    // Perhaps still on the disk under this key: then a put replaces that row.
    entry->second.mark.recorded = std::erase(erased_, row.key) != 0;
  }
  entry->second.row = std::move(row);
  dirty_.add(*entry);
  return entry->second;
}

void PolicyTable::end(const base::PolicyKey& key) {
  const auto entry = policies_.find(key);
  HF_ASSERT(entry != policies_.end());
  --(key.kind == PolicyKind::kDrain ? drains_ : quotas_);
  dirty_.forget(*entry);
  if (entry->second.mark.recorded) erased_.push_back(key);
  policies_.erase(entry);
}

const base::PolicyRow* PolicyTable::drain_of(std::string_view lock) const {
  if (drains_ == 0) return nullptr;
  for (const auto& [key, policy] : policies_) {
    if (key.kind != PolicyKind::kDrain) break;  // drains are first
    if (lock.starts_with(key.name)) return &policy.row;
  }
  return nullptr;
}

// -- quotas ---------------------------------------------------------------------------------------

std::optional<base::Error> PolicyTable::refuse_lease(const base::Owner& owner) const {
  if (quotas_ == 0) return std::nullopt;
  for (const auto& [key, policy] : policies_) {
    const uint64_t most = policy.row.limits.leases;
    if (!applies(key, nullptr, &owner) || !exceeds(most, policy.used.leases, 1)) continue;
    return over_quota(policy.row, "leases", "quotaLeases", most);
  }
  return std::nullopt;
}

std::optional<base::Error> PolicyTable::refuse_claims(const std::vector<std::string_view>& locks,
                                                      const base::Owner& owner,
                                                      bool waiting) const {
  if (quotas_ == 0) return std::nullopt;
  for (const auto& [key, policy] : policies_) {
    const auto more = static_cast<uint64_t>(std::count_if(
        locks.begin(), locks.end(),
        [&key = key, &owner](std::string_view lock) { return applies(key, &lock, &owner); }));
    const base::QuotaLimits& limits = policy.row.limits;
    if (exceeds(limits.locks, policy.used.locks, more)) {
      return over_quota(policy.row, "locks held or waited for", "quotaLocks", limits.locks);
    }
    if (waiting && exceeds(limits.waiters, policy.used.waiters, more)) {
      return over_quota(policy.row, "waiters", "quotaWaiters", limits.waiters);
    }
  }
  return std::nullopt;
}

std::optional<base::Error> PolicyTable::refuse_keys(const std::vector<KeyChange>& changes) const {
  if (quotas_ == 0) return std::nullopt;
  for (const auto& [key, policy] : policies_) {
    int64_t more = 0;
    for (const KeyChange& change : changes) {
      if (applies(key, &change.name, change.owner_after)) more += change.bytes_after;
      if (applies(key, &change.name, change.owner_before)) more -= change.bytes_before;
    }
    const uint64_t most = policy.row.limits.bytes;
    if (more <= 0 || !exceeds(most, policy.used.bytes, static_cast<uint64_t>(more))) continue;
    return over_quota(policy.row, "bytes of keys and values", "quotaBytes", most);
  }
  return std::nullopt;
}

template <class Visit>
void PolicyTable::visit_quotas(std::string_view name, const base::Owner* owner, Visit visit) {
  if (quotas_ == 0) return;
  for (auto& [key, policy] : policies_) {
    if (applies(key, name.empty() ? nullptr : &name, owner)) visit(policy.used);
  }
}

void PolicyTable::count(const Lease& lease, int change) {
  visit_quotas({}, lease.row.owner.get(),
               [&](base::QuotaLimits& used) { used.leases += static_cast<uint64_t>(change); });
}

void PolicyTable::count(const Claim& claim, int change) {
  visit_quotas(claim.lock->first, claim.lease->row.owner.get(), [&](base::QuotaLimits& used) {
    used.locks += static_cast<uint64_t>(change);
    if (!claim.held) used.waiters += static_cast<uint64_t>(change);
  });
}

void PolicyTable::count(const Key& key, int change) {
  const base::Owner* owner = key.lease == nullptr ? nullptr : key.lease->row.owner.get();
  const uint64_t bytes = key.name->size() + key.value.size();
  visit_quotas(*key.name, owner,
               [&](base::QuotaLimits& used) { used.bytes += change > 0 ? bytes : -bytes; });
}

// -- the record -----------------------------------------------------------------------------------

void PolicyTable::take_changes(base::Changes<base::PolicyRow, base::PolicyKey>& out) {
  dirty_.take([&](const PolicyMap::value_type& entry) { out.put.push_back(entry.second.row); });
  out.erase.swap(erased_);
}

void PolicyTable::mark_recorded() {
  dirty_.take([](const PolicyMap::value_type&) {});
}

}  // namespace holdfast::locks
