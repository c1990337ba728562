#include "tests/sim/run.h"

#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "tests/sim/cluster.h"
#include "tests/sim/injector.h"
#include "tests/sim/workload.h"
#include "tests/sim/world.h"

namespace holdfast::sim {
namespace {

// Of the run under way, for whom it ends the process.
std::string last_words;

void on_abort(int) {
  const ssize_t ignored = write(STDERR_FILENO, last_words.data(), last_words.size());
  static_cast<void>(ignored);
}

void note_run(const Plan& plan) {
  last_words = "seed " + std::to_string(plan.options.seed) +
               ": a broken invariant\n  again: " + replay_command(plan) + "\n";
  std::signal(SIGABRT, on_abort);  // runs before the process dies
}

}  // namespace

Outcome run_plan(const Plan& plan, bool trace, Totals& totals) {
  note_run(plan);
  const Options& options = plan.options;
  if (trace) std::fprintf(stderr, "%s\n", describe(options).c_str());
  World world(options.seed, trace);
  Cluster cluster(world, options);
  Workload workload(world, cluster, options);
  Injector injector(world, cluster, workload, plan.faults);
  world.run_until(kCalmStartMs * kMs);
  workload.start();
  injector.start();
  world.run_until((kCalmStartMs + options.run_ms) * kMs);
  injector.stop();
  workload.drain();
  // In the end everything pending is answered, every dead lease is gone, and all states are equal.
  std::optional<std::string> unsettled = "";
  const int64_t end = (kCalmStartMs + options.run_ms + options.quiet_ms) * kMs;
  while (unsettled && !world.failed() && world.now() < end) {
    world.run_until(world.now() + 500 * kMs);
    unsettled = workload.unsettled();
    if (!unsettled) unsettled = cluster.unsettled();
  }
  if (unsettled) world.fail(*unsettled);
  totals.operations += workload.operations();
  totals.grants += workload.grants();
  totals.fenced += cluster.fence().refused();
  totals.events += world.events();
  totals.simulated_s += static_cast<double>(world.now()) / 1e9;
  return {world.failure(), world.now() / kMs};
}

}  // namespace holdfast::sim
