// Session: a lease that is renewed, and who is told when it ends.
#include <holdfast/holdfast.h>

#include <utility>

#include "bindings/cpp/src/cell_state.h"
#include "lockcore/base/lease_text.h"

namespace holdfast {
namespace detail {

using base::Instant;

SessionState::SessionState(std::shared_ptr<CellState> own_cell, SessionOptions own_options,
                           const client::Opened& opened)
    : cell(std::move(own_cell)),
      options(std::move(own_options)),
      id(opened.session),
      lease(opened.lease),
      secret(opened.secret),
      ttl_ms(opened.ttl_ms),
      deadline_ns(opened.deadline.ns) {}

SessionState::~SessionState() {
  if (cell->forked() || over) return;
  cell->engine->run([engine = cell->engine.get(), name = name()] {
    engine->unwatch_session(name.session);
    engine->with_core([&](Core& core, Instant now, Effects& fx) { core.close(0, name, now, fx); });
  });
}

bool SessionState::alive() const {
  return !over && !cell->closed && !cell->forked() && rpc::boottime_now().ns < deadline_ns;
}

void SessionState::on_event(const client::SessionEvent& event) {
  if (std::holds_alternative<client::Closed>(event.what)) {
    end_on_purpose();
  } else if (const auto* moved = std::get_if<client::DeadlineMoved>(&event.what)) {
    deadline_ns = moved->deadline.ns;
    if (options.on_renewed) options.on_renewed({nanoseconds(moved->deadline.ns)});
  } else if (const auto* jeopardy = std::get_if<client::Jeopardy>(&event.what)) {
    if (options.on_jeopardy) options.on_jeopardy(nanoseconds(jeopardy->left.ns));
  } else {
    lose(std::get<client::Lost>(event.what).why);
  }
}

void SessionState::end_on_purpose() {
  over = true;
  closed = true;
  cell->engine->unwatch_session(id);
  watchers.clear();
  end_queues(Error(Code::lease_lost, "the session was closed"));
}

void SessionState::lose(const Failure& why) {
  over = true;
  cell->engine->unwatch_session(id);
  auto told = std::exchange(watchers, {});
  Error error = to_error(why);
  if (options.on_lost) options.on_lost(error);
  for (auto& [token, callback] : told) callback(error);
  end_queues(error);
}

void SessionState::end_queues(const Error& why) {
  while (!queues.empty()) (*queues.begin())->shared_from_this()->end_queue(why);
}

}  // namespace detail

using base::Instant;
using client::Core;
using client::Effects;
using client::Ref;

Session::Session(std::shared_ptr<detail::SessionState> state) : state_(std::move(state)) {}

Lock Session::lock(std::string_view name, LockOptions options) {
  state_->cell->check_fork();
  return Lock(std::make_shared<detail::LockState>(state_, std::string(name), std::move(options)));
}

Lock Session::shared_lock(std::string_view name, std::string reason) {
  return lock(name, {Mode::shared, std::move(reason)});
}

Lock Session::semaphore(std::string_view name, uint32_t capacity, uint32_t permits,
                        std::string reason) {
  if (capacity == 0) throw Error(Code::invalid_argument, "a semaphore's capacity is at least 1");
  return lock(name, {.reason = std::move(reason), .capacity = capacity, .permits = permits});
}

Lock Session::election(std::string_view name, std::string value, std::string reason) {
  return lock(name, {.reason = std::move(reason), .election = true, .value = std::move(value)});
}

std::string Session::lease() const {
  return base::lease_text(state_->lease);
}
std::string Session::secret() const {
  return base::hex_text(state_->secret);
}
milliseconds Session::ttl() const {
  return milliseconds(state_->ttl_ms);
}
bool Session::alive() const {
  return state_->alive();
}
Deadline Session::deadline() const {
  return {nanoseconds(state_->deadline_ns.load())};
}

void Session::renew_async(Finished done) {
  state_->cell->start([name = state_->name()](Core& core, Ref ref, Instant now,
                                              Effects& fx) { core.renew(ref, name, now, fx); },
                      detail::report(std::move(done)));
}

void Session::renew() {
  detail::wait_for_finished(*state_->cell, [&](Finished done) { renew_async(std::move(done)); });
}

void Session::close_async(Finished done) {
  state_->cell->check_fork();
  if (state_->over.exchange(true)) {
    if (done) done(nullptr);
    return;
  }
  state_->closed = true;
  state_->cell->start([name = state_->name()](Core& core, Ref ref, Instant now,
                                              Effects& fx) { core.close(ref, name, now, fx); },
                      detail::report([done = std::move(done)](const Error* error) {
                        // With the cell, its sessions are closed.
                        if (error != nullptr && error->code() == Code::cancelled) error = nullptr;
                        if (done) done(error);
                      }));
}

void Session::close() {
  detail::wait_for_finished(*state_->cell, [&](Finished done) { close_async(std::move(done)); });
}

OpenedLease Session::detach() {
  state_->cell->check_fork();
  if (state_->over.exchange(true)) throw Error(Code::lease_lost, "the session is over");
  state_->closed = true;
  std::promise<void> done;
  auto detaching = [&] {
    state_->cell->engine->with_core(
        [&](Core& core, Instant now, Effects& fx) { core.detach(state_->id, now, fx); });
    done.set_value();
  };
  if (state_->cell->run(detaching)) done.get_future().wait();
  return {lease(), secret(), ttl(), deadline()};
}

}  // namespace holdfast
