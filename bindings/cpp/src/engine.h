// Engine: the thread of a Cell: a loop that drives the core and carries out its effects.
//
// Other threads post work; everything else here runs on the engine's own thread. Callbacks of users
// run there too, outside of any event of the core, so they may make calls at once.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "bindings/cpp/src/core.h"
#include "bindings/cpp/src/transport.h"

namespace holdfast::client {

class BoottimeTimer;

class Engine {
 public:
  using Done = std::function<void(Outcome&&)>;
  using OnSession = std::function<void(const SessionEvent&)>;

  Engine(Options options, uint64_t seed);
  // From another thread: shuts down, and waits for it. From its own: shuts down by itself, later;
  // use retire() then.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Ends the engine from wherever the last handle went.
  static void retire(std::unique_ptr<Engine> engine);
  // Shuts the core down and waits until the thread has ended. Twice is fine.
  void stop();

  bool on_thread() const { return std::this_thread::get_id() == thread_id_; }
  // Runs `work` on the engine's thread: at once if this is it, else soon. Starts the thread if need
  // be. False: the engine has stopped, and `work` will not run. Throws Error if the system has no
  // thread or descriptor left for it.
  bool run(std::function<void()> work);

  // -- on the engine's thread ---------------------------------------------------------------------
  Ref expect(Done done);  // the ref of a call whose outcome `done` will get
  // Calls the core: event(core, now, effects); then carries the effects out.
  template <class Event>
  auto with_core(Event event) {
    Effects& fx = effects_;
    fx.clear();
    if constexpr (std::is_void_v<decltype(event(core_, base::Instant{}, fx))>) {
      event(core_, rpc::boottime_now(), fx);
      carry_out();
    } else {
      auto result = event(core_, rpc::boottime_now(), fx);
      carry_out();
      return result;
    }
  }
  Core& core() { return core_; }
  bool stopping() const { return stopping_; }  // no further calls
  void watch_session(SessionId session, OnSession on_event);
  void unwatch_session(SessionId session) { sessions_.erase(session); }

  // Calls `work` at `at` or soon after, unless dropped before.
  using TimerId = std::pair<base::Instant, uint64_t>;
  TimerId at(base::Instant at, std::function<void()> work);
  void drop_timer(const TimerId& id) { timers_.erase(id); }

 private:
  struct Call {
    Done done;
    bool used = false;
  };

  void start();  // under mutex_
  void shut_down();
  void thread_main();
  void serve();
  bool end_turn();
  void take_events();
  void on_time() noexcept;
  void carry_out();
  void deliver() noexcept;  // what a callback throws has nowhere to go
  void deliver_outcome(Completion& completion);
  void arm();

  Core core_;
  Effects effects_;
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<BoottimeTimer> timer_;
  std::vector<Transport::Event> events_;
  std::vector<Call> calls_;  // by ref - 1
  std::vector<Ref> free_refs_;
  std::unordered_map<SessionId, OnSession> sessions_;
  std::map<TimerId, std::function<void()>> timers_;
  uint64_t last_timer_ = 0;
  std::vector<std::variant<SessionEvent, Completion>> deliveries_;
  size_t delivered_ = 0;
  bool delivering_ = false;
  bool stopping_ = false;
  kj::Own<kj::PromiseFulfiller<void>> finished_;

  // Between threads.
  std::mutex mutex_;
  std::condition_variable ready_;
  enum class Life { kIdle, kStarting, kFailed, kRunning, kStopping, kStopped } life_ = Life::kIdle;
  std::string failure_;             // why the thread could not begin
  rpc::EventLoop* loop_ = nullptr;  // while running or stopping
  std::thread thread_;
  std::mutex join_mutex_;  // two may stop at once
  std::atomic<std::thread::id> thread_id_{};
  std::unique_ptr<Engine> self_;  // set by retire() on the engine's own thread
};

}  // namespace holdfast::client
