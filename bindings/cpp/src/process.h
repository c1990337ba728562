// Facts about this process: who it is, to be shown beside its leases; and whether it was forked.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lockcore/base/state_rows.h"

namespace holdfast::client {

// How often this process is the child of a fork() since the library was loaded. An object that was
// made under another count belongs to the parent.
uint64_t fork_count();

// Host, pid, user and so on; read once per process. `reason` is left empty.
const base::Owner& this_process();

// An agent's number of the calling thread: never 0, and never another thread's, also not of another
// process (but for the chance of 64 random bits).
uint64_t this_agent();
// A number of its own for a wait that no thread does.
uint64_t new_agent();

// A number that differs between processes and calls.
uint64_t seed_from_system();

// HOLDFAST_ENDPOINTS, else the first of the user's socket and /run's where somebody listens, else
// the default port on loopback.
std::vector<std::string> default_endpoints();

}  // namespace holdfast::client
