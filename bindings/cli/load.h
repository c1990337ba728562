// The load of `lockctl bench`: clients that call the library from its own callbacks, so that no
// thread but the cells' own is woken between two operations.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "bindings/cli/bench_result.h"
#include "holdfast/holdfast.h"

namespace holdfast::cli {

struct LoadOptions {
  std::string workload;  // pairs, handoff, renew
  uint64_t clients = 64;
  uint64_t connections = 1;                 // Cells: each has one connection and one thread
  uint64_t locks = 0;                       // pairs: choose among so many; 0: one for each client
  std::chrono::milliseconds warm_up{1000};  // not counted
  std::chrono::milliseconds duration{5000};
  std::string prefix;  // of the locks' names
};

// What is shown while it runs: operations so far, of the warm-up too, and the time since the start.
using Progress = std::function<void(uint64_t operations, std::chrono::milliseconds elapsed)>;

// Throws what the first client to open its session threw.
BenchResult run_load(const CellOptions& cell, const LoadOptions& options, const Progress& progress);

}  // namespace holdfast::cli
