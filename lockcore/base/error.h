// Error: the one list of error codes, shared by RPC, C++, Python and JSON (INTERFACES 4).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast::base {

enum class ErrorCode : uint16_t {
  kInternal = 0,
  kInvalidArgument = 1,
  kLeaseNotFound = 2,  // expired, closed or never there
  kNotHeld = 3,
  kWouldBlock = 4,
  kTimeout = 5,
  kCancelled = 6,
  kDeadlock = 7,
  kLockDelay = 8,
  kConflict = 9,
  kCompacted = 10,
  kNotLeader = 11,  // detail "leader": its address, if known; "leaderId"
  kUnavailable = 12,
  kResourceExhausted = 13,  // detail "limit": its name; "value": its value
  kPermissionDenied = 14,
  kUnauthenticated = 15,
  kUnsupported = 16,
  kUnknownClient = 17,  // never shown: the library maps it (DESIGN 7a); JSON says "unavailable"
};

// An expected outcome that is not success. Plain data, part of the replicated answers: the same
// command must give the same error on every node, so no addresses of memory, no local times.
struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;  // a sentence: what was wrong and what would be right
  std::vector<std::pair<std::string, std::string>> detail;  // machine-readable, in a fixed order

  bool operator==(const Error&) const = default;
};

// "leaseNotFound" and the like, as users see it.
std::string_view error_code_name(ErrorCode code);

}  // namespace holdfast::base
