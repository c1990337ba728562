#include "lockcore/base/error.h"

namespace holdfast::base {

std::string_view error_code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInternal: return "internal";
    case ErrorCode::kInvalidArgument: return "invalidArgument";
    case ErrorCode::kLeaseNotFound: return "leaseNotFound";
    case ErrorCode::kNotHeld: return "notHeld";
    case ErrorCode::kWouldBlock: return "wouldBlock";
    case ErrorCode::kTimeout: return "timeout";
    case ErrorCode::kCancelled: return "cancelled";
    case ErrorCode::kDeadlock: return "deadlock";
    case ErrorCode::kLockDelay: return "lockDelay";
    case ErrorCode::kConflict: return "conflict";
    case ErrorCode::kCompacted: return "compacted";
    case ErrorCode::kNotLeader: return "notLeader";
    case ErrorCode::kUnavailable: return "unavailable";
    case ErrorCode::kResourceExhausted: return "resourceExhausted";
    case ErrorCode::kPermissionDenied: return "permissionDenied";
    case ErrorCode::kUnauthenticated: return "unauthenticated";
    case ErrorCode::kUnsupported: return "unsupported";
    case ErrorCode::kUnknownClient: return "unavailable";
  }
  return "internal";
}

}  // namespace holdfast::base
