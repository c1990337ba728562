// One run: the world, its cluster and workload, faults, and then peace.
#pragma once

#include <cstdint>
#include <string>

#include "tests/sim/plan.h"

namespace holdfast::sim {

struct Totals {
  uint64_t operations = 0, grants = 0, fenced = 0, events = 0;
  double simulated_s = 0;
};

struct Outcome {
  std::string failure;  // what an oracle found; empty: nothing
  int64_t ended_ms = 0;
};

// A broken invariant of the core ends the process instead, after the command that replays the plan
// was printed. Adds to `totals`.
Outcome run_plan(const Plan& plan, bool trace, Totals& totals);

}  // namespace holdfast::sim
