// Engine: the loop's turns, deliveries to callers, starting and ending.
#include "bindings/cpp/src/engine.h"

#include <kj/common.h>
#include <signal.h>

#include <system_error>

#include "bindings/cpp/src/boottime_timer.h"

namespace holdfast::client {

using base::Instant;

Engine::Engine(Options options, uint64_t seed) : core_(std::move(options), seed) {}

Engine::~Engine() {
  if (!on_thread()) stop();
}

// -- starting and ending --------------------------------------------------------------------------

void Engine::start() {
  // Signals are the program's business, not this thread's.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    thread_ = std::thread([this] { thread_main(); });
    life_ = Life::kStarting;
  } catch (const std::system_error& error) {
    life_ = Life::kFailed;
    failure_ = error.what();
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Engine::thread_main() {
  thread_id_ = std::this_thread::get_id();
  std::string failure;
  try {
    serve();
  } catch (const kj::Exception& error) {
    failure = error.getDescription().cStr();
  } catch (const std::exception& error) {
    failure = error.what();
  }
  std::unique_ptr<Engine> self;  // destroyed last, if this thread outlived all handles
  {
    std::lock_guard lock(mutex_);
    self = std::move(self_);
    if (life_ == Life::kStarting) life_ = Life::kFailed;
    failure_ = std::move(failure);
  }
  ready_.notify_all();
  if (self != nullptr) self->thread_.detach();
}

// Throws if there is no loop to be had. Once it runs, nothing does.
void Engine::serve() {
  rpc::EventLoop loop;
  auto finished = kj::newPromiseAndFulfiller<void>();
  finished_ = kj::mv(finished.fulfiller);
  KJ_DEFER(finished_ = nullptr);
  transport_ = std::make_unique<Transport>(loop.port());
  KJ_DEFER(transport_.reset());
  timer_ = std::make_unique<BoottimeTimer>(loop.uv(), [this] { on_time(); });
  KJ_DEFER(timer_.reset());
  loop.set_turn_end([this] { return end_turn(); });
  KJ_DEFER(loop.set_turn_end(nullptr));
  {
    std::lock_guard lock(mutex_);
    loop_ = &loop;
    life_ = Life::kRunning;
  }
  ready_.notify_all();
  finished.promise.wait(loop.wait_scope());
  {
    std::lock_guard lock(mutex_);
    loop_ = nullptr;
    life_ = Life::kStopped;
  }
  // What other threads had posted just before hears that it comes too late.
  loop.port().poll();
}

bool Engine::run(std::function<void()> work) {
  if (on_thread()) {
    work();
    return true;
  }
  std::unique_lock lock(mutex_);
  if (life_ == Life::kIdle) start();
  ready_.wait(lock, [&] { return life_ != Life::kStarting; });
  if (life_ == Life::kFailed) {
    // The next call tries again.
    if (thread_.joinable()) thread_.join();
    life_ = Life::kIdle;
    throw Error(Code::resource_exhausted, "can't start the client's thread: " + failure_);
  }
  if (life_ != Life::kRunning) return false;
  // An exception would end the thread in silence.
  loop_->post([work = std::move(work)]() noexcept { work(); });
  return true;
}

void Engine::shut_down() {
  stopping_ = true;
  with_core([](Core& core, Instant now, Effects& fx) { core.shut_down(now, fx); });
}

void Engine::stop() {
  {
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [&] { return life_ != Life::kStarting; });
    if (life_ == Life::kIdle || life_ == Life::kFailed) life_ = Life::kStopped;
    if (life_ == Life::kRunning) {
      life_ = Life::kStopping;
      if (!on_thread()) loop_->post([this] { shut_down(); });
    }
  }
  if (on_thread()) {
    if (!stopping_) shut_down();
    return;
  }
  std::lock_guard lock(join_mutex_);
  if (thread_.joinable()) thread_.join();
}

void Engine::retire(std::unique_ptr<Engine> engine) {
  if (!engine->on_thread()) return engine->stop();
  Engine& own = *engine;
  {
    std::lock_guard lock(own.mutex_);
    own.self_ = std::move(engine);
  }
  own.stop();
}

// -- the loop -------------------------------------------------------------------------------------

bool Engine::end_turn() {
  if (!transport_->has_events()) return false;
  take_events();
  return true;
}

void Engine::take_events() {
  transport_->take_events(events_);
  for (Transport::Event& event : events_) {
    if (auto* arrived = std::get_if<Transport::Arrived>(&event)) {
      with_core([&](Core& core, Instant now, Effects& fx) {
        core.on_response(arrived->request, std::move(arrived->response), now, fx);
      });
    } else if (auto* connected = std::get_if<Transport::Connected>(&event)) {
      with_core([&](Core& core, Instant now, Effects& fx) {
        core.on_connected(connected->connection, now, fx);
      });
    } else {
      auto& gone = std::get<Transport::Disconnected>(event);
      transport_->close(gone.connection);
      with_core([&](Core& core, Instant now, Effects& fx) {
        core.on_disconnected(gone.connection, gone.why, now, fx);
      });
    }
  }
}

void Engine::on_time() noexcept {
  while (!timers_.empty() && timers_.begin()->first.first <= rpc::boottime_now()) {
    auto work = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    work();
  }
  with_core([](Core& core, Instant now, Effects& fx) { core.on_timer(now, fx); });
}

Engine::TimerId Engine::at(Instant at, std::function<void()> work) {
  TimerId id{at, ++last_timer_};
  timers_.emplace(id, std::move(work));
  arm();
  return id;
}

void Engine::arm() {
  Instant next = core_.next_timer();
  if (!timers_.empty()) next = std::min(next, timers_.begin()->first.first);
  if (timer_ != nullptr) timer_->arm(next);
}

void Engine::carry_out() {
  for (const Effects::Connect& effect : effects_.connects) {
    transport_->connect(effect.connection, effect.address);
  }
  for (const Effects::Send& effect : effects_.sends) {
    transport_->send(effect.connection, effect.request, *effect.body);
  }
  for (const Effects::Drop& effect : effects_.drops) transport_->drop(effect.request);
  for (ConnectionId connection : effects_.closes) transport_->close(connection);
  for (SessionEvent& event : effects_.session_events) deliveries_.emplace_back(std::move(event));
  for (Completion& completion : effects_.completions) {
    deliveries_.emplace_back(std::move(completion));
  }
  if (effects_.shut_down) finished_->fulfill();
  arm();
  deliver();
}

// -- deliveries -----------------------------------------------------------------------------------

// Callbacks may call the core again, which appends: one loop, never one inside the other.
void Engine::deliver() noexcept {
  if (delivering_) return;
  delivering_ = true;
  while (delivered_ < deliveries_.size()) {
    auto delivery = std::move(deliveries_[delivered_++]);
    if (auto* completion = std::get_if<Completion>(&delivery)) {
      deliver_outcome(*completion);
    } else {
      auto& event = std::get<SessionEvent>(delivery);
      auto found = sessions_.find(event.session);
      if (found == sessions_.end()) continue;
      OnSession on_event = found->second;  // a copy: it may unwatch itself
      on_event(event);
    }
  }
  deliveries_.clear();
  delivered_ = 0;
  delivering_ = false;
}

Ref Engine::expect(Done done) {
  if (free_refs_.empty()) {
    calls_.emplace_back();
    free_refs_.push_back(calls_.size());
  }
  Ref ref = free_refs_.back();
  free_refs_.pop_back();
  calls_[ref - 1] = {std::move(done), true};
  return ref;
}

void Engine::deliver_outcome(Completion& completion) {
  Call& call = calls_[completion.ref - 1];
  HF_ASSERT(call.used);
  Done done = std::move(call.done);
  call = {};
  free_refs_.push_back(completion.ref);
  done(std::move(completion.outcome));
}

void Engine::watch_session(SessionId session, OnSession on_event) {
  sessions_[session] = std::move(on_event);
}

}  // namespace holdfast::client
