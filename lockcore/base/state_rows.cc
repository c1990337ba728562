#include "lockcore/base/state_rows.h"

#include "lockcore/base/checksum.h"

namespace holdfast::base {

uint64_t hash_of(const Owner& owner) {
  uint64_t sum = checksum(&owner.pid, sizeof owner.pid, owner.started_at_ms);
  for (const std::string* field :
       {&owner.host, &owner.boot_id, &owner.program, &owner.user, &owner.reason, &owner.version}) {
    sum = checksum(*field, sum);
  }
  return sum;
}

const char* event_type_name(EventType type) {
  switch (type) {
    case EventType::kGrant: return "grant";
    case EventType::kRelease: return "release";
    case EventType::kExpire: return "expire";
    case EventType::kForce: return "force";
    case EventType::kQueue: return "queue";
    case EventType::kCancel: return "cancel";
    case EventType::kConvert: return "convert";
    case EventType::kDelay: return "delay";
    case EventType::kValue: return "value";
    case EventType::kPut: return "put";
    case EventType::kDelete: return "delete";
    case EventType::kLeaseOpen: return "lease-open";
    case EventType::kLeaseClose: return "lease-close";
    case EventType::kLeaseExpire: return "lease-expire";
    case EventType::kDeadlock: return "deadlock";
    case EventType::kMember: return "member";
    case EventType::kPolicy: return "policy";
  }
  return "unknown";
}

const char* mode_name(Mode mode) {
  switch (mode) {
    case Mode::kNull: return "null";
    case Mode::kConcurrentRead: return "concurrent-read";
    case Mode::kConcurrentWrite: return "concurrent-write";
    case Mode::kShared: return "shared";
    case Mode::kProtectedWrite: return "protected-write";
    case Mode::kExclusive: return "exclusive";
  }
  return "unknown";
}

const char* kind_name(LockKind kind) {
  switch (kind) {
    case LockKind::kLock: return "lock";
    case LockKind::kSemaphore: return "semaphore";
    case LockKind::kElection: return "election";
  }
  return "unknown";
}

const char* policy_name(PolicyKind kind) {
  switch (kind) {
    case PolicyKind::kDrain: return "drain";
    case PolicyKind::kPrefixQuota: return "prefix-quota";
    case PolicyKind::kOwnerQuota: return "owner-quota";
  }
  return "unknown";
}

}  // namespace holdfast::base
