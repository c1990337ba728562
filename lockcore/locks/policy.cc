// What a policy that is set or ended changes: which locks may be granted, and what is counted.
#include "lockcore/base/limits.h"
#include "lockcore/base/mutant.h"
#include "lockcore/locks/lock_table_state.h"
#include "lockcore/locks/refusal.h"

namespace holdfast::locks {

using base::EventType;
using base::PolicyKind;

namespace {

const char* cause_of(const SetPolicy& body) {
  if (body.key.kind == PolicyKind::kDrain) return body.end ? "drain-end" : "drain";
  return body.end ? "quota-end" : "quota";
}

}  // namespace

std::optional<Answer> LockTable::State::execute(const OpId&, const SetPolicy& body, Applied&) {
  const bool exists = policies.find(body.key) != nullptr;
  if (body.end && !exists) {
    return base::Error{base::ErrorCode::kNotHeld,
                       "there is no " + std::string(base::policy_name(body.key.kind)) + " \"" +
                           body.key.name + "\" to be ended",
                       {}};
  }
  if (!body.end && !exists && policies.policies().size() >= base::kMaxPolicies) {
    return exhausted("policies", base::kMaxPolicies, "the cell has too many drains and quotas");
  }
  base::EventRow& event = events.add();
  event.revision = advance();
  event.type = EventType::kPolicy;
  event.name = body.key.name;
  event.cause = cause_of(body);
  event.at_wall_ms = meta.wall_ms;
  event.at_cell_ms = meta.cell_time_ms;
  event.note = body.by.empty() ? body.reason : body.reason + " (" + body.by + ")";
  if (body.end) {
    policies.end(body.key);
  } else {
    Policy& policy = policies.set({body.key, body.limits, body.reason, body.by, meta.wall_ms});
    if (body.key.kind != PolicyKind::kDrain) count_use(policy);
  }
  if (body.key.kind == PolicyKind::kDrain) mark_drained(body.key.name);
  return Done{meta.revision};
}

// The locks under `prefix` as the drains say by now. Those that may be granted again are served.
void LockTable::State::mark_drained(const std::string& prefix) {
  for (LockRef lock = claims.lower_bound(prefix);
       lock != claims.end() && lock->first.starts_with(prefix); ++lock) {
    const bool drained = policies.drain_of(lock->first) != nullptr;
    if (lock->second.drained == drained) continue;
    lock->second.drained = drained;
    if (!drained && !HF_MUTANT(drain_end_wakes_nobody)) touch(lock, lock->second.revision);
  }
}

// From all that there is: an admin's act, and as long as a listing of it.
void LockTable::State::count_use(Policy& policy) {
  PolicyTable alone;
  Policy& counted = alone.set(policy.row);
  leases.visit_above({}, [&](const Lease& lease) {
    alone.count(lease, 1);
    return true;
  });
  claims.visit_claims([&](const Claim& claim) { alone.count(claim, 1); });
  for (const auto& [name, key] : keys.keys()) alone.count(key, 1);
  policy.used = counted.used;
}

}  // namespace holdfast::locks
