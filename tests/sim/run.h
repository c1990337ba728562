// One seed's run: the world, its cluster and workload, faults, and then peace.
#pragma once

#include <cstdint>
#include <string>

namespace holdfast::sim {

struct Totals {
  uint64_t operations = 0, grants = 0, events = 0;
  double simulated_s = 0;
};

// What an oracle found; empty: nothing. A broken invariant of the core ends the process instead,
// after the command that replays the seed was printed. Adds to `totals`.
std::string run_seed(uint64_t seed, bool trace, Totals& totals);

// "./dev sim --seed 7 --trace", with the mutant that is on.
std::string replay_command(uint64_t seed);

}  // namespace holdfast::sim
