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
  unrenewed_.clear();
  filed_ = 0;
}

void LeaseClock::file(LeaseId lease, Entry& entry) {
  // Rounded up: a bucket falls due when everything in it may be.
  entry.bucket = (entry.deadline.ns + kBucketNs - 1) / kBucketNs;
  buckets_[entry.bucket].push_back(lease);
  ++filed_;
}

void LeaseClock::add(LeaseId lease, Duration ttl, Duration left, Instant now) {
  const auto [place, added] = leases_.try_emplace(lease);
  HF_ASSERT(added);
  Entry& entry = place->second;
  entry.ttl_ms = static_cast<uint32_t>(ttl.ms_ceil());
  entry.deadline = now + left * (HF_MUTANT(lease_ends_early) ? 9 : 10) / 10;
  entry.noted = now;
  file(lease, entry);
  if (ttl >= checkpoints_.min_ttl) file_unrenewed(lease, entry);
}

Duration LeaseClock::step_of(const Entry& entry) const {
  return std::min(entry.ttl() / static_cast<int64_t>(base::kCheckpointStepsPerTtl),
                  checkpoints_.longest_step);
}

void LeaseClock::file_unrenewed(LeaseId lease, const Entry& entry) {
  const Instant due = entry.noted + step_of(entry);
  unrenewed_[(due.ns + kBucketNs - 1) / kBucketNs].push_back(lease);
}

void LeaseClock::take_unrenewed(Instant now, size_t limit, std::vector<Left>& due) {
  while (!unrenewed_.empty() && unrenewed_.begin()->first * kBucketNs <= now.ns) {
    auto& ids = unrenewed_.begin()->second;
    while (!ids.empty()) {
      if (due.size() >= limit) return;
      const LeaseId id = ids.back();
      ids.pop_back();
      const auto it = leases_.find(id);
      if (it == leases_.end()) continue;
      Entry& entry = it->second;
      // Else it was renewed since it was filed. Its bucket is a later one: this loop ends.
      if (entry.noted + step_of(entry) <= now) {
        entry.noted = now;
        if (entry.deadline > now) due.push_back({id, entry.deadline - now});
      }
      file_unrenewed(id, entry);
    }
    unrenewed_.erase(unrenewed_.begin());
  }
}

Instant LeaseClock::next_unrenewed() const {
  return unrenewed_.empty() ? base::kNever : Instant{unrenewed_.begin()->first * kBucketNs};
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
    std::erase_if(ids, [&](LeaseId id) {
      const auto found = leases_.find(id);
      return found == leases_.end() || found->second.bucket != it->first;
    });
    filed_ += ids.size();
    it = ids.empty() ? buckets_.erase(it) : std::next(it);
  }
  for (auto it = unrenewed_.begin(); it != unrenewed_.end();) {
    std::erase_if(it->second, [this](LeaseId id) { return !leases_.contains(id); });
    it = it->second.empty() ? unrenewed_.erase(it) : std::next(it);
  }
}

bool LeaseClock::renew(LeaseId lease, Instant arrival) {
  const auto it = leases_.find(lease);
  if (it == leases_.end()) return false;
  if (HF_MUTANT(lease_clock_runs_fast)) arrival = arrival - it->second.ttl() / 10;
  it->second.deadline = std::max(it->second.deadline, arrival + it->second.ttl());
  it->second.noted = std::max(it->second.noted, arrival);
  return true;
}

void LeaseClock::shorten(LeaseId lease, Instant end) {
  const auto it = leases_.find(lease);
  if (it == leases_.end() || it->second.deadline <= end) return;
  it->second.deadline = end;
  if (it->second.bucket != kNoBucket) file(lease, it->second);
}

std::optional<Instant> LeaseClock::deadline(LeaseId lease) const {
  const auto it = leases_.find(lease);
  if (it == leases_.end()) return std::nullopt;
  return it->second.deadline;
}

void LeaseClock::take_due(Instant as_of, size_t limit, std::vector<LeaseId>& due) {
  while (!buckets_.empty() && buckets_.begin()->first * kBucketNs <= as_of.ns) {
    const int64_t bucket = buckets_.begin()->first;
    auto& ids = buckets_.begin()->second;
    while (!ids.empty()) {
      if (due.size() >= limit) return;
      const LeaseId id = ids.back();
      ids.pop_back();
      --filed_;
      const auto it = leases_.find(id);
      if (it == leases_.end() || it->second.bucket != bucket) continue;
      if (it->second.deadline > as_of) {
        // Renewed since it was filed. Its bucket is a later one: this loop ends.
        file(id, it->second);
      } else {
        it->second.bucket = kNoBucket;
        due.push_back(id);
      }
    }
    buckets_.erase(buckets_.begin());
  }
}

void LeaseClock::refile(LeaseId lease) {
  const auto it = leases_.find(lease);
  if (it != leases_.end() && it->second.bucket == kNoBucket) file(lease, it->second);
}

Instant LeaseClock::next_due() const {
  return buckets_.empty() ? base::kNever : Instant{buckets_.begin()->first * kBucketNs};
}

}  // namespace holdfast::node
