// KJ's event loop on top of a libuv loop. KJ drives: main() waits on a promise, and whenever KJ has
// nothing more to run it calls wait() here, which is the end of a turn.
//
// A turn: libuv reports what became readable -> streams fulfil promises -> KJ runs until its queue
// is empty -> wait(): the turn-end hook runs; if it gave KJ something to do, KJ runs again; else
// the observers of the turn's end act (streams flush what was written during the turn), and libuv
// waits.
#pragma once

#include <kj/async.h>
#include <kj/timer.h>
#include <uv.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <vector>

#include "lockcore/base/time.h"

namespace holdfast::rpc {

// CLOCK_BOOTTIME, read now. libuv's and KJ's own times are a turn old.
base::Instant boottime_now();

class UvEventPort;

// Something to be done once at the end of this turn, before the loop blocks. Not thread-safe.
class TurnObserver {
 public:
  explicit TurnObserver(UvEventPort& port) : port_(port) {}
  TurnObserver(const TurnObserver&) = delete;
  TurnObserver& operator=(const TurnObserver&) = delete;

 protected:
  ~TurnObserver();
  void enrol();                    // asks for one on_turn_end(); asking twice changes nothing
  virtual void on_turn_end() = 0;  // may enrol again, for the next turn's end
  UvEventPort& port() { return port_; }

 private:
  friend class UvEventPort;
  static constexpr size_t kNotEnrolled = ~size_t{0};
  UvEventPort& port_;
  size_t index_ = kNotEnrolled;  // in port_.observers_
};

class UvEventPort final : public kj::EventPort {
 public:
  explicit UvEventPort(uv_loop_t& loop);
  ~UvEventPort() noexcept(false);  // no handle of the loop but the port's own may still be open
  KJ_DISALLOW_COPY(UvEventPort);

  // The loop that this port serves; asked whether it has something to run. Set once, before wait().
  void attach(kj::EventLoop& loop) { kj_loop_ = &loop; }

  uv_loop_t& uv() { return uv_; }
  kj::Timer& timer() { return timer_; }

  // Called at the end of every turn, before blocking. Returns true if it queued work: then wait()
  // comes back at once, KJ runs, and the hook is called again at the end of that.
  void set_turn_end(std::function<bool()> hook) { turn_end_ = std::move(hook); }

  // How long wait() looks for events without sleeping; zero, as at first: not at all. Waking a
  // processor that sleeps takes longer than many of the waits of a commit, in a virtual machine
  // above all. It looks only if the wait before was shorter than this (KVM's halt polling learns
  // likewise), so an idle loop sleeps; and it lets others who want this processor go first.
  void set_busy_poll(base::Duration longest) { busy_poll_ = longest; }

  // Thread-safe. Runs `work` on the loop's thread, in the order of posting, outside of any libuv
  // callback. What it throws comes out of whatever main() is waiting for. Cheap: the loop is woken
  // only for the first of what has gathered. Work posted after the loop's last turn never runs.
  void post(std::function<void()> work);

  // kj::EventPort
  bool wait() override;
  bool poll() override;
  void wake() const override;  // thread-safe

  // Where streams read to before they know how much there is; valid until the next read.
  kj::ArrayPtr<kj::byte> scratch() { return scratch_; }

 private:
  friend class TurnObserver;
  bool end_turn();
  bool run(uv_run_mode mode);
  void busy_poll(base::Instant until);
  uv_run_mode arm_timer();
  static void timer_fired(uv_timer_t* timer);
  void advance_timer();
  void run_posted();

  uv_loop_t& uv_;
  kj::EventLoop* kj_loop_ = nullptr;
  kj::TimerImpl timer_;
  kj::Array<kj::byte> scratch_;
  std::function<bool()> turn_end_;
  std::vector<TurnObserver*> observers_;  // enrolled for the end of this turn; null: withdrawn
  std::vector<TurnObserver*> acting_;     // those whose turn it is; empty but in end_turn()
  uv_async_t* async_;                     // freed in its close callback
  uv_timer_t* uv_timer_;
  base::Duration busy_poll_;
  bool short_wait_ = false;  // the last wait was shorter than busy_poll_
  uint64_t timer_due_ = 0;   // by uv_now(); 0: not armed, or fired

  mutable std::atomic<bool> woken_{false};
  std::mutex posted_mutex_;
  std::vector<std::function<void()>> posted_;   // under posted_mutex_
  std::vector<std::function<void()>> running_;  // the batch being run; keeps its capacity
  size_t next_running_ = 0;                     // next_running_ <= running_.size()
  std::atomic<bool> has_posted_{false};
};

// The loop of one thread: a libuv loop, KJ's loop on it, and the right to wait. Made and used in
// one thread; only post() is thread-safe. Everything that uses the loop must be gone before it.
class EventLoop {
 public:
  EventLoop();
  ~EventLoop() noexcept(false);
  KJ_DISALLOW_COPY(EventLoop);

  UvEventPort& port() { return port_; }
  uv_loop_t& uv() { return uv_.loop; }
  kj::WaitScope& wait_scope() { return wait_scope_; }
  kj::Timer& timer() { return port_.timer(); }
  void set_turn_end(std::function<bool()> hook) { port_.set_turn_end(std::move(hook)); }
  void post(std::function<void()> work) { port_.post(std::move(work)); }

 private:
  struct UvLoop {
    UvLoop();
    ~UvLoop();
    uv_loop_t loop;
  };
  UvLoop uv_;
  UvEventPort port_;
  kj::EventLoop kj_loop_;
  kj::WaitScope wait_scope_;
};

}  // namespace holdfast::rpc
