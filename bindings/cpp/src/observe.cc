// Elections seen from outside: who leads, and who comes next.
#include <holdfast/holdfast.h>

#include "bindings/cpp/src/watch.h"

namespace holdfast {
namespace detail {

namespace {

bool ends_a_hold(const Event& event) {
  return event.type == "release" || event.type == "expire" || event.type == "force";
}

std::optional<Leader> leader_of(const LockInfo& lock) {
  if (lock.holders.empty()) return std::nullopt;
  const Holder& holder = lock.holders.front();
  return Leader{lock.value, holder.token, holder.owner};
}

}  // namespace

// One thread at a time looks for the next change.
struct ObserverState {
  explicit ObserverState(std::shared_ptr<WatchState> of_name) : watch(std::move(of_name)) {}

  std::optional<Observer::Term> next(std::optional<nanoseconds> timeout);
  // What this changes about who leads; nullopt: nothing.
  std::optional<Observer::Term> change(const Event& event);

  const std::shared_ptr<WatchState> watch;
  std::mutex mutex;
  std::optional<Leader> leader;
  uint64_t as_of = 0;  // `leader` was read at this revision
  bool told = false;   // who led at the beginning
};

std::optional<Observer::Term> ObserverState::change(const Event& event) {
  if (event.type == "grant") {
    leader = Leader{event.value, event.token, event.owner};
  } else if (event.type == "value" && leader && event.token == leader->token) {
    leader->value = event.value;
  } else if (ends_a_hold(event) && leader && event.token == leader->token) {
    leader.reset();
    // The next one was waiting: there was no vacancy.
    if (watch->comes_next(event.revision + 1, "grant")) return std::nullopt;
  } else {
    return std::nullopt;
  }
  return Observer::Term{leader};
}

std::optional<Observer::Term> ObserverState::next(std::optional<nanoseconds> timeout) {
  const std::lock_guard lock(mutex);
  if (!std::exchange(told, true)) return Observer::Term{leader};
  const Deadline start = Deadline::now();
  for (;;) {
    std::optional<nanoseconds> left;
    if (timeout) left = *timeout - (Deadline::now().boottime - start.boottime);
    const auto event = watch->next(left);
    if (!event) return std::nullopt;
    if (event->revision <= as_of) continue;
    if (auto term = change(*event)) return term;
  }
}

}  // namespace detail

std::optional<Leader> Cell::leader(std::string_view name) {
  return detail::leader_of(describe(name));
}

Observer Cell::observe(std::string_view name) {
  const Watch watched = watch(name, std::nullopt, true);
  auto state = std::make_shared<detail::ObserverState>(watched.state_);
  // After the watch has begun, so that nothing falls between the two.
  const LockInfo lock = describe(name);
  state->leader = detail::leader_of(lock);
  state->as_of = lock.as_of;
  return Observer(std::move(state));
}

Observer::Observer(std::shared_ptr<detail::ObserverState> state) : state_(std::move(state)) {}

std::optional<Observer::Term> Observer::next(std::optional<nanoseconds> timeout) {
  return state_->next(timeout);
}

bool Observer::closed() const {
  const std::lock_guard lock(state_->watch->mutex);
  return state_->watch->over && state_->watch->queue.empty();
}

void Observer::close() {
  state_->watch->close();
}

}  // namespace holdfast
