// Wait, and acquiring several locks together, which is of no one lock object's queue.
#include <holdfast/holdfast.h>

#include <algorithm>

#include "bindings/cpp/src/cell_state.h"

namespace holdfast {
namespace detail {

using base::Duration;
using base::Instant;

void check_timeout(const std::optional<nanoseconds>& timeout) {
  if (timeout && timeout->count() < 0) {
    throw Error(Code::invalid_argument, "a timeout can't be negative");
  }
}

std::shared_ptr<Wait> make_wait(std::shared_ptr<SessionState> session,
                                std::optional<nanoseconds> timeout, Agent agent) {
  auto wait = std::make_shared<Wait>();
  wait->session = std::move(session);
  wait->agent = {agent.id};
  wait->tries = timeout && timeout->count() == 0;
  if (timeout && !wait->tries) {
    Instant now = rpc::boottime_now();
    bool ends = timeout->count() < base::kNever.ns - now.ns;
    if (ends) wait->until = now + Duration{timeout->count()};
  }
  return wait;
}

std::optional<Duration> Wait::left() const {
  if (tries) return Duration{};
  if (until == base::kNever) return std::nullopt;
  // Never 0, which would be a try without a place in the queue.
  return std::max(until - rpc::boottime_now(), Duration{1});
}

void Wait::cancel() {
  if (acquire == 0) return;
  session->cell->engine->with_core(
      [&](Core& core, Instant now, Effects& fx) { core.cancel(acquire, now, fx); });
}

locks::LockRequest to_request(std::string_view name, const LockOptions& options) {
  locks::LockRequest request{std::string(name), to_core(options.mode), options.permits,
                             options.capacity};
  if (options.capacity != 0) request.kind = base::LockKind::kSemaphore;
  if (options.election) request.kind = base::LockKind::kElection;
  return request;
}

namespace {

std::vector<std::shared_ptr<GrantState>> grants_of(const std::shared_ptr<SessionState>& session,
                                                   const std::vector<LockWish>& wishes,
                                                   base::AgentId agent,
                                                   const client::Granted& granted) {
  std::vector<std::shared_ptr<GrantState>> grants;
  for (size_t i = 0; i < wishes.size(); ++i) {
    auto lock = std::make_shared<LockState>(session, wishes[i].name, wishes[i].options);
    auto grant = std::make_shared<GrantState>(lock, granted.tokens.at(i).value);
    lock->good = lock->holder = grant->id;
    lock->holder_agent = agent;
    grants.push_back(std::move(grant));
  }
  return grants;
}

}  // namespace
}  // namespace detail

PendingAcquire Session::acquire_all_async(std::vector<LockWish> wishes,
                                          std::optional<nanoseconds> timeout, AllDone done,
                                          Agent agent) {
  detail::check_timeout(timeout);
  auto wait = detail::make_wait(state_, timeout, agent);
  client::AcquireCall call;
  call.under = state_->name();
  call.agent = wait->agent;
  for (const LockWish& wish : wishes) {
    call.locks.push_back(detail::to_request(wish.name, wish.options));
    if (call.reason.empty()) call.reason = wish.options.reason;
    if (call.value.empty()) call.value = wish.options.value;
  }
  auto finish = [session = state_, wait, wishes = std::move(wishes),
                 done = std::move(done)](client::Outcome&& outcome) {
    wait->acquire = 0;
    if (const auto* granted = std::get_if<client::Granted>(&outcome)) {
      std::vector<Grant> grants;
      for (auto& state : detail::grants_of(session, wishes, wait->agent, *granted)) {
        grants.push_back(Grant(std::move(state)));
      }
      done(std::move(grants), nullptr);
    } else if (const auto* failure = std::get_if<client::Failure>(&outcome)) {
      Error error = detail::to_error(*failure);
      done(std::nullopt, &error);
    } else {
      done(std::nullopt, nullptr);
    }
  };
  state_->cell->start(
      [call = std::move(call), wait](client::Core& core, client::Ref ref, base::Instant now,
                                     client::Effects& fx) mutable {
        call.timeout = wait->left();
        wait->acquire = core.acquire(ref, std::move(call), now, fx);
      },
      std::move(finish));
  return PendingAcquire(std::move(wait));
}

std::optional<std::vector<Grant>> Session::acquire_all(std::vector<LockWish> wishes,
                                                       std::optional<nanoseconds> timeout) {
  state_->cell->check_fork();
  state_->cell->check_may_wait();
  std::promise<std::optional<std::vector<Grant>>> promise;
  auto future = promise.get_future();
  acquire_all_async(
      std::move(wishes), timeout,
      [&promise](std::optional<std::vector<Grant>> grants, const Error* error) {
        if (error != nullptr) {
          promise.set_exception(std::make_exception_ptr(*error));
        } else {
          promise.set_value(std::move(grants));
        }
      },
      Agent::this_thread());
  return future.get();
}

}  // namespace holdfast
