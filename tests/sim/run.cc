#include "tests/sim/run.h"

#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "lockcore/base/mutant.h"
#include "tests/sim/cluster.h"
#include "tests/sim/injector.h"
#include "tests/sim/schedule.h"
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

std::string quoted(const std::string& text) {
  return "'" + text + "'";
}

}  // namespace

Plan draw_plan(uint64_t seed) {
  Plan plan;
  plan.options = draw_options(seed);
  plan.faults = draw_faults(plan.options);
  return plan;
}

std::string replay_command(const Plan& plan) {
  const Plan own = draw_plan(plan.options.seed);
  std::string command = "./dev sim --seed " + std::to_string(plan.options.seed) + " --trace";
  const std::string changes = describe_changes(plan.options, own.options);
  if (!changes.empty()) command += " --set " + quoted(changes);
  if (plan.faults != own.faults) command += " --faults " + quoted(text_of(plan.faults));
  if (!base::active_mutant.empty()) command += " --mutant " + std::string(base::active_mutant);
  return command;
}

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
