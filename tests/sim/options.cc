#include "tests/sim/options.h"

#include <cstdio>

namespace holdfast::sim {

namespace {

// As likely between 500 and 1000 as between 8000 and 16000: rare faults let much happen meanwhile.
int64_t draw_interval_ms(base::Random& random, double likelihood) {
  if (!random.chance(likelihood)) return 0;
  const auto floor_ms = static_cast<int64_t>(500 << random.below(5));
  return floor_ms + static_cast<int64_t>(random.below(static_cast<uint64_t>(floor_ms)));
}

}  // namespace

Options draw_options(uint64_t seed) {
  // Hashed: neighbouring seeds of this generator give the same numbers, shifted by one.
  base::Random random(base::Random(seed).next());
  Options o;
  o.seed = seed;
  const uint32_t sizes[] = {1, 3, 3, 3, 5};
  o.nodes = sizes[random.below(5)];
  o.clients = static_cast<uint32_t>(random.between(2, 12));
  o.locks = static_cast<uint32_t>(random.between(1, 4));
  const bool lossy = random.chance(0.6);
  if (lossy) o.loss = 0.001 * static_cast<double>(random.between(1, 150));
  if (random.chance(0.4)) o.duplication = 0.001 * static_cast<double>(random.between(1, 100));
  if (random.chance(0.5)) o.long_delay = 0.001 * static_cast<double>(random.between(1, 50));
  o.max_delay_us = static_cast<int64_t>(random.between(200, 20'000));
  o.max_fsync_us = static_cast<int64_t>(random.between(100, 20'000));
  if (random.chance(0.4)) o.fsync_stall = 0.001 * static_cast<double>(random.between(1, 20));
  o.crash_every_ms = draw_interval_ms(random, 0.7);
  o.partition_every_ms = draw_interval_ms(random, 0.6);
  o.pause_every_ms = draw_interval_ms(random, 0.4);
  o.cut_every_ms = draw_interval_ms(random, 0.5);
  o.ttl_ms = static_cast<int64_t>(random.between(500, 4'000));
  o.think_ms = static_cast<int64_t>(random.between(1, 60));
  o.shared = 0.1 * static_cast<double>(random.below(8));
  o.try_only = 0.1 * static_cast<double>(random.below(5));
  o.vanish = 0.01 * static_cast<double>(random.below(6));
  o.cancel = 0.1 * static_cast<double>(random.below(5));
  o.close = 0.02 * static_cast<double>(random.below(6));
  const int64_t percents[] = {20, 33, 33, 60, 85};
  o.renew_percent = percents[random.below(5)];
  if (random.chance(0.3)) {
    o.heartbeat_ms = 10;
    o.election_ms = static_cast<int64_t>(random.between(60, 200));
  }
  const int64_t delays_ms[] = {0, 1, 5, 5, 30};
  o.rest_delay_ms = delays_ms[random.below(5)];
  return o;
}

std::string describe(const Options& o) {
  char text[512];
  std::snprintf(
      text, sizeof text,
      "nodes=%u clients=%u locks=%u loss=%.3f dup=%.3f delay<=%.1fms long=%.3f "
      "fsync<=%.1fms stall=%.3f crash/%ldms partition/%ldms pause/%ldms cut/%ldms ttl=%ldms "
      "renew=%ld%% election=%ldms rest=%ldms",
      o.nodes, o.clients, o.locks, o.loss, o.duplication, static_cast<double>(o.max_delay_us) / 1e3,
      o.long_delay, static_cast<double>(o.max_fsync_us) / 1e3, o.fsync_stall,
      static_cast<long>(o.crash_every_ms), static_cast<long>(o.partition_every_ms),
      static_cast<long>(o.pause_every_ms), static_cast<long>(o.cut_every_ms),
      static_cast<long>(o.ttl_ms), static_cast<long>(o.renew_percent),
      static_cast<long>(o.election_ms), static_cast<long>(o.rest_delay_ms));
  return text;
}

}  // namespace holdfast::sim
