#include "bindings/cli/exit_codes.h"

#include <algorithm>

namespace holdfast::cli {
namespace {

bool names_leader(const Error& error) {
  return std::any_of(error.detail().begin(), error.detail().end(),
                     [](const auto& fact) { return fact.first == "leader"; });
}

}  // namespace

int exit_code_of(const Error& error) {
  switch (error.code()) {
    case Code::would_block:
    case Code::lock_delay:
    case Code::conflict: return kExitNo;
    case Code::invalid_argument: return kExitUsage;
    case Code::not_leader: return kExitUnreachable;
    case Code::unavailable:
      // With an unknown outcome, but a leader that was there: it just didn't answer in time.
      return names_leader(error) ? kExitTimeout : kExitUnreachable;
    case Code::resource_exhausted: return kExitLimit;
    case Code::timeout:
    case Code::cancelled: return kExitTimeout;
    case Code::lease_not_found:
    case Code::not_held:
    case Code::lease_lost:
    case Code::lock_lost:
    case Code::compacted: return kExitLost;
    case Code::permission_denied:
    case Code::unauthenticated: return kExitDenied;
    case Code::unsupported: return kExitConfig;
    case Code::deadlock: return kExitDeadlock;
    case Code::internal:
    case Code::already_held:
    case Code::fenced:
    case Code::forked: return kExitBug;
  }
  return kExitBug;
}

}  // namespace holdfast::cli
