// What `lockctl bench` found out.
#pragma once

#include <cstdint>
#include <string>

namespace holdfast::cli {

struct BenchResult {
  std::string workload;
  uint64_t clients = 0;
  uint64_t connections = 0;
  double seconds = 0;
  uint64_t operations = 0;
  double ops_per_second = 0;
  double p50_us = 0, p90_us = 0, p99_us = 0, p999_us = 0, max_us = 0;
  uint64_t errors = 0;
};

}  // namespace holdfast::cli
