// One run: the world, its cluster and workload, faults, and then peace.
#pragma once

#include <cstdint>
#include <string>

#include "tests/sim/fault.h"
#include "tests/sim/options.h"

namespace holdfast::sim {

// All that decides what happens in a run.
struct Plan {
  Options options;
  Faults faults;

  bool operator==(const Plan& other) const {
    return describe_changes(options, other.options).empty() && faults == other.faults;
  }
};
Plan draw_plan(uint64_t seed);

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

// "./dev sim --seed 7 --trace", with the mutant that is on, and what in it is unlike the seed's
// own.
std::string replay_command(const Plan& plan);

}  // namespace holdfast::sim
