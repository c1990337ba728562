// One timer on CLOCK_BOOTTIME, which goes on while the machine sleeps: a lease that ran out
// meanwhile is told lost right after waking up. libuv's own timers are MONOTONIC.
#pragma once

#include <uv.h>

#include <functional>

#include "lockcore/base/time.h"

namespace holdfast::client {

class BoottimeTimer {
 public:
  BoottimeTimer(uv_loop_t& loop, std::function<void()> on_time);
  ~BoottimeTimer();
  BoottimeTimer(const BoottimeTimer&) = delete;
  BoottimeTimer& operator=(const BoottimeTimer&) = delete;

  // Fires at `at` or earlier: it is only ever moved forward in time, so that the many operations
  // that end before their timeouts cost no system call.
  void arm(base::Instant at);

 private:
  struct Handle;
  Handle* handle_;  // freed in its close callback
  base::Instant armed_ = base::kNever;
};

}  // namespace holdfast::client
