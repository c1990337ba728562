// BoottimeTimer: a timerfd, polled by the loop.
#include "bindings/cpp/src/boottime_timer.h"

#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <system_error>

namespace holdfast::client {

struct BoottimeTimer::Handle {
  uv_poll_t poll;
  int fd = -1;
  BoottimeTimer* owner = nullptr;  // null: closing
  std::function<void()> on_time;
};

BoottimeTimer::BoottimeTimer(uv_loop_t& loop, std::function<void()> on_time)
    : handle_(new Handle{}) {
  handle_->fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
  if (handle_->fd < 0) {
    delete handle_;
    throw std::system_error(errno, std::generic_category(), "timerfd_create");
  }
  handle_->owner = this;
  handle_->on_time = std::move(on_time);
  handle_->poll.data = handle_;
  uv_poll_init(&loop, &handle_->poll, handle_->fd);
  uv_poll_start(&handle_->poll, UV_READABLE, [](uv_poll_t* poll, int, int) {
    auto* handle = static_cast<Handle*>(poll->data);
    uint64_t expirations;
    if (read(handle->fd, &expirations, sizeof expirations) < 0 || handle->owner == nullptr) return;
    handle->owner->armed_ = base::kNever;
    handle->on_time();
  });
}

BoottimeTimer::~BoottimeTimer() {
  handle_->owner = nullptr;
  uv_poll_stop(&handle_->poll);
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_->poll), [](uv_handle_t* closed) {
    auto* handle = static_cast<Handle*>(closed->data);
    close(handle->fd);
    delete handle;
  });
}

void BoottimeTimer::arm(base::Instant at) {
  if (at >= armed_) return;
  armed_ = at;
  itimerspec when{};
  // Zero would disarm it.
  int64_t ns = std::max<int64_t>(at.ns, 1);
  when.it_value.tv_sec = ns / 1'000'000'000;
  when.it_value.tv_nsec = ns % 1'000'000'000;
  timerfd_settime(handle_->fd, TFD_TIMER_ABSTIME, &when, nullptr);
}

}  // namespace holdfast::client
