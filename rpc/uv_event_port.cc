#include "rpc/uv_event_port.h"

#include <kj/debug.h>
#include <poll.h>
#include <sched.h>
#include <time.h>

#include <utility>

#include "rpc/limits.h"

namespace holdfast::rpc {

namespace {

kj::TimePoint time_point(base::Instant instant) {
  return kj::origin<kj::TimePoint>() + instant.ns * kj::NANOSECONDS;
}

template <class Handle>
void close_and_free(Handle* handle) {
  uv_close(reinterpret_cast<uv_handle_t*>(handle),
           [](uv_handle_t* closed) { delete reinterpret_cast<Handle*>(closed); });
}

}  // namespace

base::Instant boottime_now() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return {int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec};
}

// -- TurnObserver ---------------------------------------------------------------------------------

TurnObserver::~TurnObserver() {
  if (index_ == kNotEnrolled) return;
  // Enrolled either for this turn's end, or for the one that is being acted on right now.
  for (auto* list : {&port_.observers_, &port_.acting_}) {
    if (index_ < list->size() && (*list)[index_] == this) (*list)[index_] = nullptr;
  }
}

void TurnObserver::enrol() {
  if (index_ != kNotEnrolled) return;
  index_ = port_.observers_.size();
  port_.observers_.push_back(this);
}

// -- UvEventPort ----------------------------------------------------------------------------------

UvEventPort::UvEventPort(uv_loop_t& loop)
    : uv_(loop),
      timer_(time_point(boottime_now())),
      scratch_(kj::heapArray<kj::byte>(kReadAheadBytes)),
      async_(new uv_async_t),
      uv_timer_(new uv_timer_t) {
  // The callback has nothing to do: coming back from uv_run() is all that is wanted.
  KJ_REQUIRE(uv_async_init(&uv_, async_, [](uv_async_t*) {}) == 0);
  KJ_REQUIRE(uv_timer_init(&uv_, uv_timer_) == 0);
  uv_timer_->data = this;
}

UvEventPort::~UvEventPort() noexcept(false) {
  close_and_free(async_);
  close_and_free(uv_timer_);
}

void UvEventPort::post(std::function<void()> work) {
  bool first = false;
  {
    std::lock_guard lock(posted_mutex_);
    first = posted_.empty();
    posted_.push_back(std::move(work));
  }
  if (!first) return;  // whoever posted the first one wakes the loop for all
  has_posted_.store(true, std::memory_order_release);
  uv_async_send(async_);
}

void UvEventPort::wake() const {
  woken_.store(true, std::memory_order_release);
  uv_async_send(async_);
}

bool UvEventPort::wait() {
  if (end_turn()) return woken_.exchange(false);
  const uv_run_mode mode = arm_timer();
  const bool left_over = next_running_ < running_.size();
  return run(left_over ? UV_RUN_NOWAIT : mode);
}

bool UvEventPort::poll() {
  end_turn();
  return run(UV_RUN_NOWAIT);
}

// Returns true if KJ has something to do, so that blocking would be wrong.
//
// KJ's setRunnable() can't answer that here: while a promise is being waited for, KJ reports only
// the first change to "runnable" and never the one back, so the queue itself is asked.
bool UvEventPort::end_turn() {
  if (turn_end_ && turn_end_()) return true;
  if (kj_loop_->isRunnable()) return true;
  acting_.swap(observers_);
  for (size_t i = 0; i < acting_.size(); ++i) {
    TurnObserver* observer = acting_[i];
    if (observer == nullptr) continue;
    acting_[i] = nullptr;
    observer->index_ = TurnObserver::kNotEnrolled;
    observer->on_turn_end();
  }
  acting_.clear();
  return kj_loop_->isRunnable();
}

bool UvEventPort::run(uv_run_mode mode) {
  const bool may_sleep = mode == UV_RUN_ONCE && busy_poll_ > base::Duration{};
  const base::Instant began = may_sleep ? boottime_now() : base::Instant{};
  if (may_sleep && short_wait_) busy_poll(began + busy_poll_);
  uv_run(&uv_, mode);  // its result only says whether handles are active
  if (may_sleep) short_wait_ = boottime_now() - began < busy_poll_;
  advance_timer();
  run_posted();
  return woken_.exchange(false);
}

// libuv tells the kernel of new watchers in uv_run() only: their first event, and a timer that
// comes due meanwhile, are late by this at most.
void UvEventPort::busy_poll(base::Instant until) {
  pollfd all{uv_backend_fd(&uv_), POLLIN, 0};
  while (::poll(&all, 1, 0) == 0 && boottime_now() < until) sched_yield();
}

// libuv's timer is a hint that is given anew at every wait: its clock stops while the machine
// sleeps, and ours does not. One that fires too early costs a turn, so an armed one that is early
// enough is left alone.
//
// uv_run(ONCE) runs due timers *before* it polls, and then blocks for as long as the remaining ones
// allow: a timer that comes due between here and there would be followed by endless sleep. So the
// timer repeats until it is set anew, and what is due already is not left to it.
uv_run_mode UvEventPort::arm_timer() {
  auto next =
      timer_.timeoutToNextEvent(time_point(boottime_now()), kj::MILLISECONDS, uint64_t{1} << 31);
  KJ_IF_MAYBE (timeout_ms, next) {
    if (*timeout_ms == 0) return UV_RUN_NOWAIT;
    uv_update_time(&uv_);
    const uint64_t due = uv_now(&uv_) + *timeout_ms;
    if (timer_due_ != 0 && timer_due_ <= due) return UV_RUN_ONCE;
    timer_due_ = due;
    uv_timer_start(uv_timer_, &UvEventPort::timer_fired, *timeout_ms, 1);
  } else {
    timer_due_ = 0;
    uv_timer_stop(uv_timer_);
  }
  return UV_RUN_ONCE;
}

void UvEventPort::timer_fired(uv_timer_t* timer) {
  static_cast<UvEventPort*>(timer->data)->timer_due_ = 0;
}

void UvEventPort::advance_timer() {
  const auto now = time_point(boottime_now());
  if (now > timer_.now()) timer_.advanceTo(now);
}

void UvEventPort::run_posted() {
  // What was left over, because something before it threw, goes first.
  if (next_running_ == running_.size() && has_posted_.exchange(false)) {
    running_.clear();
    next_running_ = 0;
    std::lock_guard lock(posted_mutex_);
    running_.swap(posted_);
  }
  while (next_running_ < running_.size()) {
    auto work = std::move(running_[next_running_]);
    ++next_running_;
    work();
  }
}

// -- EventLoop ------------------------------------------------------------------------------------

EventLoop::UvLoop::UvLoop() {
  KJ_REQUIRE(uv_loop_init(&loop) == 0);
}

EventLoop::UvLoop::~UvLoop() {
  bool leaked = false;
  uv_walk(
      &loop,
      [](uv_handle_t* handle, void* found) {
        if (!uv_is_closing(handle)) *static_cast<bool*>(found) = true;
      },
      &leaked);
  // Runs the close callbacks, which free the handles, and waits for name look-ups under way.
  uv_run(&loop, leaked ? UV_RUN_NOWAIT : UV_RUN_DEFAULT);
  if (uv_loop_close(&loop) != 0) KJ_LOG(ERROR, "a handle outlived its loop");
}

EventLoop::EventLoop() : port_(uv_.loop), kj_loop_(port_), wait_scope_(kj_loop_) {
  port_.attach(kj_loop_);
}

EventLoop::~EventLoop() noexcept(false) = default;

}  // namespace holdfast::rpc
