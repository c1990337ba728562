// holdfast_sim: runs seeds. A failing one prints the command that runs it again.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <string>

#include "lockcore/base/mutant.h"
#include "tests/sim/mutant_check.h"
#include "tests/sim/mutants.h"
#include "tests/sim/run.h"
#include "tests/sim/shrink.h"

namespace {

using namespace holdfast::sim;

struct Request {
  uint64_t first = 1, count = 100, seed = 0;
  std::string set, faults;
  bool set_faults = false;
  bool trace = false, show = false, shrink = false, check = false;
  std::string mutant;
};

// The seed's plan, with what was asked to be otherwise in it.
Plan plan_of(uint64_t seed, const Request& request) {
  Plan plan = draw_plan(seed);
  std::string why;
  bool good = set_options(plan.options, request.set, why);
  if (good && request.set_faults) {
    const auto faults = read_faults(request.faults, why);
    good = faults.has_value();
    if (good) plan.faults = *faults;
  }
  if (!good) {
    std::fprintf(stderr, "holdfast_sim: %s\n", why.c_str());
    std::exit(2);
  }
  return plan;
}

int run_seeds(const Request& request) {
  Totals totals;
  uint64_t failed = 0;
  const auto started = std::chrono::steady_clock::now();
  for (uint64_t seed = request.first; seed < request.first + request.count; ++seed) {
    const Plan plan = plan_of(seed, request);
    const Outcome outcome = run_plan(plan, request.trace, totals);
    if (outcome.failure.empty()) continue;
    ++failed;
    std::printf("seed %llu: %s\n  again: %s\n  fewer faults: --shrink\n",
                static_cast<unsigned long long>(seed), outcome.failure.c_str(),
                replay_command(plan).c_str());
    std::fflush(stdout);
  }
  const double took =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  std::printf(
      "%llu seeds, %llu failed; %llu operations, %llu grants, %llu writes fenced off; "
      "%.0f simulated seconds in %.1f s\n",
      static_cast<unsigned long long>(request.count), static_cast<unsigned long long>(failed),
      static_cast<unsigned long long>(totals.operations),
      static_cast<unsigned long long>(totals.grants),
      static_cast<unsigned long long>(totals.fenced), totals.simulated_s, took);
  return failed == 0 ? 0 : 1;
}

int show_seeds(const Request& request) {
  for (uint64_t seed = request.first; seed < request.first + request.count; ++seed) {
    const Plan plan = plan_of(seed, request);
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed),
                describe(plan.options).c_str());
    for (const Fault& fault : plan.faults) std::printf("  %s\n", tell(fault).c_str());
  }
  return 0;
}

int shrink_seeds(const Request& request) {
  for (uint64_t seed = request.first; seed < request.first + request.count; ++seed) {
    if (shrink(plan_of(seed, request))) return 1;
  }
  std::printf("no failure in %llu seeds\n", static_cast<unsigned long long>(request.count));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Request request;
  CLI::App app{"Runs a simulated cell from seeds, in virtual time, with faults", "./dev sim"};
  app.add_option("--seeds", request.count, "How many seeds (100)");
  app.add_option("--first", request.first, "The first of them (1)");
  CLI::Option* one = app.add_option("--seed", request.seed, "This one seed");
  app.add_option("--set", request.set, "Other options than the seed's: 'clients=2 run_ms=5000'");
  CLI::Option* faults = app.add_option("--faults", request.faults,
                                       "Other faults than the seed's (tests/sim/fault.h)");
  app.add_flag("--trace", request.trace, "Tell what happens, on stderr");
  app.add_flag("--show", request.show, "Don't run, tell what would be run");
  app.add_flag("--shrink", request.shrink, "Of the first seed that fails, find what of it matters");
  app.add_option("--mutant", request.mutant, "With this deliberate bug")
      ->check([](const std::string& name) {
        return find_mutant(name) != nullptr ? "" : "no such mutant; --check-mutants lists them";
      });
  app.add_flag("--check-mutants", request.check,
               "Show that every deliberate bug (or --mutant) is found");
  CLI11_PARSE(app, argc, argv);
  if (request.check) return check_mutants(request.mutant) == 0 ? 0 : 1;
  holdfast::base::active_mutant = request.mutant;
  request.set_faults = !faults->empty();
  if (*one) {
    request.first = request.seed;
    request.count = 1;
  }
  if (request.show) return show_seeds(request);
  if (request.shrink) return shrink_seeds(request);
  return run_seeds(request);
}
