// Deliberate bugs, by which the simulator's oracles are checked: tests/sim/mutants.cc says what
// each of them is and who finds it. HF_MUTANT(name) stands where the bug would be.
//
// Only the simulator compiles them in. Everywhere else it is the constant false.
#pragma once

#ifdef HOLDFAST_MUTANTS
#include <string_view>

namespace holdfast::base {
inline std::string_view active_mutant;  // set before anything runs; empty: none
}

#define HF_MUTANT(name) (::holdfast::base::active_mutant == #name)
#else
#define HF_MUTANT(name) false
#endif
