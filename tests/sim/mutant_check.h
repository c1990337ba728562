// Shows that the oracles find what they are for: every deliberate bug, within its number of seeds.
#pragma once

#include <string_view>

namespace holdfast::sim {

// Runs every mutant, or only the one named, each in a process of its own, until a seed finds it.
// Prints a table; returns how many were not found.
int check_mutants(std::string_view only);

}  // namespace holdfast::sim
