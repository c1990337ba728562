// World: virtual time and the one queue of everything that is going to happen.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <string>
#include <utility>
#include <vector>

#include "lockcore/base/random.h"
#include "lockcore/base/time.h"

namespace holdfast::sim {

class World {
 public:
  World(uint64_t seed, bool trace) : random(seed), trace_(trace) {}

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

  base::Random random;

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
  int64_t now_ = 0;
  uint64_t next_order_ = 0;
  bool trace_;
  std::string failure_;
};

// A clock of its own for every node and client: reads true time at its own rate, from its own
// origin.
struct SkewedClock {
  double rate = 1.0;
  int64_t origin_ns = 0;

  base::Instant read(int64_t true_ns) const {
    return base::Instant{origin_ns + static_cast<int64_t>(static_cast<double>(true_ns) * rate)};
  }
  // How much true time passes while this clock counts `d`.
  int64_t true_ns(base::Duration d) const {
    return static_cast<int64_t>(static_cast<double>(d.ns) / rate) + 1;
  }
};

}  // namespace holdfast::sim
