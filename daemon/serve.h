// The life of the daemon: opens, listens, serves until it is told to stop.
#pragma once

#include <functional>

#include "daemon/config.h"

namespace holdfast::daemon {

// Returns the exit code. `reread` reads the configuration again, for SIGHUP.
int serve(const Config& config, const std::function<Invocation()>& reread);

}  // namespace holdfast::daemon
