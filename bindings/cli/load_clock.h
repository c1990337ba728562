// The clock that load is measured by.
#pragma once

#include <time.h>

#include <cstdint>

namespace holdfast::cli {

inline int64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace holdfast::cli
