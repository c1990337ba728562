#include "tests/sim/run.h"

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>

#include "lockcore/base/mutant.h"
#include "tests/sim/cluster.h"
#include "tests/sim/options.h"
#include "tests/sim/workload.h"
#include "tests/sim/world.h"

namespace holdfast::sim {
namespace {

// Of the run under way, for whom it ends the process.
char last_words[256];

void on_abort(int) {
  const ssize_t ignored = write(STDERR_FILENO, last_words, std::strlen(last_words));
  static_cast<void>(ignored);
}

void note_run(uint64_t seed) {
  std::snprintf(last_words, sizeof last_words, "seed %llu: a broken invariant\n  again: %s\n",
                static_cast<unsigned long long>(seed), replay_command(seed).c_str());
  std::signal(SIGABRT, on_abort);  // runs before the process dies
}

}  // namespace

std::string replay_command(uint64_t seed) {
  std::string command = "./dev sim --seed " + std::to_string(seed) + " --trace";
  if (!base::active_mutant.empty()) command += " --mutant " + std::string(base::active_mutant);
  return command;
}

std::string run_seed(uint64_t seed, bool trace, Totals& totals) {
  constexpr int64_t kMs = 1'000'000;
  constexpr int64_t kCalmStartMs = 3'000;
  note_run(seed);
  const Options options = draw_options(seed);
  if (trace) std::fprintf(stderr, "%s\n", describe(options).c_str());
  World world(seed, trace);
  Cluster cluster(world, options);
  Workload workload(world, cluster, options);
  // A first phase without faults, so that every run founds its cell and grants something.
  world.run_until(kCalmStartMs * kMs);
  workload.start();
  cluster.start_faults();
  world.run_until((kCalmStartMs + options.run_ms) * kMs);
  cluster.stop_faults();
  workload.drain();
  world.run_until((kCalmStartMs + options.run_ms + options.quiet_ms) * kMs);
  if (!world.failed()) workload.check_idle();
  if (!world.failed()) cluster.check_converged();
  totals.operations += workload.operations();
  totals.grants += workload.grants();
  totals.events += world.events();
  totals.simulated_s += static_cast<double>(world.now()) / 1e9;
  return world.failure();
}

}  // namespace holdfast::sim
