// World: virtual time and the one queue of everything that is going to happen.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lockcore/base/random.h"

namespace holdfast::sim {

constexpr int64_t kMs = 1'000'000;
constexpr int64_t kUs = 1'000;

class World {
 public:
  World(uint64_t seed, bool trace) : seed_(seed), trace_(trace) {}

  // True time, in ns since the start.
  int64_t now() const { return now_; }
  void after(int64_t delay_ns, std::function<void()> what) {
    queue_.push(Event{now_ + (delay_ns < 0 ? 0 : delay_ns), next_order_++, std::move(what)});
  }
  // Runs what is due until `end`, in order; ties in the order in which they were planned.
  void run_until(int64_t end);

  // A broken promise: remembered, and the run ends.
  void fail(const std::string& what);
  bool failed() const { return !failure_.empty(); }
  const std::string& failure() const { return failure_; }

  void trace(const std::string& line);
  bool tracing() const { return trace_; }
  uint64_t events() const { return next_order_; }

  // Every part draws from a stream of its own: a fault more or less, or a client, changes as little
  // as it can of what the others draw, and so a failure survives while its schedule is shrunk.
  base::Random stream(std::string_view part, uint64_t index = 0) const;

 private:
  struct Event {
    int64_t at;
    uint64_t order;
    std::function<void()> what;
    bool operator>(const Event& other) const {
      return at != other.at ? at > other.at : order > other.order;
    }
  };
  std::priority_queue<Event, std::vector<Event>, std::greater<>> queue_;
  const uint64_t seed_;
  int64_t now_ = 0;
  uint64_t next_order_ = 0;
  bool trace_;
  std::string failure_;
};

}  // namespace holdfast::sim
