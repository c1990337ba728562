// Failures as callers know them, from errors as the cell says them.
#include "bindings/cpp/src/messages.h"

#include "lockcore/base/error.h"

namespace holdfast::client {

Failure to_failure(const base::Error& error) {
  using base::ErrorCode;
  Code code = Code::internal;
  switch (error.code) {
    case ErrorCode::kInternal: code = Code::internal; break;
    case ErrorCode::kInvalidArgument: code = Code::invalid_argument; break;
    case ErrorCode::kLeaseNotFound: code = Code::lease_not_found; break;
    case ErrorCode::kNotHeld: code = Code::not_held; break;
    case ErrorCode::kWouldBlock: code = Code::would_block; break;
    case ErrorCode::kTimeout: code = Code::timeout; break;
    case ErrorCode::kCancelled: code = Code::cancelled; break;
    case ErrorCode::kDeadlock: code = Code::deadlock; break;
    case ErrorCode::kLockDelay: code = Code::lock_delay; break;
    case ErrorCode::kConflict: code = Code::conflict; break;
    case ErrorCode::kCompacted: code = Code::compacted; break;
    case ErrorCode::kNotLeader: code = Code::not_leader; break;
    case ErrorCode::kUnavailable: code = Code::unavailable; break;
    case ErrorCode::kResourceExhausted: code = Code::resource_exhausted; break;
    case ErrorCode::kPermissionDenied: code = Code::permission_denied; break;
    case ErrorCode::kUnauthenticated: code = Code::unauthenticated; break;
    case ErrorCode::kUnsupported: code = Code::unsupported; break;
    case ErrorCode::kUnknownClient: code = Code::unavailable; break;  // DESIGN 7a: never shown
  }
  return {code, error.message, error.detail};
}

}  // namespace holdfast::client
