// Holding a lock, or leading, while a command runs: what `run` and `elect` have in common.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "bindings/cli/exit_codes.h"
#include "bindings/cli/verb.h"

namespace holdfast::cli {

struct RunOptions {
  std::string verb = "run";
  AcquireOptions acquire;
  std::optional<std::chrono::milliseconds> kill_grace;
  std::string on_jeopardy;          // for /bin/sh; empty: nothing
  uint64_t not_acquired = kExitNo;  // exit code
};
void add_run_options(CLI::App* app, RunOptions& options);

// Acquires, runs the context's command, gives back. Returns the exit code.
int run_under_lock(Context& context, const RunOptions& options);

}  // namespace holdfast::cli
