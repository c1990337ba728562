// What `torture` found.
#pragma once

#include <cstdint>

namespace holdfast::cli {

struct TortureResult {
  uint64_t clients = 0;
  double seconds = 0;
  uint64_t grants = 0;
  uint64_t not_acquired = 0;  // in time
  uint64_t unavailable = 0;   // calls that the cell didn't answer in time
  uint64_t leases_lost = 0;
  uint64_t fenced = 0;  // writes that came too late, as they may
  uint64_t violations = 0;
};

}  // namespace holdfast::cli
