// A plan: all that decides what happens in a run. Drawn from a seed, changed by hand or by
// shrinking, and kept in the tree as text when it found something.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tests/sim/fault.h"
#include "tests/sim/options.h"

namespace holdfast::sim {

struct Plan {
  Options options;
  Faults faults;
};

Plan draw_plan(uint64_t seed);

// Three lines, "seed N", "set OPTIONS" and "faults FAULTS". Every option stands in it, so that a
// kept plan stays what it is when seeds come to mean something else.
std::string text_of(const Plan& plan);
// Lines that begin with # say what it found. nullopt: no plan; `why` says at what.
std::optional<Plan> read_plan(std::string_view text, std::string& why);

// "./dev sim --seed 7 --trace", with the mutant that is on, and what in it is unlike the seed's
// own.
std::string replay_command(const Plan& plan);

}  // namespace holdfast::sim
