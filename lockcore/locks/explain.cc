#include "lockcore/locks/explain.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "lockcore/locks/lock_table.h"
#include "lockcore/locks/lock_table_state.h"

namespace holdfast::locks {
namespace {

// Of those who only wait for the lock that is asked about: the front of its queue tells enough.
constexpr size_t kMaxRootWaiters = 20;

// Breadth first: what is nearest comes first, and is what stays when the list is cut.
class Explainer {
 public:
  Explainer(const PolicyTable& policies, size_t limit) : policies_(policies), limit_(limit) {}

  // An admin's: nothing under it is granted, to whoever asks.
  void add_drain(std::string_view lock, int parent) {
    const base::PolicyRow* drain = policies_.drain_of(lock);
    if (drain == nullptr) return;
    Blocker* blocker = next(std::string(lock), Blocker::Kind::kDrain, parent);
    if (blocker != nullptr) blocker->reason = drain->reason;
  }

  // For who would ask for the lock exclusively now.
  void begin_with_lock(const LockMap::value_type& lock) {
    add_delay(lock, -1);
    uint64_t position = 0;
    for (const Claim* claim = first_claim(lock.second); claim != nullptr;
         claim = next_claim(*claim)) {
      if (!claim->held && ++position > kMaxRootWaiters) {
        out_.truncated = true;
        break;
      }
      if (!add(*claim, position, -1)) break;
    }
    go_on();
  }

  void begin_with_lease(const Lease& lease) {
    for (const Claim* wait = lease.waits.front(); wait != nullptr;
         wait = ClaimsOfLease::next(wait)) {
      add_those_in_the_way_of(*wait, -1);
    }
    go_on();
  }

  Explanation take() { return std::move(out_); }

 private:
  struct Reached {
    const Claim* claim;
    int index;
  };

  // Its agent may wait elsewhere: what is in the way there keeps all the others waiting as well.
  void go_on() {
    for (; !reached_.empty() && !out_.truncated; reached_.pop_front()) {
      const auto [claim, index] = reached_.front();
      if (!claim->agent) continue;
      for (const Claim* wait = claim->lease->waits.front(); wait != nullptr;
           wait = ClaimsOfLease::next(wait)) {
        const bool is_told = !claim->held && wait->lock == claim->lock;
        if (wait->agent == claim->agent && !is_told) add_those_in_the_way_of(*wait, index);
      }
    }
  }

  void add_those_in_the_way_of(const Claim& waiter, int parent) {
    add_drain(waiter.lock->first, parent);
    add_delay(*waiter.lock, parent);
    uint64_t position = 0;
    for (const Claim* claim = first_claim(waiter.lock->second);
         claim != nullptr && claim != &waiter; claim = next_claim(*claim)) {
      if (!claim->held) ++position;
      if (stands_in_the_way(*claim, waiter) && !add(*claim, position, parent)) return;
    }
  }

  void add_delay(const LockMap::value_type& lock, int parent) {
    if (lock.second.delay == nullptr) return;
    Blocker* blocker = next(lock.first, Blocker::Kind::kDelay, parent);
    if (blocker != nullptr) blocker->until_cell_ms = lock.second.delay->until_ms;
  }

  bool add(const Claim& claim, uint64_t position, int parent) {
    const auto kind = claim.held ? Blocker::Kind::kHolder : Blocker::Kind::kWaiter;
    Blocker* blocker = next(claim.lock->first, kind, parent);
    if (blocker == nullptr) return false;
    blocker->lease = claim.lease->row.id;
    blocker->holder = claim.holder;
    blocker->mode = claim.mode;
    blocker->permits = claim.permits;
    blocker->since_cell_ms = claim.since_cell_ms;
    blocker->owner = claim.lease->row.owner;
    if (claim.held) blocker->token = claim.id;
    if (!claim.held) blocker->position = position;
    if (claim.reason != nullptr) blocker->reason = *claim.reason;
    blocker->seen = std::any_of(seen_.begin(), seen_.end(), [&](const Claim* other) {
      return claim.agent && other->lease == claim.lease && other->agent == claim.agent;
    });
    if (blocker->seen) return true;
    seen_.push_back(&claim);
    reached_.push_back({&claim, static_cast<int>(out_.blockers.size()) - 1});
    return true;
  }

  Blocker* next(const std::string& lock, Blocker::Kind kind, int parent) {
    if (out_.blockers.size() >= limit_) {
      out_.truncated = true;
      return nullptr;
    }
    Blocker& blocker = out_.blockers.emplace_back();
    blocker.parent = parent;
    blocker.lock = lock;
    blocker.kind = kind;
    return &blocker;
  }

  const PolicyTable& policies_;
  const size_t limit_;
  Explanation out_;
  std::vector<const Claim*> seen_;  // at most limit_
  std::deque<Reached> reached_;
};

}  // namespace

Explanation LockTable::explain_lock(std::string_view name, size_t limit) const {
  Explainer explainer(state_->policies, limit);
  explainer.add_drain(name, -1);
  const LockRef lock = state_->claims.find(name);
  if (lock != state_->claims.end()) explainer.begin_with_lock(*lock);
  return explainer.take();
}

Explanation LockTable::explain_lease(base::LeaseId id, size_t limit) const {
  Explainer explainer(state_->policies, limit);
  const Lease* lease = std::as_const(state_->leases).find(id);
  if (lease != nullptr) explainer.begin_with_lease(*lease);
  return explainer.take();
}

}  // namespace holdfast::locks
