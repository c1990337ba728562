// The main thread while a lock is being acquired: it waits for the library and for signals.
#pragma once

#include <optional>

#include "bindings/cli/acquisition.h"
#include "bindings/cli/signals.h"
#include "bindings/cli/verb.h"

namespace holdfast::cli {

// Returns when `fd` is readable; or with a signal that is to end this process.
std::optional<int> wait_or_signal(Signals& signals, int fd);

// Returns when it is acquired, or surely not. Throws what went wrong. A signal that ends programs
// closes the cell, so that nothing stays locked or queued, and then ends this one.
void wait_for_lock(Context& context, Signals& signals, Cell& cell, Acquisition& acquisition);

}  // namespace holdfast::cli
