// Lock and Grant: one object's turns, and its one hold.
#include <holdfast/holdfast.h>

#include <algorithm>

#include "bindings/cpp/src/cell_state.h"

namespace holdfast {
namespace detail {

using base::Duration;
using base::Instant;

LockState::LockState(std::shared_ptr<SessionState> own_session, std::string own_name,
                     LockOptions own_options)
    : session(std::move(own_session)), name(std::move(own_name)), options(std::move(own_options)) {}

// -- waiting --------------------------------------------------------------------------------------

void LockState::finish(Wait& wait, std::shared_ptr<GrantState> grant, const Error* error) {
  Lock::Done done = std::move(wait.done);
  wait.done = nullptr;
  if (grant != nullptr) {
    done(Grant(std::move(grant)), nullptr);
  } else {
    done(std::nullopt, error);
  }
}

void LockState::enter(const std::shared_ptr<Wait>& wait) {
  if (session->cell->engine->stopping() || session->over) {
    Error error(Code::lease_lost, "the session is over");
    return finish(*wait, nullptr, &error);
  }
  if (holder != 0 && holder_agent == wait->agent) {
    Error error(Code::already_held, "this thread holds '" + name + "' through this object already");
    return finish(*wait, nullptr, &error);
  }
  if (holder == 0 && at_cell == nullptr) return begin(wait);
  if (wait->tries) return finish(*wait, nullptr, nullptr);
  join_queue(wait);
}

void LockState::join_queue(const std::shared_ptr<Wait>& wait) {
  waiting.push_back(wait);
  session->queues.insert(this);
  if (wait->until == base::kNever) return;
  wait->timer = session->cell->engine->at(wait->until, [self = shared_from_this(), wait] {
    self->leave_queue(wait);
    self->finish(*wait, nullptr, nullptr);
  });
}

void LockState::leave_queue(const std::shared_ptr<Wait>& wait) {
  std::erase(waiting, wait);
  session->cell->engine->drop_timer(wait->timer);
  if (waiting.empty()) session->queues.erase(this);
}

void LockState::end_queue(const Error& why) {
  while (!waiting.empty()) {
    std::shared_ptr<Wait> wait = waiting.front();
    leave_queue(wait);
    finish(*wait, nullptr, &why);
  }
}

void LockState::begin(const std::shared_ptr<Wait>& wait) {
  AcquireCall call;
  call.under = session->name();
  call.agent = wait->agent;
  call.locks = {to_request(name, options)};
  call.reason = options.reason;
  call.value = options.value;
  call.timeout = wait->left();
  at_cell = wait;
  Engine& engine = *session->cell->engine;
  Ref ref = engine.expect([self = shared_from_this(), wait](Outcome&& outcome) {
    self->on_outcome(wait, std::move(outcome));
  });
  engine.with_core([&](Core& core, Instant now, Effects& fx) {
    wait->acquire = core.acquire(ref, std::move(call), now, fx);
  });
}

void LockState::on_outcome(const std::shared_ptr<Wait>& wait, Outcome&& outcome) {
  at_cell = nullptr;
  wait->acquire = 0;
  if (auto* granted = std::get_if<client::Granted>(&outcome)) {
    auto grant = std::make_shared<GrantState>(shared_from_this(), granted->tokens.at(0).value);
    good = holder = grant->id;
    holder_agent = wait->agent;
    return finish(*wait, std::move(grant), nullptr);
  }
  auto self = shared_from_this();  // the callback may drop the last handle
  if (auto* failure = std::get_if<Failure>(&outcome)) {
    Error error = to_error(*failure);
    finish(*wait, nullptr, &error);
  } else {
    finish(*wait, nullptr, nullptr);
  }
  next();
}

void LockState::next() {
  while (!waiting.empty() && holder == 0 && at_cell == nullptr) {
    std::shared_ptr<Wait> wait = waiting.front();
    leave_queue(wait);
    enter(wait);
  }
}

void LockState::cancel(const std::shared_ptr<Wait>& wait) {
  if (!wait->done) return;
  if (wait == at_cell) return wait->cancel();
  leave_queue(wait);
  Error error(Code::cancelled, "the wait was cancelled");
  finish(*wait, nullptr, &error);
}

void LockState::cancel_all() {
  std::deque<std::shared_ptr<Wait>> all = waiting;
  for (const auto& wait : all) cancel(wait);
  if (auto wait = at_cell) cancel(wait);
}

// -- holding --------------------------------------------------------------------------------------

namespace {

std::atomic<uint64_t> last_grant_id{0};

}  // namespace

GrantState::GrantState(std::shared_ptr<LockState> own_lock, uint64_t own_token)
    : lock(std::move(own_lock)),
      id(++last_grant_id),
      token(own_token),
      mode(lock->options.capacity != 0 ? Mode::shared : lock->options.mode) {}

bool GrantState::held() const {
  return !released && lock->session->alive();
}

void GrantState::release(Finished done) {
  if (released.exchange(true)) {
    Error error(Code::not_held, "'" + lock->name + "' was released already");
    if (done) done(&error);
    return;
  }
  uint64_t mine = id;
  lock->good.compare_exchange_strong(mine, 0);
  auto releasing = [self = shared_from_this(), done] {
    // Until the conversion's outcome is there, nobody knows what the token is.
    if (self->converting == nullptr) return self->give_back(done);
    self->release_waits_ = true;
    self->after_converting_ = done;
    self->converting->cancel();
  };
  CellState& cell = *lock->session->cell;
  if (cell.engine->on_thread()) return releasing();
  if (!cell.engine->run(std::move(releasing)) && done) {
    Error error(Code::not_held, "'" + lock->name + "' was released when the cell was closed");
    done(&error);
  }
}

void GrantState::give_back(Finished done) {
  if (lock->holder == id) lock->holder = 0;
  SessionState& session = *lock->session;
  session.watchers.erase(id);
  Engine& engine = *session.cell->engine;
  if (session.closed || engine.stopping()) {
    Error error(Code::not_held, "'" + lock->name + "' was released with its session");
    if (done) done(&error);
    return;
  }
  Ref ref = 0;
  if (done) ref = engine.expect(report(done));
  engine.with_core([&](Core& core, Instant now, Effects& fx) {
    core.release(ref, session.name(), lock->name, {token}, now, fx);
  });
  lock->next();
}

void GrantState::convert(const std::shared_ptr<Wait>& wait, Mode to, Callback<bool> done) {
  const auto refuse = [&](Code code, const std::string& why) {
    Error error(code, "'" + lock->name + "' " + why);
    done(std::nullopt, &error);
  };
  Engine& engine = *lock->session->cell->engine;
  if (engine.stopping() || lock->session->over) return refuse(Code::lock_lost, "was lost");
  if (released) return refuse(Code::not_held, "was released already");
  if (converting) return refuse(Code::invalid_argument, "waits for another mode already");
  converting = wait;
  Ref ref = engine.expect([self = shared_from_this(), to, done](Outcome&& outcome) {
    self->on_converted(to, done, std::move(outcome));
  });
  client::ConvertCall call{lock->session->id, wait->agent, lock->name,
                           {token},           to_core(to), wait->left()};
  engine.with_core([&](Core& core, Instant now, Effects& fx) {
    wait->acquire = core.convert(ref, std::move(call), now, fx);
  });
}

void GrantState::on_converted(Mode to, const Callback<bool>& done, Outcome&& outcome) {
  converting->acquire = 0;
  converting = nullptr;
  auto self = shared_from_this();
  if (const auto* granted = std::get_if<client::Granted>(&outcome)) {
    token = granted->tokens.at(0).value;
    mode = to;
    done(true, nullptr);
  } else if (const auto* failure = std::get_if<Failure>(&outcome)) {
    Error error = to_error(*failure);
    done(std::nullopt, &error);
  } else {
    done(false, nullptr);
  }
  if (std::exchange(release_waits_, false)) give_back(std::exchange(after_converting_, nullptr));
}

}  // namespace detail

// -- the handles ----------------------------------------------------------------------------------

PendingAcquire::PendingAcquire(std::shared_ptr<detail::Wait> wait) : wait_(std::move(wait)) {}

void PendingAcquire::cancel() {
  wait_->session->cell->run([wait = wait_] {
    if (wait->lock != nullptr) return wait->lock->cancel(wait);
    wait->cancel();
  });
}

Lock::Lock(std::shared_ptr<detail::LockState> state) : state_(std::move(state)) {}

namespace {

void enter(const std::shared_ptr<detail::Wait>& wait) {
  bool running = wait->session->cell->run([wait] { wait->lock->enter(wait); });
  if (running) return;
  Error error(Code::lease_lost, "the connection to the cell was closed");
  wait->done(std::nullopt, &error);
}

}  // namespace

PendingAcquire Lock::acquire_async(std::optional<nanoseconds> timeout, Done done, Agent agent) {
  detail::check_timeout(timeout);
  auto wait = detail::make_wait(state_->session, timeout, agent);
  wait->lock = state_;
  wait->done = std::move(done);
  enter(wait);
  return PendingAcquire(std::move(wait));
}

namespace {

// The promise is shared with the callback, which may come from the cell's thread.
Lock::Done fulfil(std::shared_ptr<std::promise<std::optional<Grant>>> promise) {
  return [promise = std::move(promise)](std::optional<Grant> grant, const Error* error) {
    if (error != nullptr) {
      promise->set_exception(std::make_exception_ptr(*error));
    } else {
      promise->set_value(std::move(grant));
    }
  };
}

}  // namespace

std::future<std::optional<Grant>> Lock::acquire_async(std::optional<nanoseconds> timeout) {
  auto promise = std::make_shared<std::promise<std::optional<Grant>>>();
  auto future = promise->get_future();
  acquire_async(timeout, fulfil(std::move(promise)));
  return future;
}

std::optional<Grant> Lock::acquire(std::optional<nanoseconds> timeout) {
  detail::check_timeout(timeout);
  state_->session->cell->check_fork();
  state_->session->cell->check_may_wait();
  auto promise = std::make_shared<std::promise<std::optional<Grant>>>();
  auto future = promise->get_future();
  acquire_async(timeout, fulfil(std::move(promise)), Agent::this_thread());
  return future.get();
}

std::optional<Grant> Lock::try_acquire() {
  return acquire(nanoseconds(0));
}

void Lock::cancel() {
  state_->session->cell->run([lock = state_] { lock->cancel_all(); });
}

const std::string& Lock::name() const {
  return state_->name;
}
Mode Lock::mode() const {
  return state_->options.mode;
}
bool Lock::held() const {
  return state_->good != 0 && state_->session->alive();
}
bool Lock::locked() {
  return !info().holders.empty();
}

LockInfo Lock::info() {
  return Cell(state_->session->cell).describe(state_->name);
}

void Lock::info_async(Callback<LockInfo> done) {
  Cell(state_->session->cell).describe_async(state_->name, std::move(done));
}

Grant::Grant(std::shared_ptr<detail::GrantState> state) : state_(std::move(state)) {}
Grant::Grant(Grant&&) noexcept = default;

Grant& Grant::operator=(Grant&& other) noexcept {
  if (this == &other) return *this;
  Grant old(std::move(*this));  // released at the end of this
  state_ = std::move(other.state_);
  return *this;
}

Grant::~Grant() {
  if (state_ == nullptr || state_->lock->session->cell->forked() || state_->released) return;
  state_->release(nullptr);
}

uint64_t Grant::token() const {
  return state_->token;
}
Mode Grant::mode() const {
  return state_->mode;
}
const std::string& Grant::lock() const {
  return state_->lock->name;
}
bool Grant::held() const {
  return state_->held();
}
Deadline Grant::deadline() const {
  return {nanoseconds(state_->lock->session->deadline_ns.load())};
}
nanoseconds Grant::remaining() const {
  return held() ? deadline().remaining() : nanoseconds(0);
}

PendingAcquire Grant::convert_async(Mode mode, std::optional<nanoseconds> timeout,
                                    Callback<bool> done, Agent agent) {
  detail::check_timeout(timeout);
  auto wait = detail::make_wait(state_->lock->session, timeout, agent);
  bool running = wait->session->cell->run(
      [state = state_, wait, mode, done] { state->convert(wait, mode, done); });
  if (!running) {
    Error error(Code::lock_lost, "the connection to the cell was closed");
    done(std::nullopt, &error);
  }
  return PendingAcquire(std::move(wait));
}

bool Grant::convert(Mode mode, std::optional<nanoseconds> timeout) {
  return detail::wait_for_value<bool>(*state_->lock->session->cell, [&](Callback<bool> done) {
    convert_async(mode, timeout, std::move(done), Agent::this_thread());
  });
}

bool Grant::upgrade(std::optional<nanoseconds> timeout) {
  return convert(Mode::exclusive, timeout);
}

void Grant::downgrade() {
  convert(Mode::shared);
}

void Grant::set_value_async(std::string value, Finished done) {
  const auto& state = *state_;
  if (state.released) {
    Error error(Code::not_held, "'" + state.lock->name + "' was released already");
    if (done) done(&error);
    return;
  }
  client::SetValueCall call{
      state.lock->session->id, state.lock->name, {state.token}, std::move(value)};
  state.lock->session->cell->start(
      [call = std::move(call)](client::Core& core, client::Ref ref, base::Instant now,
                               client::Effects& fx) { core.set_value(ref, call, now, fx); },
      detail::report(std::move(done)));
}

void Grant::set_value(std::string value) {
  detail::wait_for_finished(*state_->lock->session->cell, [&](Finished done) {
    set_value_async(std::move(value), std::move(done));
  });
}

void Grant::release() {
  detail::wait_for_finished(*state_->lock->session->cell,
                            [&](Finished done) { state_->release(std::move(done)); });
}

void Grant::release_async(Finished done) {
  state_->lock->session->cell->check_fork();
  state_->release(done ? std::move(done) : [](const Error*) {});
}

void Grant::on_lost(std::function<void(const Error& why)> callback) {
  state_->lock->session->cell->run([state = state_, callback = std::move(callback)] {
    detail::SessionState& session = *state->lock->session;
    if (state->released || session.closed) return;
    if (session.over) return callback(Error(Code::lock_lost, "the lock was lost with its session"));
    session.watchers[state->id] = callback;
  });
}

}  // namespace holdfast
