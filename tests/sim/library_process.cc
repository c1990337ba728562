#include "tests/sim/library_process.h"

#include <algorithm>

#include "lockcore/base/mutant.h"

namespace holdfast::sim {
namespace {

// A call may be told of a little after its time: timers are looked at late, and what was given back
// first takes its turn.
constexpr base::Duration kLate = base::Duration::from_ms(100);

client::Options core_options(const Options& options) {
  client::Options core;
  for (int64_t node = 1; node <= options.nodes; ++node) {
    core.endpoints.push_back("node" + std::to_string(node) + ":1");
  }
  core.request_timeout = base::Duration::from_ms(options.request_timeout_ms);
  return core;
}

}  // namespace

LibraryProcess::LibraryProcess(World& world, Connections& connections, const Options& options,
                               uint32_t host, const SkewedClock& clock, uint64_t seed)
    : world_(world),
      connections_(connections),
      options_(options),
      host_(host),
      clock_(clock),
      random_(base::Random(~seed).next()),
      core_(core_options(options), seed) {}

base::Instant LibraryProcess::now() const {
  const int64_t still = stopped_ ? world_.now() - stopped_at_ : 0;
  // CLOCK_MONOTONIC stands still while the machine sleeps.
  if (HF_MUTANT(clock_sleeps_along)) return clock_.read(world_.now() - stopped_ns_ - still);
  return clock_.read(world_.now());
}

void LibraryProcess::after(base::Duration sleep, std::function<void()> what) {
  world_.after(clock_.true_ns(sleep),
               [self = shared_from_this(), what = std::move(what)] { self->handle(what); });
}

void LibraryProcess::handle(std::function<void()> what) {
  if (dead_ || world_.failed()) return;
  if (stopped_) {
    backlog_.push_back(std::move(what));
  } else {
    what();
  }
}

base::Instant LibraryProcess::looked_at() const {
  const base::Instant settled = now() - kLate;
  return settled < resumed_at_ ? base::Instant{} : settled;
}

// -- what comes -----------------------------------------------------------------------------------

void LibraryProcess::on_connected(client::ConnectionId connection) {
  handle([this, connection] {
    if (!open_.contains(connection)) return;
    with_core([&](client::Core& core, base::Instant now, client::Effects& fx) {
      core.on_connected(connection, now, fx);
    });
  });
}

void LibraryProcess::on_disconnected(client::ConnectionId connection, const std::string& why) {
  handle([this, connection, why] {
    if (open_.erase(connection) == 0) return;
    with_core([&](client::Core& core, base::Instant now, client::Effects& fx) {
      core.on_disconnected(connection, why, now, fx);
    });
  });
}

void LibraryProcess::on_response(client::RequestId request, const client::Response& response) {
  handle([this, request, response] {
    with_core([&](client::Core& core, base::Instant now, client::Effects& fx) {
      core.on_response(request, response, now, fx);
    });
  });
}

void LibraryProcess::plan_timer() {
  const base::Instant next = core_.next_timer();
  if (next == base::kNever || dead_) return;
  int64_t at = world_.now() + clock_.true_ns(std::max(base::Duration{}, next - now()));
  if (timer_at_ >= 0 && timer_at_ <= at) return;
  timer_at_ = at;
  if (chance_of(random_, options_.looks_late)) {
    at += static_cast<int64_t>(random_.below(30)) * kMs;
  }
  world_.after(at - world_.now(), [self = shared_from_this(), planned = timer_at_] {
    if (self->timer_at_ != planned) return;
    if (!self->stopped_) self->handle([&] { self->on_timer(); });
  });
}

void LibraryProcess::on_timer() {
  timer_at_ = -1;
  if (core_.next_timer() > now()) return plan_timer();
  with_core(
      [](client::Core& core, base::Instant now, client::Effects& fx) { core.on_timer(now, fx); });
}

// -- what it does ---------------------------------------------------------------------------------

void LibraryProcess::carry_out() {
  client::Effects& fx = effects_;
  for (const auto& connect : fx.connects) {
    open_[connect.connection] =
        connections_.open(weak_from_this(), host_, connect.connection, connect.address);
  }
  for (const auto& send : fx.sends) {
    const auto connection = open_.find(send.connection);
    if (connection != open_.end()) connection->second->send(send.request, *send.body);
  }
  for (const auto& drop : fx.drops) {
    const auto connection = open_.find(drop.connection);
    if (connection != open_.end()) connection->second->drop(drop.request);
  }
  for (const client::ConnectionId close : fx.closes) {
    const auto connection = open_.find(close);
    if (connection == open_.end()) continue;
    connection->second->close();
    open_.erase(connection);
  }
  for (auto& event : fx.session_events) deliveries_.emplace_back(std::move(event));
  for (auto& completion : fx.completions) deliveries_.emplace_back(std::move(completion));
  shut_down_ |= fx.shut_down;
  plan_timer();
  deliver();
}

// Callbacks may call the core again, which appends: one loop, never one inside the other.
void LibraryProcess::deliver() {
  if (delivering_) return;
  delivering_ = true;
  for (size_t i = 0; i < deliveries_.size() && !dead_ && !world_.failed(); ++i) {
    auto delivery = std::move(deliveries_[i]);
    if (auto* completion = std::get_if<client::Completion>(&delivery)) {
      complete(*completion);
    } else {
      const auto& event = std::get<client::SessionEvent>(delivery);
      const auto watcher = sessions_.find(event.session);
      if (watcher != sessions_.end()) OnSession(watcher->second)(event);
    }
  }
  deliveries_.clear();
  delivering_ = false;
}

client::Ref LibraryProcess::expect(Done done, base::Duration within) {
  calls_.emplace(++last_ref_, Call{std::move(done), within, now(), stopped_ns_});
  return last_ref_;
}

void LibraryProcess::watch(client::SessionId session, OnSession on_event) {
  sessions_[session] = std::move(on_event);
}

void LibraryProcess::complete(client::Completion& completion) {
  const auto found = calls_.find(completion.ref);
  if (found == calls_.end()) return world_.fail("a call of " + name() + " was completed twice");
  const Call call = std::move(found->second);
  calls_.erase(found);
  const base::Duration took = now() - call.since;
  const bool timed = call.within.ns != base::kNever.ns && call.stopped_before == stopped_ns_;
  if (timed && !wild_clock_ && took > call.within + kLate) {
    return world_.fail("a call of " + name() + " took " + std::to_string(took.ms_floor()) +
                       " ms, " + std::to_string(call.within.ms_floor()) + " were allowed");
  }
  call.done(std::move(completion.outcome));
}

// -- what befalls it ------------------------------------------------------------------------------

void LibraryProcess::stop() {
  if (stopped_ || dead_) return;
  stopped_ = true;
  stopped_at_ = world_.now();
}

// Whether timers or sockets are looked at first is chance.
void LibraryProcess::go_on() {
  if (!stopped_ || dead_) return;
  const auto self = shared_from_this();  // what came may be the last that refers to it
  stopped_ = false;
  stopped_ns_ += world_.now() - stopped_at_;
  resumed_at_ = now();
  timer_at_ = -1;
  if (random_.chance(0.5)) on_timer();
  for (auto& what : std::exchange(backlog_, {})) handle(std::move(what));
  if (!dead_ && !stopped_) on_timer();
}

// What was planned by the old rate may be far off.
void LibraryProcess::on_clock_changed(bool beyond) {
  wild_clock_ |= beyond;
  timer_at_ = -1;
  plan_timer();
}

void LibraryProcess::die(bool vanish) {
  if (dead_) return;
  world_.trace(name() + (vanish ? " vanishes" : " is killed"));
  dead_ = true;
  for (auto& [id, connection] : std::exchange(open_, {})) {
    if (vanish) {
      connection->vanish();
    } else {
      connection->close();
    }
  }
  calls_.clear();
  sessions_.clear();
  backlog_.clear();
}

}  // namespace holdfast::sim
