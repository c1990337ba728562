// What commands do to locks: acquire, convert, release, and who is served next.
#include <algorithm>

#include "lockcore/base/assert.h"
#include "lockcore/base/lease_text.h"
#include "lockcore/base/mutant.h"
#include "lockcore/locks/deadlock.h"
#include "lockcore/locks/lock_table_state.h"
#include "lockcore/locks/refusal.h"

namespace holdfast::locks {

using base::EventType;

namespace {

base::Error would_block(const std::string& lock) {
  return {base::ErrorCode::kWouldBlock,
          "lock \"" + lock + "\" is not free for this request now",
          {{"lock", lock}}};
}

// This holder of this lease has a claim on the lock already.
base::Error already_claimed(const Claim& claim) {
  return invalid("holder " + std::to_string(claim.holder.value) + " of lease " +
                 base::lease_text(claim.lease->row.id) +
                 (claim.held ? " holds lock \"" : " waits for lock \"") + claim.lock->first +
                 "\" already; a second hold of a lease needs another holder id");
}

std::string kind_text(base::LockKind kind, uint32_t capacity) {
  const char* name = base::kind_name(kind);
  if (kind == base::LockKind::kSemaphore) {
    return "a semaphore of capacity " + std::to_string(capacity);
  }
  return (kind == base::LockKind::kElection ? "an " : "a ") + std::string(name);
}

base::Error of_another_kind(const LockRequest& request, const Lock& lock) {
  return invalid("\"" + request.name + "\" is " + kind_text(lock.kind, lock.capacity) +
                 " now; it can't be " + kind_text(request.kind, request.capacity) +
                 " until nobody holds it or waits for it");
}

base::Error not_held(base::LeaseId lease_id, const std::string& name, base::Token token,
                     const Lock* lock) {
  base::Error error{base::ErrorCode::kNotHeld, "", {{"lock", name}}};
  const std::string claim = "lease " + base::lease_text(lease_id) + " doesn't hold lock \"" + name +
                            "\" with token " + std::to_string(token.value);
  if (lock == nullptr || lock->holders.empty()) {
    error.message = claim + ": nobody holds it";
    return error;
  }
  const Claim& holder = *lock->holders.front();
  const std::string held = std::to_string(holder.id.value);
  const std::string lease = base::lease_text(holder.lease->row.id);
  error.message = claim + ": it is held with token " + held + " by lease " + lease;
  if (lock->held_modes.total() > 1) error.message += ", and by others";
  error.detail.insert(error.detail.end(), {{"heldToken", held}, {"heldLease", lease}});
  return error;
}

// The claim after this one in the ring of its request, which is being taken apart from the front;
// null: it was the last.
Claim* next_of_request(const Claim& claim) {
  return claim.converts || claim.partner == &claim ? nullptr : claim.partner;
}
// The same in a ring that stays, which begins with `first`.
Claim* next_of_request(const Claim& claim, const Claim* first) {
  return claim.partner == first ? nullptr : claim.partner;
}

// Permits have no modes. Those of one semaphore pass a fence in any order, as readers do.
base::Mode mode_of(const LockRequest& request) {
  return request.kind == base::LockKind::kSemaphore ? base::Mode::kShared : request.mode;
}

}  // namespace

// -- acquire --------------------------------------------------------------------------------------

std::optional<Answer> LockTable::State::execute(const OpId& op, const Acquire& body, Applied&) {
  Lease* lease = lease_for(op, body.lease);
  if (lease == nullptr) return lease_not_found(body.lease);
  if (auto held = take_up(*lease, op, body)) return held;
  if (auto error = refuse_acquire(*lease, body)) return std::move(*error);
  const LockRequest* busy = first_busy(body);
  if (busy == nullptr) return grant_at_once(*lease, op, body);
  if (!body.wait) return refuse_busy(*busy);
  return queue_up(*lease, op, body, *busy);
}

namespace {

// What the lease holds of this lock since before it was adopted, so as it is asked for if there is
// such a hold; null: nothing.
Claim* find_orphan(const Lock& lock, const Lease& lease, const LockRequest& request) {
  Claim* found = nullptr;
  for (Claim* hold = lock.holders.front(); hold != nullptr; hold = ClaimsOfLock::next(hold)) {
    if (hold->lease != &lease || !is_orphan(*hold)) continue;
    found = hold;
    if (hold->mode == mode_of(request) && hold->permits == request.permits) break;
  }
  return found;
}

}  // namespace

std::optional<Answer> LockTable::State::take_up(Lease& lease, const OpId& op, const Acquire& body) {
  if (lease.orphan_count == 0) return std::nullopt;
  for (const LockRequest& request : body.locks) {
    const LockRef lock = claims.find(request.name);
    if (lock == claims.end()) continue;
    Claim* hold = find_orphan(lock->second, lease, request);
    if (hold == nullptr) continue;
    const Lock& living = lock->second;
    if (living.kind != request.kind || living.capacity != request.capacity) {
      return of_another_kind(request, living);
    }
    // To wait for it would be to wait for oneself.
    if (hold->mode != mode_of(request) || hold->permits != request.permits ||
        body.locks.size() > 1) {
      return invalid("lease " + base::lease_text(lease.row.id) + " has held \"" + request.name +
                     "\" since before it was adopted, with token " +
                     std::to_string(hold->id.value) + ": acquire it alone and as it is held (" +
                     base::mode_name(hold->mode) + ", permits: " + std::to_string(hold->permits) +
                     "), or release that token");
    }
    if (const Claim* other = claims.find(lock, &lease, body.holder)) {
      if (other != hold) return already_claimed(*other);
    }
    claims.set_holder(*hold, body.holder, body.agent);
    // With a new token: whoever had the lease before, and may not know yet that it hasn't, is
    // refused where the new one was seen (DESIGN 2.2).
    const base::Token token = upgrade(*hold, hold->mode, op.number, "adopted", 0);
    if (!body.value.empty()) proclaim(*hold, body.value);
    return Granted{{token}};
  }
  return std::nullopt;
}

std::optional<base::Error> LockTable::State::refuse_acquire(const Lease& lease,
                                                            const Acquire& body) {
  for (const LockRequest& request : body.locks) {
    const LockRef lock = claims.find(request.name);
    if (lock == claims.end()) continue;
    const Lock& living = lock->second;
    if (living.kind != request.kind || living.capacity != request.capacity) {
      return of_another_kind(request, living);
    }
    const Claim* other = claims.find(lock, &lease, body.holder);
    if (other != nullptr) return already_claimed(*other);
  }
  const size_t count = body.locks.size();
  if (auto error = refuse_claims(lease, count)) return error;
  return refuse_quota(lease, body, false);
}

std::optional<base::Error> LockTable::State::refuse_quota(const Lease& lease, const Acquire& body,
                                                          bool waiting) const {
  if (policies.policies().empty()) return std::nullopt;
  std::vector<std::string_view> names;
  for (const LockRequest& request : body.locks) names.push_back(request.name);
  return policies.refuse_claims(names, *lease.row.owner, waiting);
}

std::optional<base::Error> LockTable::State::refuse_claims(const Lease& lease, size_t count) const {
  if (lease.hold_count + lease.wait_count + count > limits.holds_per_lease) {
    return exhausted("holdsPerLease", limits.holds_per_lease,
                     "lease " + base::lease_text(lease.row.id) + " has too many holds and waits");
  }
  if (claims.size() + count <= limits.holds) return std::nullopt;
  return exhausted("holds", limits.holds, "the cell has no room for more holds and waits");
}

base::Error LockTable::State::refuse_busy(const LockRequest& request) {
  if (const base::PolicyRow* drain = policies.drain_of(request.name)) {
    return {base::ErrorCode::kWouldBlock,
            "nothing is granted under \"" + drain->key.name + "\" now: " + drain->reason,
            {{"lock", request.name}, {"drain", drain->key.name}, {"reason", drain->reason}}};
  }
  const Lock& lock = claims.find(request.name)->second;
  if (!only_delayed(lock, mode_of(request), request.permits)) return would_block(request.name);
  const uint64_t left_ms = lock.delay->until_ms - meta.cell_time_ms;
  return {base::ErrorCode::kLockDelay,
          "lock \"" + request.name + "\" stays closed for " + std::to_string(left_ms) +
              " ms more: its last holder was lost",
          {{"lock", request.name}, {"remainingMs", std::to_string(left_ms)}}};
}

// The first of the locks that can't be had now; null: all can.
const LockRequest* LockTable::State::first_busy(const Acquire& body) {
  for (const LockRequest& request : body.locks) {
    const LockRef lock = claims.find(request.name);
    if (lock == claims.end()) {
      if (policies.drain_of(request.name) != nullptr) return &request;
      continue;
    }
    const bool overtakes = HF_MUTANT(waiter_overtaken) &&
                           (lock->second.held_modes.conflicts() & set_of(request.mode)) == 0;
    if (!overtakes && !grantable(lock->second, mode_of(request), request.permits)) return &request;
  }
  return nullptr;
}

std::optional<base::Error> LockTable::State::refuse_waiter(const std::string& name) const {
  const auto lock = claims.locks().find(name);
  if (lock == claims.locks().end()) return std::nullopt;
  if (lock->second.waiter_count() < limits.waiters_per_lock) return std::nullopt;
  return exhausted("waitersPerLock", limits.waiters_per_lock,
                   "too many wait for lock \"" + name + "\"");
}

base::Error LockTable::State::refused_for(const std::vector<const Claim*>& cycle,
                                          const Lease& lease) {
  base::Error error = deadlock(cycle);
  base::EventRow& event = log_event(EventType::kDeadlock, advance(), lease, "deadlock");
  event.name = cycle.front()->lock->first;
  event.note = error.message;
  return error;
}

// `waiter` was queued, on trial: if it would wait for ever, its request leaves without a trace but
// for the event that tells of it.
std::optional<base::Error> LockTable::State::refuse_deadlock(Claim& waiter) {
  const std::vector<const Claim*> cycle = find_cycle(waiter);
  if (cycle.empty()) return std::nullopt;
  base::Error error = refused_for(cycle, *waiter.lease);
  for (Claim* claim = &waiter; claim != nullptr;) {
    const LockRef lock = claim->lock;
    Claim* next = next_of_request(*claim);
    claims.remove(*claim);
    claims.drop_if_unused(lock);
    claim = next;
  }
  return error;
}

Claim LockTable::State::make_claim(LockRef lock, Lease& lease, const OpId& op, const Acquire& body,
                                   const LockRequest& request) const {
  Claim claim;
  claim.lock = lock;
  claim.lease = &lease;
  claim.holder = body.holder;
  claim.agent = body.agent;
  claim.number = op.number;
  claim.since_wall_ms = meta.wall_ms;
  claim.since_cell_ms = meta.cell_time_ms;
  if (!body.reason.empty()) claim.reason = std::make_unique<const std::string>(body.reason);
  if (!body.value.empty()) claim.value = std::make_unique<const std::string>(body.value);
  claim.permits = request.permits;
  claim.mode = mode_of(request);
  return claim;
}

LockRef LockTable::State::lock_for(const LockRequest& request) {
  const LockRef lock = claims.find_or_add(request.name);
  // Says nothing new of a lock that was there: refuse_acquire() has compared them.
  lock->second.kind = request.kind;
  lock->second.capacity = request.capacity;
  return lock;
}

namespace {

// What for, in the words of who asked; and what it says of itself from now on.
void tell_intent(base::EventRow& event, const Claim& claim) {
  if (claim.reason != nullptr) event.note = *claim.reason;
  if (claim.value != nullptr) event.value = *claim.value;
}

}  // namespace

Granted LockTable::State::grant_at_once(Lease& lease, const OpId& op, const Acquire& body) {
  Granted granted;
  granted.tokens.reserve(body.locks.size());
  for (const LockRequest& request : body.locks) {
    const base::Token token = HF_MUTANT(token_of_the_release) ? meta.revision : advance();
    Claim claim = make_claim(lock_for(request), lease, op, body, request);
    claim.id = token;
    claim.held = true;
    const Claim& hold = claims.add(std::move(claim));
    claims.change(hold.lock, token);
    tell_intent(log_event(EventType::kGrant, token, hold, "free"), hold);
    ++grants_total;
    granted.tokens.push_back(token);
  }
  return granted;
}

std::optional<Answer> LockTable::State::queue_up(Lease& lease, const OpId& op, const Acquire& body,
                                                 const LockRequest& busy) {
  for (const LockRequest& request : body.locks) {
    if (auto error = refuse_waiter(request.name)) return std::move(*error);
  }
  if (auto error = refuse_quota(lease, body, true)) return std::move(*error);
  Claim* first = nullptr;
  Claim* last = nullptr;
  base::Revision id = meta.revision;
  for (const LockRequest& request : body.locks) {
    Claim claim = make_claim(lock_for(request), lease, op, body, request);
    id = id.next();
    claim.id = id;
    claim.client = op.client;
    last = &claims.add(std::move(claim), last);
    if (first == nullptr) first = last;
  }
  if (auto error = refuse_deadlock(*first)) return std::move(*error);
  meta.revision = id;
  for (Claim* claim = first; claim != nullptr; claim = next_of_request(*claim, first)) {
    claims.change(claim->lock, claim->id);
    const char* cause = claim->lock->first == busy.name ? "busy" : "together";
    tell_intent(log_event(EventType::kQueue, claim->id, *claim, cause), *claim);
  }
  clients.record_waiting(*clients.find(op.client), op.number, *first);
  return std::nullopt;
}

// -- what is held ---------------------------------------------------------------------------------

Claim* LockTable::State::find_hold(base::LeaseId lease, const std::string& lock,
                                   base::Token token) {
  Claim* hold = claims.find_hold(lock, token);
  return hold != nullptr && hold->lease->row.id == lease ? hold : nullptr;
}

base::Error LockTable::State::refuse_not_held(base::LeaseId lease, const std::string& lock,
                                              base::Token token) {
  const LockRef found = claims.find(lock);
  return not_held(lease, lock, token, found == claims.end() ? nullptr : &found->second);
}

std::optional<Answer> LockTable::State::execute(const OpId& op, const Release& body, Applied& out) {
  if (lease_for(op, body.lease) == nullptr) return lease_not_found(body.lease);
  Claim* hold = find_hold(body.lease, body.lock, body.token);
  if (hold == nullptr) return refuse_not_held(body.lease, body.lock, body.token);
  end_conversion_of(*hold, "released", "was released while it waited for another mode", out);
  end_hold(*hold, EventType::kRelease, "released");
  if (HF_MUTANT(release_wakes_nobody)) {
    for (LockRef lock : touched_) lock->second.touched = false;
    touched_.clear();
  }
  return Done{meta.revision};
}

std::optional<Answer> LockTable::State::execute(const OpId&, const ForceRelease& body,
                                                Applied& out) {
  Claim* hold = claims.find_hold(body.lock, body.token);
  if (hold == nullptr && HF_MUTANT(force_with_stale_token)) {
    const LockRef lock = claims.find(body.lock);
    if (lock != claims.end()) hold = lock->second.holders.front();
  }
  if (hold == nullptr) {
    return base::Error{base::ErrorCode::kNotHeld,
                       "token " + std::to_string(body.token.value) + " doesn't hold lock \"" +
                           body.lock + "\" now",
                       {{"lock", body.lock}}};
  }
  end_conversion_of(*hold, "forced", "was ended by an admin", out);
  const std::string note = body.by.empty() ? body.reason : body.reason + " (" + body.by + ")";
  end_hold(*hold, EventType::kForce, "forced", note);
  return Done{meta.revision};
}

void LockTable::State::end_conversion_of(Claim& hold, const char* cause, const std::string& why,
                                         Applied& out) {
  if (hold.partner == nullptr) return;
  // Nothing is left that it could change.
  const std::string& lock = hold.lock->first;
  const Answer answer = base::Error{
      base::ErrorCode::kNotHeld, "the hold of lock \"" + lock + "\" " + why, {{"lock", lock}}};
  end_wait(*hold.partner, cause, &answer, out);
}

std::optional<Answer> LockTable::State::execute(const OpId& op, const Convert& body, Applied&) {
  if (lease_for(op, body.lease) == nullptr) return lease_not_found(body.lease);
  Claim* hold = find_hold(body.lease, body.lock, body.token);
  if (hold == nullptr) return refuse_not_held(body.lease, body.lock, body.token);
  if (hold->lock->second.kind != base::LockKind::kLock) {
    return invalid(std::string(base::kind_name(hold->lock->second.kind)) + " \"" + body.lock +
                   "\" has no modes to convert between");
  }
  if (hold->partner != nullptr) {
    return invalid("the hold of lock \"" + body.lock + "\" waits for mode " +
                   base::mode_name(hold->partner->mode) + " already");
  }
  const bool weaker = (conflicts_of(body.mode) & ~conflicts_of(hold->mode)) == 0;
  if (weaker) return Granted{{downgrade(*hold, body.mode)}};
  if (convertible(*hold, body.mode))
    return Granted{{upgrade(*hold, body.mode, op.number, "free", 0)}};
  if (!body.wait) return would_block(body.lock);
  return queue_conversion(*hold, op, body);
}

namespace {

// The hold of somebody else who waits to convert it, while both holds are in the way of both
// conversions. Neither could ever be served, whoever the agents are: a hold that waits for another
// mode isn't about to be released.
const Claim* upgrader_in_the_way(const Claim& hold, base::Mode mode) {
  const WaitQueue* queue = hold.lock->second.queue.get();
  if (queue == nullptr) return nullptr;
  for (const Claim* c = queue->conversions.front(); c != nullptr; c = ClaimsOfLock::next(c)) {
    const bool it_blocks_us = (conflicts_of(mode) & set_of(c->partner->mode)) != 0;
    const bool we_block_it = (conflicts_of(c->mode) & set_of(hold.mode)) != 0;
    if (it_blocks_us && we_block_it) return c->partner;
  }
  return nullptr;
}

}  // namespace

std::optional<Answer> LockTable::State::queue_conversion(Claim& hold, const OpId& op,
                                                         const Convert& body) {
  if (auto error = refuse_waiter(body.lock)) return std::move(*error);
  if (auto error = refuse_claims(*hold.lease, 1)) return std::move(*error);
  if (auto error = policies.refuse_claims({body.lock}, *hold.lease->row.owner, true)) {
    return std::move(*error);
  }
  if (const Claim* other = upgrader_in_the_way(hold, body.mode)) {
    return refused_for({other, &hold}, *hold.lease);
  }
  Claim claim;
  claim.id = meta.revision.next();
  claim.lock = hold.lock;
  claim.lease = hold.lease;
  claim.partner = &hold;
  claim.holder = hold.holder;
  claim.agent = body.agent;
  claim.client = op.client;
  claim.number = op.number;
  claim.since_wall_ms = meta.wall_ms;
  claim.since_cell_ms = meta.cell_time_ms;
  claim.permits = hold.permits;
  claim.mode = body.mode;
  claim.converts = true;
  Claim& conversion = claims.add(std::move(claim));
  if (auto error = refuse_deadlock(conversion)) return std::move(*error);
  advance();
  claims.change(hold.lock, conversion.id);
  clients.record_waiting(*clients.find(op.client), op.number, conversion);
  log_event(EventType::kQueue, conversion.id, conversion, "converts").token = hold.id;
  return std::nullopt;
}

// Keeps its token: all that it fenced stays fenced (DESIGN 1).
base::Token LockTable::State::downgrade(Claim& hold, base::Mode mode) {
  if (mode == hold.mode) return hold.id;
  const base::Revision revision = advance();
  claims.convert(hold, mode, hold.id);
  log_event(EventType::kConvert, revision, hold, "downgraded");
  if (HF_MUTANT(downgrade_admits_nobody)) return hold.id;
  touch(hold.lock, revision);
  return hold.id;
}

// A new token, above those of all who shared the lock with it: their writes come too late now.
base::Token LockTable::State::upgrade(Claim& hold, base::Mode mode, uint64_t number,
                                      const char* cause, uint64_t waited_ms) {
  const base::Token token = HF_MUTANT(upgrade_keeps_token) ? hold.id : advance();
  claims.convert(hold, mode, token);
  hold.number = number;
  log_event(EventType::kConvert, token, hold, cause).waited_ms = waited_ms;
  touch(hold.lock, meta.revision);
  return token;
}

std::optional<Answer> LockTable::State::execute(const OpId& op, const SetHoldValue& body,
                                                Applied&) {
  if (lease_for(op, body.lease) == nullptr) return lease_not_found(body.lease);
  Claim* hold = find_hold(body.lease, body.lock, body.token);
  if (hold == nullptr) return refuse_not_held(body.lease, body.lock, body.token);
  return Done{proclaim(*hold, body.value)};
}

base::Revision LockTable::State::proclaim(Claim& hold, const std::string& value) {
  const base::Revision revision = advance();
  claims.set_value(hold, value);
  claims.change(hold.lock, revision);
  log_event(EventType::kValue, revision, hold, "proclaimed").value = value;
  return revision;
}

// -- who is next ----------------------------------------------------------------------------------

void LockTable::State::grant_waiter(Claim& waiter, Applied& out) {
  const base::ClientId client = waiter.client;
  const uint64_t number = waiter.number;
  Granted granted;
  if (waiter.converts) {
    Claim& hold = *waiter.partner;
    const base::Mode mode = waiter.mode;
    const uint64_t waited_ms = age_ms(waiter);
    claims.remove(waiter);
    granted.tokens.push_back(upgrade(hold, mode, number, "waited", waited_ms));
  } else {
    grant_request(*clients.find(client)->ops.at(number).waiting, granted);
  }
  const Answer& answer = clients.settle_wait(client, number, std::move(granted), meta.cell_time_ms);
  out.replies.push_back({client, number, answer});
}

// All claims of the request, in the order in which it named their locks.
void LockTable::State::grant_request(Claim& first, Granted& granted) {
  const bool is_alone = first.partner == &first;
  for (Claim* claim = &first; claim != nullptr;) {
    Claim* next = next_of_request(*claim);
    const base::Token token = advance();
    const uint64_t waited_ms = age_ms(*claim);
    claims.grant(*claim, token, meta);  // leaves the ring
    claims.change(claim->lock, token);
    // Who waited behind it may be in front now: at another lock than the one being served.
    if (!is_alone && !HF_MUTANT(several_wake_nobody_behind)) touch(claim->lock, token);
    base::EventRow& event = log_event(EventType::kGrant, token, *claim, "waited");
    event.waited_ms = waited_ms;
    tell_intent(event, *claim);
    ++grants_total;
    granted.tokens.push_back(token);
    claim = next;
  }
}

void LockTable::State::end_hold(Claim& hold, EventType type, const char* cause,
                                const std::string& note) {
  base::Revision revision = advance();
  base::EventRow& event = log_event(type, revision, hold, cause);
  event.held_ms = age_ms(hold);
  event.note = note;
  // Its holder doesn't know yet, and may be in the middle of a write. Not so who gave it back.
  const bool is_lost =
      type == EventType::kExpire || (type == EventType::kForce && !HF_MUTANT(no_delay_after_force));
  const uint64_t delay_ms = hold.lease->row.lock_delay_ms;
  if (is_lost && delay_ms != 0) {
    claims.delay(hold, meta.cell_time_ms + delay_ms / (HF_MUTANT(delay_ends_early) ? 2 : 1));
    revision = advance();
    log_event(EventType::kDelay, revision, hold, cause);
  }
  touch(hold.lock, revision);
  claims.remove(hold);
}

void LockTable::State::end_delays(Applied& out) {
  for (LockRef lock = claims.first_delayed();
       lock != claims.end() && lock->second.delay->until_ms <= meta.cell_time_ms;
       lock = claims.first_delayed()) {
    claims.end_delay(lock);
    touch(lock, lock->second.revision);
  }
  serve_touched(out);
}

void LockTable::State::end_wait(Claim& waiter, const char* cause, const Answer* answer,
                                Applied& out) {
  const base::ClientId client = waiter.client;
  const uint64_t number = waiter.number;
  Claim* claim = clients.find(client)->ops.at(number).waiting;
  if (answer != nullptr) {
    clients.settle_wait(client, number, *answer, meta.cell_time_ms);
    out.replies.push_back({client, number, *answer});
  } else {
    clients.forget_wait(*clients.find(client), number);
  }
  while (claim != nullptr) {
    Claim* next = next_of_request(*claim);
    const base::Revision revision = advance();
    log_event(EventType::kCancel, revision, *claim, cause).waited_ms = age_ms(*claim);
    touch(claim->lock, revision);
    claims.remove(*claim);
    claim = next;
  }
}

void LockTable::State::give_up(Claim& waiter, const char* cause, const char* why, Applied& out) {
  // Somebody may still listen for it.
  out.replies.push_back({waiter.client, waiter.number, wait_cancelled(why)});
  end_wait(waiter, cause, nullptr, out);
}

void LockTable::State::touch(LockRef lock, base::Revision revision) {
  claims.change(lock, revision);
  if (lock->second.touched) return;
  lock->second.touched = true;
  touched_.push_back(lock);
}

void LockTable::State::serve_touched(Applied& out) {
  // Serving one lock touches the others of a request for several: the list grows.
  for (size_t i = 0; i < touched_.size(); ++i) {
    const LockRef lock = touched_[i];
    lock->second.touched = false;
    while (Claim* waiter = next_grantable(lock->second)) {
      grant_waiter(*waiter, out);
      if (HF_MUTANT(one_reader_at_a_time)) break;
    }
    // Touched again by its own grants: it will be looked at once more.
    if (!lock->second.touched) claims.drop_if_unused(lock);
  }
  touched_.clear();
}

}  // namespace holdfast::locks
