// The table of deliberate bugs (lockcore/base/mutant.h): each breaks one rule, and must be found.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace holdfast::sim {

struct Mutant {
  std::string_view name;   // as in HF_MUTANT(name)
  std::string_view rule;   // of DESIGN: P1..P13, or a section
  uint64_t seeds;          // found by one of the seeds 1..seeds
  std::string_view story;  // what is wrong with it
};

std::span<const Mutant> mutants();
const Mutant* find_mutant(std::string_view name);

}  // namespace holdfast::sim
