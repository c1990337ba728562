// LeaseClock: when each lease ends, by the active leader's own clock (DESIGN 6).
//
// Deadlines live in memory only. A new leader starts over with every lease's full TTL, which is
// safe: whatever an older leader acknowledged was confirmed by a quorum before that quorum promised
// the new ballot. Deadlines move forward only, but for those of leases that end with their
// connection.
//
// Renewals are far more frequent than ends, so renewing is O(1): it stores the new deadline and
// leaves the lease in the bucket of an older one. When that bucket falls due the lease moves on to
// its real bucket; a lease thus changes buckets once a TTL, however often it is renewed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "lockcore/base/ids.h"
#include "lockcore/base/limits.h"
#include "lockcore/base/time.h"

namespace holdfast::node {

// Leases that go unrenewed for long are to be checkpointed (DESIGN 6), again and again. That is
// kept in buckets in the same way.
class LeaseClock {
 public:
  // Which leases are to be checkpointed, and how often: after min(ttl / steps, longest_step).
  struct Checkpoints {
    base::Duration min_ttl = base::Duration::from_ms(base::kMinCheckpointTtlMs);
    base::Duration longest_step = base::Duration::from_ms(base::kMaxCheckpointStepMs);
  };
  explicit LeaseClock(const Checkpoints& checkpoints) : checkpoints_(checkpoints) {}

  void clear();
  // A lease that lives from now on, with `left` of its TTL.
  void add(base::LeaseId lease, base::Duration ttl, base::Duration left, base::Instant now);
  void remove(base::LeaseId lease);
  // Moves the deadline to arrival + ttl, if that is later. False: no such lease.
  bool renew(base::LeaseId lease, base::Instant arrival);
  // Moves the deadline back to `end`, if it is later.
  void shorten(base::LeaseId lease, base::Instant end);
  std::optional<base::Instant> deadline(base::LeaseId lease) const;

  // Removes from the buckets, and appends to `due`, every lease whose deadline is at or before
  // `as_of`, at most `limit`. A lease that is taken stays known (deadline()) until remove().
  void take_due(base::Instant as_of, size_t limit, std::vector<base::LeaseId>& due);
  // Puts a lease that was taken, and yet lives, back into a bucket. Nothing happens if it is gone,
  // or was not taken.
  void refile(base::LeaseId lease);
  // Appends to `due`, with what is left of them, leases that went unrenewed and without a
  // checkpoint for a whole step, at most `limit`. It counts as if they were checkpointed now.
  struct Left {
    base::LeaseId lease;
    base::Duration left;
  };
  void take_unrenewed(base::Instant now, size_t limit, std::vector<Left>& due);
  base::Instant next_unrenewed() const;  // none is taken before this moment

  // No lease is due before this moment; kNever without leases.
  base::Instant next_due() const;
  size_t size() const { return leases_.size(); }

 private:
  // Wide enough that a million leases make few buckets, narrow enough that nobody notices.
  static constexpr int64_t kBucketNs = 8'000'000;
  static constexpr int64_t kNoBucket = INT64_MIN;

  struct Entry {
    base::Instant deadline;
    base::Instant noted;         // when it was last renewed or checkpointed, or came here
    int64_t bucket = kNoBucket;  // where it is filed; in other buckets its id means nothing
    uint32_t ttl_ms = 0;         // at most a day

    base::Duration ttl() const { return base::Duration::from_ms(ttl_ms); }
  };
  void file(base::LeaseId lease, Entry& entry);
  base::Duration step_of(const Entry& entry) const;
  void file_unrenewed(base::LeaseId lease, const Entry& entry);
  void drop_ghosts();

  const Checkpoints checkpoints_;
  std::unordered_map<base::LeaseId, Entry> leases_;
  // By the number of the bucket's end. A filed lease's bucket is never after its deadline's.
  std::map<int64_t, std::vector<base::LeaseId>> buckets_;
  size_t filed_ = 0;  // ids in buckets_, those that mean nothing any more included
  // As buckets_, of the leases that are to be checkpointed. Each of them stands in one.
  std::map<int64_t, std::vector<base::LeaseId>> unrenewed_;
};

}  // namespace holdfast::node
