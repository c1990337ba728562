// A clock of its own for every node and client: reads true time at its own rate, from its own
// origin. Faults change the rate, also to zero: a machine that its hypervisor froze.
#pragma once

#include <algorithm>
#include <cstdint>

#include "lockcore/base/random.h"
#include "lockcore/base/time.h"

namespace holdfast::sim {

class SkewedClock {
 public:
  // A rate within ε, any origin: nothing may rely on two clocks agreeing.
  explicit SkewedClock(base::Random& random)
      : origin_ns_(static_cast<int64_t>(random.below(1'000'000'000'000))),
        own_rate_(0.991 + 0.001 * static_cast<double>(random.below(19))),
        rate_(own_rate_) {}

  base::Instant read(int64_t true_ns) const {
    const auto elapsed = static_cast<double>(true_ns - since_ns_) * rate_;
    return base::Instant{origin_ns_ + static_cast<int64_t>(elapsed)};
  }
  // How much true time passes while this clock counts `d` at its present rate.
  int64_t true_ns(base::Duration d) const {
    constexpr double kHour = 3.6e12;
    const double ns = rate_ > 0 ? static_cast<double>(d.ns) / rate_ : kHour;
    return static_cast<int64_t>(std::min(ns, kHour)) + 1;
  }
  double rate() const { return rate_; }
  // From now on it runs at `factor` times its own rate; 1: within ε again.
  void set_factor(double factor, int64_t true_now_ns) {
    origin_ns_ = read(true_now_ns).ns;
    since_ns_ = true_now_ns;
    rate_ = own_rate_ * factor;
  }

 private:
  int64_t origin_ns_;     // what it showed at since_ns_
  int64_t since_ns_ = 0;  // true time
  double own_rate_;
  double rate_;
};

}  // namespace holdfast::sim
