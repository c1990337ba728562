#include "tests/sim/options.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace holdfast::sim {

namespace {

struct Field {
  std::string_view name;
  int64_t Options::*value;
};

constexpr std::array kFields = std::to_array<Field>({
    {"nodes", &Options::nodes},
    {"spares", &Options::spares},
    {"clients", &Options::clients},
    {"locks", &Options::locks},
    {"run_ms", &Options::run_ms},
    {"quiet_ms", &Options::quiet_ms},
    {"heartbeat_ms", &Options::heartbeat_ms},
    {"election_ms", &Options::election_ms},
    {"rest_delay_ms", &Options::rest_delay_ms},
    {"log_slots", &Options::log_slots},
    {"log_bytes", &Options::log_bytes},
    {"snapshot_part_bytes", &Options::snapshot_part_bytes},
    {"look_ms", &Options::look_ms},
    {"min_delay_us", &Options::min_delay_us},
    {"max_delay_us", &Options::max_delay_us},
    {"late_ms", &Options::late_ms},
    {"min_fsync_us", &Options::min_fsync_us},
    {"max_fsync_us", &Options::max_fsync_us},
    {"ttl_ms", &Options::ttl_ms},
    {"think_ms", &Options::think_ms},
    {"shared", &Options::shared},
    {"try_only", &Options::try_only},
    {"vanish", &Options::vanish},
    {"cancel", &Options::cancel},
    {"close", &Options::close},
    {"read", &Options::read},
    {"read_anywhere", &Options::read_anywhere},
    {"tell", &Options::tell},
    {"stubborn", &Options::stubborn},
    {"renew_percent", &Options::renew_percent},
    {"claims", &Options::claims},
    {"lock_delay", &Options::lock_delay},
    {"checkpoints", &Options::checkpoints},
    {"programs", &Options::programs},
    {"sessions", &Options::sessions},
    {"threads", &Options::threads},
    {"request_timeout_ms", &Options::request_timeout_ms},
    {"timed", &Options::timed},
    {"second", &Options::second},
    {"let_go", &Options::let_go},
    {"hold_on", &Options::hold_on},
    {"chore_ms", &Options::chore_ms},
    {"looks_late", &Options::looks_late},
});

std::string text_of(const Field& field, const Options& options) {
  return std::string(field.name) + "=" + std::to_string(options.*field.value);
}

int64_t draw_between(base::Random& random, int64_t low, int64_t high) {
  return static_cast<int64_t>(
      random.between(static_cast<uint64_t>(low), static_cast<uint64_t>(high)));
}

// With the library, without it, or both together.
void draw_programs(Options& o, base::Random& random) {
  const uint64_t mix = random.below(3);
  if (mix == 0) return;
  o.programs = random.chance(0.1) ? draw_between(random, 10, 20) : draw_between(random, 1, 5);
  if (mix == 1) o.clients = 0;
  if (o.programs < 10) {
    o.sessions = draw_between(random, 1, 3);
    o.threads = draw_between(random, 1, 3);
  }
  const int64_t timeouts_ms[] = {300, 1'000, 5'000, 5'000};
  o.request_timeout_ms = timeouts_ms[random.below(4)];
  o.timed = 100 * draw_between(random, 0, 8);
  o.second = 100 * draw_between(random, 0, 2);
  o.let_go = 200 * draw_between(random, 0, 4);
  o.hold_on = 20 * draw_between(random, 0, 5);
  if (random.chance(0.8)) o.chore_ms = draw_between(random, 500, 10'000);
}

// What is kept of the log: mostly so little that whoever was away needs a snapshot.
void draw_log(Options& o, base::Random& random) {
  if (random.chance(0.2)) return;
  o.log_slots = draw_between(random, 8, random.chance(0.5) ? 40 : 400);
  if (random.chance(0.3)) o.log_bytes = draw_between(random, 2'000, 50'000);
  o.snapshot_part_bytes = draw_between(random, 100, 2'000);
}

}  // namespace

Options draw_options(uint64_t seed) {
  // Hashed: neighbouring seeds of this generator give the same numbers, shifted by one.
  base::Random random(base::Random(seed).next());
  const auto between = [&random](int64_t low, int64_t high) {
    return draw_between(random, low, high);
  };
  // As likely below ten times `low` as above.
  const auto of_every_size = [&](int64_t low, int64_t high) {
    return between(low, random.chance(0.5) ? std::min(10 * low, high) : high);
  };
  Options o;
  o.seed = seed;
  const int64_t sizes[] = {1, 3, 3, 3, 5};
  o.nodes = sizes[random.below(5)];
  o.clients = random.chance(0.25) ? between(12, 40) : between(2, 12);
  o.locks = random.chance(0.7) ? between(1, 4) : between(4, 20);
  o.max_delay_us = of_every_size(200, 20'000);
  o.late_ms = random.chance(0.5) ? between(100, 1'000) : between(1'000, 5'000);
  o.max_fsync_us = of_every_size(100, 20'000);
  o.ttl_ms = between(500, 4'000);
  o.think_ms = of_every_size(1, 60);
  o.shared = 100 * between(0, 7);
  o.try_only = 100 * between(0, 4);
  o.vanish = 10 * between(0, 5);
  o.cancel = 100 * between(0, 4);
  o.close = 20 * between(0, 5);
  o.tell = random.chance(0.5) ? 1'000 : 500;
  o.stubborn = 300 * between(0, 3);
  const int64_t percents[] = {20, 33, 33, 60, 85};
  o.renew_percent = percents[random.below(5)];
  if (random.chance(0.3)) {
    o.heartbeat_ms = 10;
    o.election_ms = between(60, 200);
  }
  const int64_t delays_ms[] = {0, 1, 5, 5, 30};
  o.rest_delay_ms = delays_ms[random.below(5)];
  draw_programs(o, random);
  draw_log(o, random);
  if (random.chance(0.35)) o.spares = between(1, 4);
  if (random.chance(0.5)) o.claims = 100 * between(1, 9);
  if (random.chance(0.3)) o.lock_delay = 100 * between(1, 5);
  if (random.chance(0.5)) o.checkpoints = 1;
  return o;
}

std::string describe(const Options& options) {
  std::string text;
  for (const Field& field : kFields) text += (text.empty() ? "" : " ") + text_of(field, options);
  return text;
}

std::string describe_changes(const Options& options, const Options& other) {
  std::string text;
  for (const Field& field : kFields) {
    if (options.*field.value == other.*field.value) continue;
    text += (text.empty() ? "" : " ") + text_of(field, options);
  }
  return text;
}

bool set_options(Options& options, std::string_view text, std::string& why) {
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    if (word.empty()) continue;
    const std::string_view name = word.substr(0, word.find('='));
    const auto field = std::ranges::find(kFields, name, &Field::name);
    const std::string_view number = word.substr(std::min(name.size() + 1, word.size()));
    int64_t value = 0;
    const char* const end = number.data() + number.size();
    const auto read = std::from_chars(number.data(), end, value);
    if (field == kFields.end() || read.ec != std::errc{} || read.ptr != end) {
      why = "not an option: '" + std::string(word) + "'";
      return false;
    }
    options.*field->value = value;
  }
  return true;
}

}  // namespace holdfast::sim
