// Shrinks a failing plan: as few faults and clients, as short a run as show the same failure.
#pragma once

#include "tests/sim/run.h"

namespace holdfast::sim {

// Tells on stdout what remains, and the command that runs it. Returns false if the plan doesn't
// fail at all.
bool shrink(const Plan& plan);

}  // namespace holdfast::sim
