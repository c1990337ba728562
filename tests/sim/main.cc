// holdfast_sim: runs seeds. A failing one prints the command that runs it again.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <string>

#include "lockcore/base/mutant.h"
#include "tests/sim/mutant_check.h"
#include "tests/sim/mutants.h"
#include "tests/sim/run.h"

namespace {

using namespace holdfast::sim;

int run_seeds(uint64_t first, uint64_t count, bool trace) {
  Totals totals;
  uint64_t failed = 0;
  const auto started = std::chrono::steady_clock::now();
  for (uint64_t seed = first; seed < first + count; ++seed) {
    const std::string failure = run_seed(seed, trace, totals);
    if (failure.empty()) continue;
    ++failed;
    std::printf("seed %llu: %s\n  again: %s\n", static_cast<unsigned long long>(seed),
                failure.c_str(), replay_command(seed).c_str());
    std::fflush(stdout);
  }
  const double took =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  std::printf(
      "%llu seeds, %llu failed; %llu operations, %llu grants; %.0f simulated seconds in %.1f s\n",
      static_cast<unsigned long long>(count), static_cast<unsigned long long>(failed),
      static_cast<unsigned long long>(totals.operations),
      static_cast<unsigned long long>(totals.grants), totals.simulated_s, took);
  return failed == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t first = 1, count = 100, seed = 0;
  bool trace = false, check = false;
  std::string mutant;
  CLI::App app{"Runs a simulated cell from seeds, in virtual time, with faults", "./dev sim"};
  app.add_option("--seeds", count, "How many seeds (100)");
  app.add_option("--first", first, "The first of them (1)");
  CLI::Option* one = app.add_option("--seed", seed, "This one seed");
  app.add_flag("--trace", trace, "Tell what happens, on stderr");
  app.add_option("--mutant", mutant, "With this deliberate bug")
      ->check([](const std::string& name) {
        return find_mutant(name) != nullptr ? "" : "no such mutant; --check-mutants lists them";
      });
  app.add_flag("--check-mutants", check, "Show that every deliberate bug (or --mutant) is found");
  CLI11_PARSE(app, argc, argv);
  if (check) return check_mutants(mutant) == 0 ? 0 : 1;
  holdfast::base::active_mutant = mutant;
  if (*one) return run_seeds(seed, 1, trace);
  return run_seeds(first, count, trace);
}
