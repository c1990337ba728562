// The load of `lockctl bench`: clients that call the library from its own callbacks, so that no
// thread but the cells' own is woken between two operations.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "bindings/cli/bench_result.h"
#include "holdfast/holdfast.h"

namespace holdfast::cli {

struct LoadOptions {
  std::string workload;  // pairs, handoff, renew, expiry, watch, mixed
  uint64_t clients = 64;
  uint64_t connections = 1;                 // Cells: each has one connection and one thread
  uint64_t locks = 0;                       // pairs: choose among so many; 0: one for each client
  bool batch = false;                       // renew: one call for all leases of a connection
  std::chrono::milliseconds warm_up{1000};  // not counted
  std::chrono::milliseconds duration{5000};
  std::string prefix;  // of the locks' names
};

// Called several times a second: operations so far, of the warm-up too, and the time since the
// start. False: stop now.
using Progress = std::function<bool(uint64_t operations, std::chrono::milliseconds elapsed)>;

class Histogram;
// What was measured, as it is printed.
BenchResult bench_result(const LoadOptions& options, const Histogram& latency, uint64_t operations,
                         uint64_t errors, double seconds);

// Each runs one or some of the workloads; run_load() all of them.
std::optional<BenchResult> run_watch_load(const CellOptions& cell, const LoadOptions& options,
                                          const Progress& progress);
std::optional<BenchResult> run_expiry_load(const CellOptions& cell, const LoadOptions& options,
                                           const Progress& progress);
// nullopt: stopped. Throws what the first client to open its session threw.
std::optional<BenchResult> run_load(const CellOptions& cell, const LoadOptions& options,
                                    const Progress& progress);

}  // namespace holdfast::cli
