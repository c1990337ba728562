// How long a client may count on a lease, in exact integer arithmetic (DESIGN 2.4, 6).
#pragma once

#include "lockcore/base/limits.h"
#include "lockcore/base/time.h"

namespace holdfast::client {

// ttl * (1 - 2ε), rounded down: a deadline that is a nanosecond early costs nothing, one that is a
// nanosecond late is a promise broken. The largest ttl, 24 h in ns times 1000, is below 2^63.
constexpr base::Duration certain_for(base::Duration ttl) {
  return {ttl.ns * (1000 - 2 * base::kDriftPerMille) / 1000};
}

// `sent`: when the attempt that was answered was sent; of an open, when the *first* one was: a
// retry returns the first one's answer, and the lease counts from the first one's arrival.
constexpr base::Instant local_deadline(base::Instant sent, base::Duration ttl) {
  return sent + certain_for(ttl);
}

static_assert(static_cast<int64_t>(base::kMaxLeaseTtlMs) <=
              std::numeric_limits<int64_t>::max() / 1'000'000 / 1000);

}  // namespace holdfast::client
