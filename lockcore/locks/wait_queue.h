// One lock: who holds it, who waits for it, and who is next.
//
// Fairness (DESIGN 2.6): a request is granted when it conflicts with no holder and with nobody who
// waits ahead of it. So nobody is overtaken by a conflicting later request, neighbouring compatible
// waiters go together, and a shared request behind a waiting exclusive one waits as well.
//  - A conversion waits ahead of all others: its holder has been served already.
//  - At a semaphore everybody conflicts with who waits ahead: a small request behind a large one
//    waits, or the large one would never be served.
//  - A request for several locks has a place in the queue of each, and is granted when its turn has
//    come in all of them. Until then it holds none, and whoever comes after it and conflicts waits
//    behind it everywhere. Requests are queued in one order, the same in every lock, so that two of
//    them never wait for each other, and neither kind of request can starve the other.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "lockcore/base/state_rows.h"
#include "lockcore/locks/dirty_rows.h"
#include "lockcore/locks/intrusive_list.h"
#include "lockcore/locks/lease_table.h"
#include "lockcore/locks/modes.h"

namespace holdfast::locks {

using ClaimsOfLock = IntrusiveList<Claim, kLinkInLock>;
using ClaimsOfLease = IntrusiveList<Claim, kLinkInLease>;

// Exists while somebody waits: most locks never need one.
struct WaitQueue {
  // Each in the order in which the requests were chosen.
  ClaimsOfLock conversions;
  ClaimsOfLock waiters;
  ModeCounts modes;  // of both

  bool empty() const { return conversions.empty() && waiters.empty(); }
};

// After the loss of a holder with a lock-delay: what it may still be doing.
struct Delay {
  uint64_t until_ms = 0;  // cell time
  ModeSet blocks = 0;     // what conflicts with the modes that were lost
  uint64_t permits = 0;   // that were lost
};

struct Lock {
  ClaimsOfLock holders;  // in grant order
  ModeCounts held_modes;
  uint64_t held_permits = 0;
  base::LockKind kind = base::LockKind::kLock;
  uint32_t capacity = 0;
  base::Revision revision;           // of its last change
  std::unique_ptr<WaitQueue> queue;  // null: nobody waits
  std::unique_ptr<Delay> delay;      // null: none
  RowMark mark;
  bool crowded = false;  // has so many claims that they are looked up in an index
  bool touched = false;  // in the list of those that a command has yet to serve
  bool drained = false;  // a drain keeps it from being granted to anybody

  bool unused() const { return holders.empty() && queue == nullptr && delay == nullptr; }
  uint32_t claim_count() const { return held_modes.total() + waiter_count(); }
  uint32_t waiter_count() const { return queue == nullptr ? 0 : queue->modes.total(); }
  bool counts_permits() const { return kind == base::LockKind::kSemaphore; }
};

// By name: listings ask for a prefix, in order.
using LockMap = std::map<std::string, Lock, std::less<>>;
using LockRef = LockMap::iterator;

// One request of one lock under a lease: waiting, then held. Which one it is, is told by
// (lock, lease, holder); two holds of one lease conflict like any others. A conversion is a claim
// of its own, beside the hold that it is to change.
struct Claim {
  ListLink<Claim> links[2];  // kLinkInLock, kLinkInLease
  base::Revision id;         // held: the token; waiting: the revision at which it queued
  LockRef lock;
  Lease* lease = nullptr;
  // Held: the conversion that waits to change it, if any. A conversion: the hold. Else, waiting:
  // the next claim of the same request, in a ring in the order of the request; mostly itself.
  Claim* partner = nullptr;
  base::HolderId holder;
  base::AgentId agent;
  base::ClientId client;  // while it waits: whose operation `number` is pending
  uint64_t number = 0;
  uint64_t since_wall_ms = 0;                 // held or waiting since
  uint64_t since_cell_ms = 0;                 // the same moment
  std::unique_ptr<const std::string> reason;  // null: none was given
  std::unique_ptr<const std::string> value;   // null: nothing was proclaimed
  RowMark mark;
  uint32_t permits = 1;
  base::Mode mode = base::Mode::kExclusive;
  bool held = false;
  bool converts = false;
};

// A hold whose lease was adopted, and that nobody has taken up since.
inline bool is_orphan(const Claim& claim) {
  return claim.held && claim.agent == base::kNoAgent;
}

// Would a new request be granted now?
bool grantable(const Lock& lock, base::Mode mode, uint32_t permits);
// Is it the lock-delay alone that stands in its way?
bool only_delayed(const Lock& lock, base::Mode mode, uint32_t permits);
// Would this hold be given `mode` now, if it asked?
bool convertible(const Claim& hold, base::Mode mode);

// The first waiter whose turn it is; null: nobody's. Of a request for several locks, the claim on
// this one.
Claim* next_grantable(const Lock& lock);

// The claims of a lock, one after the other: holders, conversions, waiters. Null: no more.
const Claim* first_claim(const Lock& lock);
const Claim* next_claim(const Claim& claim);
// Both are claims on one lock. Does `waiter` wait until `other` is gone?
bool stands_in_the_way(const Claim& other, const Claim& waiter);

}  // namespace holdfast::locks
