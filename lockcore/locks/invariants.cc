// What must be true of the state after every slot.
#include <cstdio>

#include "lockcore/base/assert.h"
#include "lockcore/locks/lock_table.h"
#include "lockcore/locks/lock_table_state.h"

namespace holdfast::locks {
namespace {

// The lists of one lock, counted and compared with what the lock says of them.
struct LockCheck {
  ModeCounts held, waiting;
  uint64_t permits = 0;
  base::Revision last_token, last_queued;

  std::optional<std::string> check(const LockMap::value_type& entry) {
    const auto& [name, lock] = entry;
    const std::string what = "lock \"" + name + "\"";
    if (lock.unused()) return what + " has neither holders nor waiters, nor a delay";
    HF_ASSERT(!lock.touched);
    for (const Claim* c = lock.holders.front(); c != nullptr; c = ClaimsOfLock::next(c)) {
      HF_ASSERT(c->held && &c->lock->second == &lock);
      HF_ASSERT(c->partner == nullptr || (c->partner->converts && c->partner->partner == c));
      const bool conflicts = (held.conflicts() & set_of(c->mode)) != 0;
      if (conflicts && !lock.counts_permits()) return what + " has holds that conflict";
      if (c->id <= last_token) return what + " has holders out of order";
      if (c->id > lock.revision) return what + " is older than its newest hold";
      last_token = c->id;
      held.add(c->mode);
      permits += c->permits;
    }
    HF_ASSERT(permits == lock.held_permits);
    if (lock.counts_permits() && permits > lock.capacity) {
      return what + " has more permits held than its capacity";
    }
    if (lock.queue == nullptr) return std::nullopt;
    HF_ASSERT(!lock.queue->empty());
    if (auto problem = check_queue(what, lock, lock.queue->conversions, true)) return problem;
    if (auto problem = check_queue(what, lock, lock.queue->waiters, false)) return problem;
    if (next_grantable(lock) != nullptr) return what + " has a waiter whose turn it is";
    return std::nullopt;
  }

 private:
  std::optional<std::string> check_queue(const std::string& what, const Lock& lock,
                                         const ClaimsOfLock& queue, bool conversions) {
    last_queued = {};
    for (const Claim* c = queue.front(); c != nullptr; c = ClaimsOfLock::next(c)) {
      HF_ASSERT(!c->held && c->converts == conversions && &c->lock->second == &lock);
      check_partner(*c);
      if (c->id <= last_queued) return what + " has waiters out of order";
      if (c->id > lock.revision) return what + " is older than its newest waiter";
      last_queued = c->id;
      waiting.add(c->mode);
    }
    return std::nullopt;
  }

  static void check_partner(const Claim& waiter) {
    HF_ASSERT(waiter.partner != nullptr);
    if (waiter.converts) {
      HF_ASSERT(waiter.partner->held && waiter.partner->partner == &waiter);
      return;
    }
    const Claim* c = waiter.partner;
    for (; c != &waiter; c = c->partner) {
      HF_ASSERT(!c->held && !c->converts && c->lease == waiter.lease);
      HF_ASSERT(c->client == waiter.client && c->number == waiter.number);
    }
  }
};

// A list of one lease: all its claims are of this lease, in order, `held` or waiting.
uint32_t count_claims(const Lease& lease, const IntrusiveList<Claim, kLinkInLease>& list,
                      bool held) {
  uint32_t count = 0, orphans = 0;
  base::Revision last;
  for (const Claim* c = list.front(); c != nullptr;
       c = IntrusiveList<Claim, kLinkInLease>::next(c)) {
    HF_ASSERT(c->lease == &lease && c->held == held);
    HF_ASSERT(c->id > last);
    last = c->id;
    orphans += is_orphan(*c);
    ++count;
  }
  if (held) HF_ASSERT(orphans == lease.orphan_count);
  return count;
}

}  // namespace

std::optional<std::string> LockTable::State::contradiction() const {
  for (const auto& entry : claims.locks()) {
    if (auto problem = LockCheck().check(entry)) return problem;
    if (entry.second.revision > meta.revision) {
      return "lock \"" + entry.first + "\" is above the state's own revision";
    }
  }
  return std::nullopt;
}

void LockTable::State::check_indexes() const {
  HF_ASSERT(touched_.empty() && given_up_.empty());
  uint64_t holds = 0, waiters = 0;
  for (const auto& entry : claims.locks()) {
    LockCheck counted;
    HF_ASSERT(!counted.check(entry));
    for (size_t i = 0; i < kModeCount; ++i) {
      const auto mode = static_cast<base::Mode>(i);
      HF_ASSERT(counted.held.of(mode) == entry.second.held_modes.of(mode));
      HF_ASSERT(entry.second.queue == nullptr ||
                counted.waiting.of(mode) == entry.second.queue->modes.of(mode));
    }
    holds += counted.held.total();
    waiters += counted.waiting.total();
  }
  HF_ASSERT(holds == claims.hold_count() && waiters == claims.waiter_count());

  uint64_t leased_holds = 0, leased_waits = 0;
  leases.visit_above({}, [&](const Lease& lease) {
    HF_ASSERT(!lease.ending && lease.row.owner != nullptr);
    HF_ASSERT(count_claims(lease, lease.holds, true) == lease.hold_count);
    HF_ASSERT(count_claims(lease, lease.waits, false) == lease.wait_count);
    leased_holds += lease.hold_count;
    leased_waits += lease.wait_count;
    return true;
  });
  HF_ASSERT(leased_holds == holds && leased_waits == waiters);

  check_key_indexes();

  uint64_t pending = 0, ops = 0;  // pending: claims, of which one operation may have several
  clients.visit_clients([&](const Client& client) {
    ops += client.ops.size();
    uint64_t waits = 0;
    for (const auto& [number, record] : client.ops) {
      HF_ASSERT(number >= client.row.lowest_unanswered && !contains(client.row.acked, number));
      if (record.waiting == nullptr) continue;
      HF_ASSERT(!record.waiting->held && record.waiting->client == client.row.id);
      HF_ASSERT(record.waiting->number == number);
      ++waits;
      const Claim* first = record.waiting;
      ++pending;
      if (first->converts) continue;
      for (const Claim* c = first->partner; c != first; c = c->partner) {
        HF_ASSERT(c->id > first->id);
        ++pending;
      }
    }
    HF_ASSERT(waits == client.wait_count);
    size_t bytes = 0;
    for (const auto& [number, record] : client.ops) bytes += answer_bytes(record.answer);
    HF_ASSERT(bytes == client.answer_bytes);
  });
  HF_ASSERT(pending == waiters && ops == clients.op_count());
}

void LockTable::State::check_key_indexes() const {
  uint64_t bytes = 0, bound = 0, bound_by_leases = 0;
  for (const auto& [name, key] : keys.keys()) {
    HF_ASSERT(key.name == &name && key.version != 0);
    HF_ASSERT(key.create <= key.revision && key.revision <= meta.revision);
    bytes += name.size() + key.value.size();
    if (key.lease != nullptr) ++bound;
  }
  HF_ASSERT(bytes == keys.bytes());
  leases.visit_above({}, [&](const Lease& lease) {
    base::Revision last;
    for (const Key* key = lease.keys.front(); key != nullptr;
         key = IntrusiveList<Key, 0>::next(key)) {
      HF_ASSERT(key->lease == &lease && key->revision > last);
      last = key->revision;
      ++bound_by_leases;
    }
    return true;
  });
  HF_ASSERT(bound == bound_by_leases);
  for (const auto& entry : claims.locks()) {
    HF_ASSERT(entry.second.drained == (policies.drain_of(entry.first) != nullptr));
  }
}

void LockTable::check_invariants() const {
  if (const auto problem = state_->contradiction()) {
    std::fprintf(stderr, "the lock table contradicts itself: %s\n", problem->c_str());
    HF_ASSERT(!problem);
  }
  state_->check_indexes();
}

}  // namespace holdfast::locks
