#include "lockcore/base/state_rows.h"

namespace holdfast::base {

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

}  // namespace holdfast::base
