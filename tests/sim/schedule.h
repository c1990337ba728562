// Draws the faults of a seed: which kinds there are in it, how often, how hard (swarm testing).
#pragma once

#include "tests/sim/fault.h"
#include "tests/sim/options.h"

namespace holdfast::sim {

// By time. They come between kCalmStartMs and the end of options.run_ms.
Faults draw_faults(const Options& options);

}  // namespace holdfast::sim
