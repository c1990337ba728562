#include "tests/sim/library_locks.h"

#include <algorithm>

namespace holdfast::sim {

using base::Duration;

namespace {

std::string text_of(const client::Outcome& outcome) {
  if (const auto* failure = std::get_if<client::Failure>(&outcome)) return failure->message;
  if (const auto* granted = std::get_if<client::Granted>(&outcome)) {
    return "granted, token " + std::to_string(granted->tokens[0].value);
  }
  return std::holds_alternative<client::Done>(outcome) ? "released" : "not acquired";
}

}  // namespace

Duration LibraryUser::think() {
  return Duration::from_us(
      static_cast<int64_t>(random.below(static_cast<uint64_t>(2 * options.think_ms * 1000))));
}

void LibraryThread::trace(const Hold& hold, const std::string& what) const {
  if (!user_->world.tracing()) return;
  user_->world.trace(user_->process->name() + ": " + std::to_string(hold.acquire) + ": " + what);
}

void LibraryUser::check_told(const UserSession& session) const {
  if (session.over || !beliefs.trusts(client) || session.deadline >= process->looked_at()) return;
  world.fail("the loss of a session of " + process->name() + " wasn't told at its deadline");
}

std::string LibraryThread::describe() const {
  return "thread " + std::to_string(agent_.value) + " of " + user_->process->name() + " " + doing_;
}

void LibraryThread::sleep(Duration time, Then then) {
  user_->process->after(time, [self = shared_from_this(), then = std::move(then)] { then(); });
}

// -- acquiring ------------------------------------------------------------------------------------

void LibraryThread::work() {
  LibraryUser& user = *user_;
  if (user.draining) {
    idle_ = true;
    return;
  }
  doing_ = "rests";
  if (user.sessions.empty()) return sleep(user.think(), [this] { work(); });
  auto hold = std::make_shared<std::shared_ptr<Hold>>();
  *hold = acquire(false, [this, hold] {
    if ((*hold)->token) return hold_on(*hold);
    sleep(user_->think(), [this] { work(); });
  });
}

// A try, a wait with a time limit (in microseconds now and then), or one without.
std::optional<Duration> LibraryThread::draw_timeout(bool bounded) {
  base::Random& random = user_->random;
  const Options& options = user_->options;
  if (chance_of(random, options.try_only)) return Duration{};
  if (!bounded && !chance_of(random, options.timed)) return std::nullopt;
  const int64_t most_us[] = {100, 5'000, options.ttl_ms * 1000};
  return Duration::from_us(
      static_cast<int64_t>(random.between(1, static_cast<uint64_t>(most_us[random.below(3)]))));
}

std::shared_ptr<LibraryThread::Hold> LibraryThread::acquire(bool bounded, Then then) {
  LibraryUser& user = *user_;
  base::Random& random = user.random;
  auto hold = std::make_shared<Hold>();
  hold->session = user.sessions[random.below(user.sessions.size())];
  user.check_told(*hold->session);
  hold->lock = "lock/" + std::to_string(random.below(static_cast<uint64_t>(user.options.locks)));
  hold->mode =
      chance_of(random, user.options.shared) ? base::Mode::kShared : base::Mode::kExclusive;
  hold->acquire = user.holds.begin(hold->lock);
  doing_ = "acquires " + hold->lock + " (" + std::to_string(hold->acquire) + ")";
  client::AcquireCall call;
  call.under.session = hold->session->id;
  call.agent = agent_;
  call.locks = {locks::LockRequest{hold->lock, hold->mode}};
  call.reason = std::to_string(hold->acquire);
  call.timeout = draw_timeout(bounded);
  Duration within{base::kNever.ns};
  if (call.timeout) {
    const bool tries = call.timeout->ns == 0;
    within = (tries ? Duration::from_ms(user.options.request_timeout_ms) : *call.timeout) +
             client::kCancelGrace;
  }
  ++user.operations;
  // `then` runs as soon as the outcome is known, which may be before acquire() returns.
  const client::Ref ref = user.process->expect(
      [this, self = shared_from_this(), hold, then = std::move(then)](client::Outcome&& outcome) {
        on_acquired(*hold, std::move(outcome));
        if (!user_->world.failed()) sleep({}, then);
      },
      within);
  const bool cancels = chance_of(random, user.options.cancel);
  user.process->with_core([&](client::Core& core, base::Instant now, client::Effects& fx) {
    hold->at_core = core.acquire(ref, call, now, fx);
  });
  trace(*hold,
        "acquire of " + hold->lock +
            (call.timeout ? ", for " + std::to_string(call.timeout->ns / 1000) + " us" : ""));
  if (cancels) cancel_later(hold);
  return hold;
}

void LibraryThread::cancel_later(std::shared_ptr<Hold> hold) {
  sleep(user_->think() * 4, [this, hold] {
    if (hold->over) return;
    hold->cancelled = true;
    trace(*hold, "is cancelled");
    user_->process->with_core([&](client::Core& core, base::Instant now, client::Effects& fx) {
      core.cancel(hold->at_core, now, fx);
    });
  });
}

void LibraryThread::on_acquired(Hold& hold, client::Outcome&& outcome) {
  LibraryUser& user = *user_;
  hold.over = true;
  trace(hold, text_of(outcome));
  if (std::holds_alternative<client::NotAcquired>(outcome)) {
    user.holds.on_refused(hold.acquire);
  } else if (const auto* failure = std::get_if<client::Failure>(&outcome)) {
    on_failed(hold, *failure);
  } else if (const auto* granted = std::get_if<client::Granted>(&outcome)) {
    hold.token = granted->tokens[0];
    ++user.grants;
    user.reads.on_told(hold.token);
    user.holds.on_granted(hold.acquire, hold.token);
    user.beliefs.begin_belief(user.client, hold.lock, hold.mode, hold.token,
                              [session = hold.session, process = user.process] {
                                return session->alive(process->now());
                              });
  } else {
    user.world.fail("acquire " + std::to_string(hold.acquire) + " was told nonsense");
  }
}

void LibraryThread::on_failed(Hold& hold, const client::Failure& failure) {
  LibraryUser& user = *user_;
  switch (failure.code) {
    case Code::unavailable: return;  // nobody knows
    case Code::lease_lost:
      if (!hold.session->over) break;
      return;
    case Code::cancelled:
      if (user.shutting_down) return;  // nobody knows
      if (!hold.cancelled) break;
      return user.holds.on_refused(hold.acquire);
    case Code::deadlock:
      user.holds.on_deadlock(hold.acquire);
      return user.holds.on_refused(hold.acquire);
    case Code::resource_exhausted: return user.holds.on_refused(hold.acquire);
    default: break;
  }
  user.world.fail("acquire " + std::to_string(hold.acquire) + " of " + user.process->name() +
                  " failed: " + failure.message);
}

// -- holding and releasing ------------------------------------------------------------------------

void LibraryThread::hold_on(std::shared_ptr<Hold> hold) {
  LibraryUser& user = *user_;
  base::Random& random = user.random;
  doing_ = "holds " + hold->lock;
  write(*hold);
  const bool long_time = !user.draining && chance_of(random, user.options.hold_on);
  const Duration time = long_time ? Duration::from_ms(user.options.ttl_ms) : user.think();
  const auto rest = [this] { sleep(user_->think(), [this] { work(); }); };
  const auto give_back = [this, hold, rest] {
    release(hold, [this, hold, rest] {
      if (user_->draining || !chance_of(user_->random, user_->options.read)) {
        return rest();
      }
      describe_lock(hold->lock, rest);
    });
  };
  if (user.draining || user.sessions.empty() || !chance_of(random, user.options.second)) {
    return sleep(time, give_back);
  }
  // A second one, with a time limit: two threads may wait for each other.
  auto second = std::make_shared<std::shared_ptr<Hold>>();
  *second = acquire(true, [this, second, give_back] {
    if (!(*second)->token) return give_back();
    sleep(user_->think(), [this, second, give_back] { release(*second, give_back); });
  });
}

// What the lock is for. It asks no clock before it writes, and what it wrote may come late: the
// token is to keep that harmless.
void LibraryThread::write(const Hold& hold) {
  LibraryUser& user = *user_;
  const int64_t latest_ms = user.random.chance(0.1) ? 2 * user.options.ttl_ms : 5;
  user.world.after(static_cast<int64_t>(user.random.below(static_cast<uint64_t>(latest_ms * kMs))),
                   [&fence = user.fence, lock = hold.lock, mode = hold.mode, token = hold.token] {
                     fence.on_write(lock, mode, token);
                   });
}

void LibraryThread::release(std::shared_ptr<Hold> hold, Then then) {
  LibraryUser& user = *user_;
  doing_ = "releases " + hold->lock;
  user.beliefs.end_belief(user.client, hold->lock, hold->token);
  ++user.operations;
  trace(*hold, "releases");
  // With its session closed it is released; the handle doesn't ask the cell any more.
  if (hold->session->closed) return sleep({}, then);
  // Nobody waits for it when a Grant goes out of scope.
  const bool waits = !chance_of(user.random, user.options.let_go);
  client::Ref ref = 0;
  if (waits) {
    ref = user.process->expect(
        [this, self = shared_from_this(), hold, then](client::Outcome&& outcome) {
          on_released(*hold, outcome);
          if (!user_->world.failed()) sleep({}, then);
        },
        Duration::from_ms(user.options.request_timeout_ms));
  }
  user.process->with_core([&](client::Core& core, base::Instant now, client::Effects& fx) {
    core.release(ref, {hold->session->id, {}}, hold->lock, hold->token, now, fx);
  });
  if (!waits) sleep({}, then);
}

void LibraryThread::on_released(const Hold& hold, const client::Outcome& outcome) {
  LibraryUser& user = *user_;
  trace(hold, text_of(outcome));
  if (std::holds_alternative<client::Done>(outcome)) return user.holds.on_released(hold.acquire);
  const auto& failure = std::get<client::Failure>(outcome);
  if (failure.code == Code::unavailable) return;  // the library goes on
  const bool may_be_lost =
      !hold.session->alive(user.process->now()) || !user.beliefs.trusts(user.client);
  if (failure.code == Code::lock_lost && may_be_lost) return;
  if (failure.code == Code::cancelled && user.shutting_down) return;
  user.world.fail("the release of acquire " + std::to_string(hold.acquire) + " of " +
                  user.process->name() + " failed: " + failure.message);
}

void LibraryThread::describe_lock(const std::string& lock, Then then) {
  if (user_->shutting_down) return then();
  doing_ = "describes " + lock;
  const client::Ref ref = user_->process->expect(
      [this, self = shared_from_this(), then](client::Outcome&&) {
        if (!user_->world.failed()) sleep({}, then);
      },
      Duration::from_ms(user_->options.request_timeout_ms));
  user_->process->with_core([&](client::Core& core, base::Instant now, client::Effects& fx) {
    core.read(ref, client::DescribeRequest{lock}, now, fx);
  });
}

}  // namespace holdfast::sim
