// What the handles of the public header share: a cell, its sessions, locks and grants.
//
// Fields marked "engine" belong to the engine's thread; the others are atomic or never change.
#pragma once

#include <holdfast/holdfast.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "bindings/cpp/src/engine.h"
#include "bindings/cpp/src/process.h"

namespace holdfast::detail {

using client::AcquireCall;
using client::Core;
using client::Effects;
using client::Engine;
using client::Failure;
using client::Outcome;
using client::Ref;

Error to_error(const Failure& failure);
base::LeaseId lease_named(std::string_view text);  // throws invalid_argument

struct Feed;

struct CellState : std::enable_shared_from_this<CellState> {
  CellState(client::Options options, std::string program, milliseconds request_timeout);
  ~CellState();

  // Starts a call: begin(core, ref, now, effects), on the engine's thread; `done` gets its outcome
  // there. Throws `forked`; a closed cell's calls end with `cancelled`.
  template <class Begin>
  void start(Begin begin, Engine::Done done);
  // The same, waiting for the outcome; throws what is a Failure. Not for the engine's own thread.
  template <class T, class Begin>
  T wait_for(Begin begin);
  // Runs `work` on the engine's thread, if there is still one.
  bool run(std::function<void()> work) {
    check_fork();
    return engine->run(std::move(work));
  }

  template <class Begin>
  static void begin_here(Engine& engine, Begin& begin, Engine::Done done);
  static Failure closed_failure();
  void check_fork() const;  // throws `forked`
  bool forked() const { return client::fork_count() != forks; }
  void check_may_wait() const;  // throws if this is the engine's thread
  base::Owner owner(const std::string& reason) const;
  std::string who() const;  // this process, in words, as admins' acts are recorded

  std::unique_ptr<Engine> engine;
  std::atomic<bool> closed{false};
  const uint64_t forks = client::fork_count();
  const std::string program;
  const milliseconds request_timeout;

  // engine: those that readers of the same name share
  std::map<std::pair<std::string, bool>, std::weak_ptr<Feed>> feeds;
  size_t prune_feeds_at = 64;  // engine: when to drop those that are gone
  void prune_feeds();

  // Leases that their owners keep alive, as far as they were opened or renewed here.
  struct BareLease {
    uint64_t ttl_ms = 0;
    base::Instant deadline;
  };
  std::mutex bare_mutex;
  std::map<base::LeaseId, BareLease> bare_leases;  // under bare_mutex; those over are dropped
  size_t prune_at = 1024;                          // under bare_mutex: when to drop them
  void remember(base::LeaseId lease, BareLease facts);
  std::optional<BareLease> recall(base::LeaseId lease);
};

struct SessionState : std::enable_shared_from_this<SessionState> {
  SessionState(std::shared_ptr<CellState> cell, SessionOptions options,
               const client::Opened& opened);
  ~SessionState();

  bool alive() const;
  void on_event(const client::SessionEvent& event);  // engine
  void end_on_purpose();                             // engine
  void lose(const Failure& why);                     // engine
  client::LeaseName name() const { return {id, lease}; }

  const std::shared_ptr<CellState> cell;
  const SessionOptions options;
  const client::SessionId id;
  const base::LeaseId lease;
  const std::string secret;
  const uint64_t ttl_ms;
  std::atomic<int64_t> deadline_ns;
  std::atomic<bool> over{false};    // closed, detached or lost
  std::atomic<bool> closed{false};  // on purpose; over as well

  // engine: whoever wants to know of the loss, by GrantState::id
  std::map<uint64_t, std::function<void(const Error&)>> watchers;
  // engine: the locks in whose queues somebody waits (LockState::waiting). The cell doesn't know of
  // these waits, so they must be ended here.
  std::set<LockState*> queues;

 private:
  void end_queues(const Error& why);
};

// Something that waits for the cell. Of the waits of one Lock object one at a time goes to the
// cell, the others wait here.
struct Wait : std::enable_shared_from_this<Wait> {
  std::shared_ptr<SessionState> session;
  std::shared_ptr<LockState> lock;  // null: of no lock object's queue
  Lock::Done done;                  // of a lock object's; empty: it is over
  base::AgentId agent;
  base::Instant until = base::kNever;
  bool tries = false;
  Core::AcquireId acquire = 0;  // engine: at the cell; 0: waiting here, or over
  Engine::TimerId timer{};      // engine: while waiting here

  std::optional<base::Duration> left() const;  // as the core takes it
  void cancel();                               // engine
};
// Counts the time from now on, not from the turn of whoever waits behind others.
std::shared_ptr<Wait> make_wait(std::shared_ptr<SessionState> session,
                                std::optional<nanoseconds> timeout, Agent agent);
void check_timeout(const std::optional<nanoseconds>& timeout);  // throws invalid_argument

constexpr base::Mode to_core(Mode mode) {
  return static_cast<base::Mode>(mode);
}
static_assert(to_core(Mode::null) == base::Mode::kNull);
static_assert(to_core(Mode::shared) == base::Mode::kShared);
static_assert(to_core(Mode::exclusive) == base::Mode::kExclusive);
locks::LockRequest to_request(std::string_view name, const LockOptions& options);

struct LockState : std::enable_shared_from_this<LockState> {
  LockState(std::shared_ptr<SessionState> session, std::string name, LockOptions options);

  void enter(const std::shared_ptr<Wait>& wait);   // engine
  void next();                                     // engine: the turn of whoever waits here
  void cancel_all();                               // engine
  void cancel(const std::shared_ptr<Wait>& wait);  // engine
  void end_queue(const Error& why);                // engine: of those who wait here

  const std::shared_ptr<SessionState> session;
  const std::string name;
  const LockOptions options;
  std::atomic<uint64_t> good{0};  // the id of its grant, until somebody begins to release it

  // engine
  uint64_t holder = 0;                        // the id of its grant, until it is on its way back
  base::AgentId holder_agent;                 // who acquired it
  std::shared_ptr<Wait> at_cell;              // the one whose acquire is under way
  std::deque<std::shared_ptr<Wait>> waiting;  // behind it, or behind the holder

 private:
  void begin(const std::shared_ptr<Wait>& wait);
  void finish(Wait& wait, std::shared_ptr<GrantState> grant, const Error* error);
  void on_outcome(const std::shared_ptr<Wait>& wait, Outcome&& outcome);
  void join_queue(const std::shared_ptr<Wait>& wait);
  void leave_queue(const std::shared_ptr<Wait>& wait);
};

struct GrantState : std::enable_shared_from_this<GrantState> {
  GrantState(std::shared_ptr<LockState> lock, uint64_t token);

  bool held() const;
  // Gives the hold back, once; `done` may be empty.
  void release(Finished done);
  void convert(const std::shared_ptr<Wait>& wait, Mode mode, Callback<bool> done);  // engine

  const std::shared_ptr<LockState> lock;
  const uint64_t id;  // unique in this process: a token changes
  std::atomic<uint64_t> token;
  std::atomic<Mode> mode;
  std::atomic<bool> released{false};
  std::shared_ptr<Wait> converting;  // engine: the conversion under way

 private:
  void on_converted(Mode to, const Callback<bool>& done, Outcome&& outcome);
  void give_back(Finished done);  // engine

  Finished after_converting_;   // engine: how to go on with a release that waits for it
  bool release_waits_ = false;  // engine
};

template <class Begin>
void CellState::start(Begin begin, Engine::Done done) {
  check_fork();
  Engine* own = engine.get();
  if (own->on_thread()) return begin_here(*own, begin, std::move(done));
  bool running =
      own->run([own, begin, done]() mutable { begin_here(*own, begin, std::move(done)); });
  if (!running) done(closed_failure());
}

template <class Begin>
void CellState::begin_here(Engine& engine, Begin& begin, Engine::Done done) {
  if (engine.stopping()) return done(closed_failure());
  Ref ref = engine.expect(std::move(done));
  engine.with_core([&](Core& core, base::Instant now, Effects& fx) { begin(core, ref, now, fx); });
}

// -- waiting for the callback forms ---------------------------------------------------------------

// Reports an outcome to a caller who needs only to know whether it went well; `done` may be empty.
Engine::Done report(Finished done);
// Waits for what start(done) begins; throws what is an error.
template <class Start>
void wait_for_finished(const CellState& cell, Start start) {
  cell.check_fork();
  cell.check_may_wait();
  std::promise<void> promise;
  std::future<void> future = promise.get_future();
  start([&promise](const Error* error) {
    if (error != nullptr) {
      promise.set_exception(std::make_exception_ptr(*error));
    } else {
      promise.set_value();
    }
  });
  future.get();
}
template <class T, class Start>
T wait_for_value(const CellState& cell, Start start) {
  cell.check_fork();
  cell.check_may_wait();
  std::promise<T> promise;
  std::future<T> future = promise.get_future();
  start([&promise](std::optional<T> value, const Error* error) {
    if (error != nullptr) {
      promise.set_exception(std::make_exception_ptr(*error));
    } else {
      promise.set_value(std::move(*value));
    }
  });
  return future.get();
}

KeyValue to_pair(base::KeyRow row);

template <class T, class Begin>
T CellState::wait_for(Begin begin) {
  check_fork();
  check_may_wait();
  std::promise<Outcome> promise;
  std::future<Outcome> future = promise.get_future();
  start(std::move(begin), [&promise](Outcome&& outcome) { promise.set_value(std::move(outcome)); });
  Outcome outcome = future.get();
  if (auto* failure = std::get_if<Failure>(&outcome)) throw to_error(*failure);
  return std::get<T>(std::move(outcome));
}

}  // namespace holdfast::detail
