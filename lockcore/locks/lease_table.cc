#include "lockcore/locks/lease_table.h"

#include <algorithm>
#include <utility>

#include "lockcore/locks/policy_table.h"

namespace holdfast::locks {

std::shared_ptr<const base::Owner> OwnerPool::share(base::Owner owner) {
  auto found = entries_.find(&owner);
  if (found == entries_.end()) {
    auto shared = std::make_shared<const base::Owner>(std::move(owner));
    found = entries_.emplace(shared.get(), Entry{shared, 0}).first;
  }
  ++found->second.leases;
  return found->second.owner;
}

void OwnerPool::drop(const base::Owner& owner) {
  const auto found = entries_.find(&owner);
  HF_ASSERT(found != entries_.end());
  if (--found->second.leases == 0) entries_.erase(found);
}

Lease* LeaseTable::find(base::LeaseId id) {
  const auto found = leases_.find(id);
  return found == leases_.end() ? nullptr : &found->second;
}

const Lease* LeaseTable::find(base::LeaseId id) const {
  return const_cast<LeaseTable*>(this)->find(id);
}

Lease& LeaseTable::add(base::LeaseRow row, base::Owner owner) {
  HF_ASSERT(order_.empty() || order_.back() < row.id);
  const auto [place, inserted] = leases_.try_emplace(row.id);
  HF_ASSERT(inserted);
  Lease& lease = place->second;
  lease.row = std::move(row);
  lease.row.owner = owners_.share(std::move(owner));
  order_.push_back(lease.row.id);
  bound_ += is_bound(lease.row);
  dirty_.add(lease);
  policies_.count(lease, 1);
  return lease;
}

void LeaseTable::remove(Lease& lease) {
  HF_ASSERT(lease.holds.empty() && lease.waits.empty() && lease.keys.empty());
  bound_ -= is_bound(lease.row);
  policies_.count(lease, -1);
  dirty_.forget(lease);
  if (lease.mark.recorded) erased_.push_back(lease.row.id);
  // The pool compares owners while it looks for this one: keep it until then.
  const std::shared_ptr<const base::Owner> owner = lease.row.owner;
  owners_.drop(*owner);
  leases_.erase(base::LeaseId{lease.row.id});
  if (order_.size() > 64 && order_.size() / 2 > leases_.size()) compact();
}

void LeaseTable::adopt(Lease& lease, base::ClientId by) {
  bound_ -= is_bound(lease.row);
  if (lease.row.client != by) lease.row.former = std::exchange(lease.row.client, by);
  bound_ += is_bound(lease.row);
  lease.row.left_ms = 0;
  dirty_.add(lease);
}

void LeaseTable::set_owner(Lease& lease, base::Owner owner) {
  const std::shared_ptr<const base::Owner> before = lease.row.owner;
  lease.row.owner = owners_.share(std::move(owner));
  owners_.drop(*before);
  dirty_.add(lease);
}

void LeaseTable::set_left(Lease& lease, uint64_t left_ms) {
  if (lease.row.left_ms == left_ms) return;
  lease.row.left_ms = left_ms;
  dirty_.add(lease);
}

size_t LeaseTable::first_above(base::LeaseId after) const {
  return static_cast<size_t>(std::upper_bound(order_.begin(), order_.end(), after) -
                             order_.begin());
}

void LeaseTable::compact() {
  std::erase_if(order_, [&](base::LeaseId id) { return !leases_.contains(id); });
}

void LeaseTable::take_changes(base::Changes<base::LeaseRow, base::LeaseId>& out) {
  dirty_.take([&](const Lease& lease) { out.put.push_back(lease.row); });
  out.erase.swap(erased_);
}

void LeaseTable::mark_recorded() {
  dirty_.take([](const Lease&) {});
}

}  // namespace holdfast::locks
