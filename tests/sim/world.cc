#include "tests/sim/world.h"

#include <cstdio>

namespace holdfast::sim {

void World::run_until(int64_t end) {
  while (!queue_.empty() && queue_.top().at <= end && !failed()) {
    // priority_queue gives no mutable top; the event is gone after the pop anyway.
    auto what = std::move(const_cast<Event&>(queue_.top()).what);
    now_ = queue_.top().at;
    queue_.pop();
    what();
  }
  if (!failed()) now_ = end;
}

base::Random World::stream(std::string_view part, uint64_t index) const {
  // Hashed: neighbouring seeds of this generator give the same numbers, shifted by one.
  uint64_t mixed = base::Random(seed_).next() + index;
  for (const char c : part) mixed = base::Random(mixed ^ static_cast<unsigned char>(c)).next();
  return base::Random(mixed);
}

void World::fail(const std::string& what) {
  if (failed()) return;
  failure_ = what;
  trace("FAILED: " + what);
}

void World::trace(const std::string& line) {
  if (trace_) std::fprintf(stderr, "%12.6f  %s\n", static_cast<double>(now_) / 1e9, line.c_str());
}

}  // namespace holdfast::sim
