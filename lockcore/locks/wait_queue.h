// One lock: who holds it, who waits for it, and who is next.
//
// Fairness (DESIGN 2.6): a request is granted when it conflicts with no holder and with nobody who
// waits ahead of it. So nobody is overtaken by a conflicting later request, neighbouring compatible
// waiters go together, and a shared request behind a waiting exclusive one waits as well.
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
  ClaimsOfLock waiters;  // in the order in which their requests were chosen
  ModeCounts modes;
};

struct Lock {
  ClaimsOfLock holders;  // in grant order
  ModeCounts held_modes;
  uint32_t capacity = 0;
  base::Revision revision;           // of its last change
  std::unique_ptr<WaitQueue> queue;  // null: nobody waits
  RowMark mark;
  bool crowded = false;  // has so many claims that they are looked up in an index
  bool touched = false;  // in the list of those that a command has yet to serve

  bool unused() const { return holders.empty() && queue == nullptr; }
  uint32_t claim_count() const { return held_modes.total() + waiter_count(); }
  uint32_t waiter_count() const { return queue == nullptr ? 0 : queue->modes.total(); }
};

// By name: listings ask for a prefix, in order.
using LockMap = std::map<std::string, Lock, std::less<>>;
using LockRef = LockMap::iterator;

// One request of one lock under a lease: waiting, then held. Which one it is, is told by
// (lock, lease, holder); two holds of one lease conflict like any others.
struct Claim {
  ListLink<Claim> links[2];  // kLinkInLock, kLinkInLease
  base::Revision id;         // held: the token; waiting: the revision at which it queued
  LockRef lock;
  Lease* lease = nullptr;
  base::HolderId holder;
  base::AgentId agent;
  base::ClientId client;  // while it waits: whose operation `number` is pending
  uint64_t number = 0;
  uint64_t since_wall_ms = 0;                 // held or waiting since
  std::unique_ptr<const std::string> reason;  // null: none was given
  RowMark mark;
  uint32_t permits = 1;
  base::Mode mode = base::Mode::kExclusive;
  bool held = false;
};

// Would a new request of `mode` be granted now?
bool grantable(const Lock& lock, base::Mode mode);

// The first waiter whose turn it is; null: nobody's.
Claim* next_grantable(const Lock& lock);

}  // namespace holdfast::locks
