// holdfast_sim: runs seeds. A failing one prints the command that runs it again.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "tests/sim/cluster.h"
#include "tests/sim/options.h"
#include "tests/sim/workload.h"
#include "tests/sim/world.h"

namespace {

using namespace holdfast::sim;

struct Total {
  uint64_t operations = 0, grants = 0, events = 0;
  double simulated_s = 0;
};

// Empty: passed.
std::string run_seed(uint64_t seed, bool trace, Total& total) {
  const Options options = draw_options(seed);
  if (trace) std::fprintf(stderr, "%s\n", describe(options).c_str());
  World world(seed, trace);
  Cluster cluster(world, options);
  Workload workload(world, cluster, options);
  constexpr int64_t kMs = 1'000'000;
  // A first phase without faults, so that every run founds its cell and grants something.
  world.run_until(3'000 * kMs);
  workload.start();
  cluster.start_faults();
  world.run_until((3'000 + options.run_ms) * kMs);
  cluster.stop_faults();
  workload.drain();
  world.run_until((3'000 + options.run_ms + options.quiet_ms) * kMs);
  if (!world.failed()) workload.check_idle();
  if (!world.failed()) cluster.check_converged();
  total.operations += workload.operations();
  total.grants += workload.grants();
  total.events += world.events();
  total.simulated_s += static_cast<double>(world.now()) / 1e9;
  return world.failure();
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t first = 1, count = 100;
  bool trace = false;
  for (int i = 1; i < argc; ++i) {
    const auto number = [&] { return std::strtoull(i + 1 < argc ? argv[++i] : "", nullptr, 10); };
    if (!std::strcmp(argv[i], "--seeds")) {
      count = number();
    } else if (!std::strcmp(argv[i], "--seed")) {
      first = number();
      count = 1;
    } else if (!std::strcmp(argv[i], "--first")) {
      first = number();
    } else if (!std::strcmp(argv[i], "--trace")) {
      trace = true;
    } else {
      std::fprintf(stderr,
                   "usage: holdfast_sim [--seeds N] [--first N] [--seed S] [--trace]\n"
                   "runs N seeds (100), or the one seed S; --trace tells what happens\n");
      return 2;
    }
  }
  Total total;
  uint64_t failed = 0;
  const auto started = std::chrono::steady_clock::now();
  for (uint64_t seed = first; seed < first + count; ++seed) {
    const std::string failure = run_seed(seed, trace, total);
    if (failure.empty()) continue;
    ++failed;
    std::printf("seed %llu: %s\n  again: ./dev sim --seed %llu --trace\n",
                static_cast<unsigned long long>(seed), failure.c_str(),
                static_cast<unsigned long long>(seed));
    std::fflush(stdout);
  }
  const double took =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  std::printf(
      "%llu seeds, %llu failed; %llu operations, %llu grants; %.0f simulated seconds in %.1f s\n",
      static_cast<unsigned long long>(count), static_cast<unsigned long long>(failed),
      static_cast<unsigned long long>(total.operations),
      static_cast<unsigned long long>(total.grants), total.simulated_s, took);
  return failed == 0 ? 0 : 1;
}
