#include "lockcore/node/lease_clock.h"

#include <algorithm>

namespace holdfast::node {

using base::Duration;
using base::Instant;
using base::LeaseId;

void LeaseClock::clear() {
  leases_.clear();
  buckets_.clear();
  filed_ = 0;
}

void LeaseClock::file(LeaseId lease, Instant deadline) {
  // Rounded up: a bucket falls due when everything in it may be.
  buckets_[(deadline.ns + kBucketNs - 1) / kBucketNs].push_back(lease);
  ++filed_;
}

void LeaseClock::add(LeaseId lease, Duration ttl, Instant now) {
  leases_[lease] = Entry{ttl, now + ttl};
  file(lease, now + ttl);
}

void LeaseClock::remove(LeaseId lease) {
  leases_.erase(lease);
  // Ids of removed leases stay in their buckets until these fall due, up to a day from now. They
  // may not outnumber the living for that long.
  if (filed_ > 2 * leases_.size() + 4096) drop_ghosts();
}

void LeaseClock::drop_ghosts() {
  filed_ = 0;
  for (auto it = buckets_.begin(); it != buckets_.end();) {
    auto& ids = it->second;
    std::erase_if(ids, [this](LeaseId id) { return !leases_.contains(id); });
    filed_ += ids.size();
    it = ids.empty() ? buckets_.erase(it) : std::next(it);
  }
}

bool LeaseClock::renew(LeaseId lease, Instant arrival) {
  const auto it = leases_.find(lease);
  if (it == leases_.end()) return false;
  it->second.deadline = std::max(it->second.deadline, arrival + it->second.ttl);
  return true;
}

std::optional<Instant> LeaseClock::deadline(LeaseId lease) const {
  const auto it = leases_.find(lease);
  if (it == leases_.end()) return std::nullopt;
  return it->second.deadline;
}

void LeaseClock::take_due(Instant as_of, size_t limit, std::vector<LeaseId>& due) {
  while (!buckets_.empty() && buckets_.begin()->first * kBucketNs <= as_of.ns) {
    auto& ids = buckets_.begin()->second;
    while (!ids.empty()) {
      if (due.size() >= limit) return;
      const LeaseId id = ids.back();
      ids.pop_back();
      --filed_;
      const auto it = leases_.find(id);
      if (it == leases_.end()) continue;
      if (it->second.deadline > as_of) {
        // Renewed since it was filed. Its bucket is a later one: this loop ends.
        file(id, it->second.deadline);
      } else {
        due.push_back(id);
      }
    }
    buckets_.erase(buckets_.begin());
  }
}

void LeaseClock::refile(LeaseId lease) {
  const auto it = leases_.find(lease);
  if (it != leases_.end()) file(lease, it->second.deadline);
}

Instant LeaseClock::next_due() const {
  return buckets_.empty() ? base::kNever : Instant{buckets_.begin()->first * kBucketNs};
}

}  // namespace holdfast::node
