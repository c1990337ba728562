#include "lockcore/node/lease_clock.h"

#include <algorithm>

#include "lockcore/base/assert.h"
#include "lockcore/base/limits.h"
#include "lockcore/base/mutant.h"

namespace holdfast::node {

using base::Duration;
using base::Instant;
using base::LeaseId;

static_assert(base::kMaxLeaseTtlMs <= UINT32_MAX);

void LeaseClock::clear() {
  leases_.clear();
  buckets_.clear();
  filed_ = 0;
}

void LeaseClock::file(LeaseId lease, Entry& entry) {
  // Rounded up: a bucket falls due when everything in it may be.
  buckets_[(entry.deadline.ns + kBucketNs - 1) / kBucketNs].push_back(lease);
  entry.filed = true;
  ++filed_;
}

void LeaseClock::add(LeaseId lease, Duration ttl, Instant now) {
  const auto [place, added] = leases_.try_emplace(lease);
  HF_ASSERT(added);
  Entry& entry = place->second;
  entry.ttl_ms = static_cast<uint32_t>(ttl.ms_ceil());
  entry.deadline = now + entry.ttl() * (HF_MUTANT(lease_ends_early) ? 9 : 10) / 10;
  file(lease, entry);
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
  if (HF_MUTANT(lease_clock_runs_fast)) arrival = arrival - it->second.ttl() / 10;
  it->second.deadline = std::max(it->second.deadline, arrival + it->second.ttl());
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
        file(id, it->second);
      } else {
        it->second.filed = false;
        due.push_back(id);
      }
    }
    buckets_.erase(buckets_.begin());
  }
}

void LeaseClock::refile(LeaseId lease) {
  const auto it = leases_.find(lease);
  if (it != leases_.end() && !it->second.filed) file(lease, it->second);
}

Instant LeaseClock::next_due() const {
  return buckets_.empty() ? base::kNever : Instant{buckets_.begin()->first * kBucketNs};
}

}  // namespace holdfast::node
