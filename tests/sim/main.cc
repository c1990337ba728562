// holdfast_sim: runs seeds. A failing one prints the command that runs it again.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

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
  bool trace = false, show = false, shrink = false, check = false, bench = false;
  std::string mutant, kept, base;
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

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point started) {
  return std::chrono::duration<double>(Clock::now() - started).count();
}

bool run_one(const Plan& plan, const std::string& name, bool trace, Totals& totals) {
  const Outcome outcome = run_plan(plan, trace, totals);
  if (outcome.failure.empty()) return true;
  std::printf("%s: %s\n  again: %s\n  fewer faults: --shrink\n", name.c_str(),
              outcome.failure.c_str(), replay_command(plan).c_str());
  std::fflush(stdout);
  return false;
}

int run_seeds(const Request& request) {
  Totals totals;
  uint64_t failed = 0;
  const auto started = Clock::now();
  for (uint64_t seed = request.first; seed < request.first + request.count; ++seed) {
    const Plan plan = plan_of(seed, request);
    failed += !run_one(plan, "seed " + std::to_string(seed), request.trace, totals);
  }
  std::printf(
      "%llu seeds from %llu, %llu failed; %llu operations, %llu grants, %llu writes fenced off; "
      "%.0f simulated seconds in %.1f s\n",
      static_cast<unsigned long long>(request.count),
      static_cast<unsigned long long>(request.first), static_cast<unsigned long long>(failed),
      static_cast<unsigned long long>(totals.operations),
      static_cast<unsigned long long>(totals.grants),
      static_cast<unsigned long long>(totals.fenced), totals.simulated_s, seconds_since(started));
  return failed == 0 ? 0 : 1;
}

// Every plan in the folder: what failed once.
int run_kept(const Request& request) {
  std::vector<std::filesystem::path> files;
  for (const auto& file : std::filesystem::directory_iterator(request.kept)) {
    if (file.path().extension() == ".plan") files.push_back(file.path());
  }
  std::ranges::sort(files);
  Totals totals;
  int failed = 0;
  for (const auto& file : files) {
    std::ifstream in(file);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    std::string why;
    const auto plan = read_plan(text, why);
    if (!plan) std::printf("%s: %s\n", file.c_str(), why.c_str());
    if (!plan || !run_one(*plan, file.filename(), request.trace, totals)) ++failed;
  }
  std::printf("%zu kept plans, %d failed\n", files.size(), failed);
  return failed == 0 && !files.empty() ? 0 : 1;
}

// Three nodes, ten clients, no faults: how fast is the simulator? By the processor's time: others
// may work on the same machine.
int bench() {
  Plan plan;
  std::string why;
  set_options(
      plan.options,
      "nodes=3 clients=10 locks=20 run_ms=60000 think_ms=42 max_delay_us=500 "
      "max_fsync_us=500 look_ms=20 vanish=0 cancel=0 close=0 stubborn=0 try_only=0 shared=0 read=0",
      why);
  Totals totals;
  const std::clock_t started = std::clock();
  if (!run_one(plan, "bench", false, totals)) return 1;
  const double took = static_cast<double>(std::clock() - started) / CLOCKS_PER_SEC;
  std::printf(
      "%.0f simulated seconds in %.2f s of one core: %.0f a second, with %.0f operations in each\n",
      totals.simulated_s, took, totals.simulated_s / took,
      static_cast<double>(totals.operations) / totals.simulated_s);
  return 0;
}

// Seeds that nobody has run yet, and the same for everybody who tests this commit.
uint64_t first_seed_of(const std::string& base) {
  uint64_t hash = 0;
  for (const char c : base) {
    hash = holdfast::base::Random(hash ^ static_cast<unsigned char>(c)).next();
  }
  return 1'000'000 + hash % 1'000'000'000;
}

int show_seeds(const Request& request) {
  for (uint64_t seed = request.first; seed < request.first + request.count; ++seed) {
    const Plan plan = plan_of(seed, request);
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed),
                describe(plan.options).c_str());
    for (const Fault& fault : plan.faults) std::printf("  %s\n", tell(fault).c_str());
    std::printf("\nto keep it:\n%s", text_of(plan).c_str());
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
  app.add_option("--base", request.base, "The first seed follows from this text, a commit's id");
  app.add_option("--kept", request.kept, "The plans in this folder")->check(CLI::ExistingDirectory);
  app.add_flag("--bench", request.bench, "How fast is the simulator?");
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
  if (request.bench) return bench();
  if (!request.kept.empty()) return run_kept(request);
  if (!request.base.empty()) request.first = first_seed_of(request.base);
  if (*one) {
    request.first = request.seed;
    request.count = 1;
  }
  if (request.show) return show_seeds(request);
  if (request.shrink) return shrink_seeds(request);
  return run_seeds(request);
}
