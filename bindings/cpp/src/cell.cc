// Cell: connecting, sessions, and leases that their owners keep alive.
#include <holdfast/holdfast.h>
#include <unistd.h>

#include <algorithm>

#include "bindings/cpp/src/cell_state.h"
#include "bindings/cpp/src/lease_time.h"
#include "lockcore/base/lease_text.h"
#include "lockcore/base/limits.h"
#include "rpc/address.h"

namespace holdfast {
namespace detail {

using base::Instant;

CellState::CellState(client::Options options, std::string own_program, milliseconds timeout)
    : engine(std::make_unique<Engine>(std::move(options), client::seed_from_system())),
      program(std::move(own_program)),
      request_timeout(timeout) {}

CellState::~CellState() {
  if (forked()) {
    // The thread is the parent's; its locks may be held for ever.
    (void)engine.release();
    return;
  }
  closed = true;
  Engine::retire(std::move(engine));
}

Failure CellState::closed_failure() {
  return {Code::cancelled, "the connection to the cell was closed", {}};
}

void CellState::check_fork() const {
  if (forked()) {
    throw Error(Code::forked, "this object belongs to the parent process; connect anew after fork");
  }
}

void CellState::check_may_wait() const {
  if (engine->on_thread()) {
    throw Error(Code::invalid_argument,
                "a call that waits was made on the cell's own thread; use its _async form");
  }
}

base::Owner CellState::owner(const std::string& reason) const {
  base::Owner owner = client::this_process();
  owner.pid = static_cast<uint64_t>(getpid());
  if (!program.empty()) owner.program = program;
  owner.reason = reason;
  return owner;
}

std::string CellState::who() const {
  const base::Owner me = owner({});
  return me.user + "@" + me.host + ", " + me.program + ", pid " + std::to_string(me.pid);
}

void CellState::remember(base::LeaseId lease, BareLease facts) {
  std::lock_guard lock(bare_mutex);
  bare_leases[lease] = facts;
  if (bare_leases.size() < prune_at) return;
  Instant now = rpc::boottime_now();
  std::erase_if(bare_leases, [&](const auto& entry) { return entry.second.deadline < now; });
  prune_at = std::max<size_t>(1024, 2 * bare_leases.size());
}

std::optional<CellState::BareLease> CellState::recall(base::LeaseId lease) {
  std::lock_guard lock(bare_mutex);
  auto found = bare_leases.find(lease);
  if (found == bare_leases.end()) return std::nullopt;
  return found->second;
}

base::LeaseId lease_named(std::string_view text) {
  if (std::optional<base::LeaseId> id = base::parse_lease(text)) return *id;
  throw Error(Code::invalid_argument, "'" + std::string(text) + "' is not the id of a lease");
}

}  // namespace detail

namespace {

using base::Duration;
using base::Instant;
using client::Core;
using client::Effects;
using client::Ref;

Deadline to_deadline(Instant instant) {
  return {nanoseconds(instant.ns)};
}

client::Options core_options(const CellOptions& options) {
  client::Options to;
  to.endpoints = options.endpoints.empty() ? client::default_endpoints() : options.endpoints;
  for (const std::string& endpoint : to.endpoints) {
    std::string why;
    const auto address = rpc::parse_address(endpoint, why);
    if (address && address->kind == rpc::Address::Kind::kTcp && address->port == 0) {
      why = "nobody can be reached at port 0";
    }
    if (!why.empty()) throw Error(Code::invalid_argument, "endpoint '" + endpoint + "': " + why);
  }
  if (options.request_timeout.count() <= 0) {
    throw Error(Code::invalid_argument, "the request timeout must be above 0");
  }
  constexpr int64_t kLongest = 365ll * 24 * 3600 * 1000;  // clear of the end of time
  to.request_timeout = Duration::from_ms(std::min(options.request_timeout.count(), kLongest));
  return to;
}

}  // namespace

Cell::Cell(std::shared_ptr<detail::CellState> state) : state_(std::move(state)) {}

Cell Cell::connect(CellOptions options) {
  return Cell(std::make_shared<detail::CellState>(core_options(options), options.program,
                                                  options.request_timeout));
}

void Cell::close() {
  state_->check_fork();
  state_->closed = true;
  state_->engine->stop();
}

// -- sessions -------------------------------------------------------------------------------------

namespace {

auto adopting(client::AdoptCall call) {
  return [call = std::move(call)](Core& core, Ref ref, Instant now, Effects& fx) mutable {
    core.adopt(ref, std::move(call), now, fx);
  };
}

client::AdoptCall adoption(const SessionOptions& options, base::Owner owner) {
  if (options.lease.empty() || options.secret.empty()) {
    throw Error(Code::invalid_argument, "to adopt a lease takes both its id and its secret");
  }
  auto secret = base::parse_hex(options.secret);
  if (!secret || secret->size() != base::kSecretBytes) {
    throw Error(
        Code::invalid_argument,
        "a lease's secret is " + std::to_string(2 * base::kSecretBytes) + " hexadecimal digits");
  }
  return {detail::lease_named(options.lease), std::move(*secret), std::move(owner)};
}

auto opening(client::OpenCall call) {
  return [call = std::move(call)](Core& core, Ref ref, Instant now, Effects& fx) mutable {
    core.open(ref, std::move(call), now, fx);
  };
}

// A ttl of zero or below is out of range; for the cell zero means its default.
uint64_t ttl_ms(milliseconds ttl) {
  return ttl.count() > 0 ? static_cast<uint64_t>(ttl.count()) : 1;
}

}  // namespace

void Cell::open_session_async(SessionOptions options, Callback<Session> done) {
  if (options.lock_delay.count() < 0) {
    throw Error(Code::invalid_argument, "a lock-delay can't be negative");
  }
  auto got_it = [cell = state_, options, done = std::move(done)](client::Outcome&& outcome) {
    if (auto* failure = std::get_if<client::Failure>(&outcome)) {
      Error error = detail::to_error(*failure);
      return done(std::nullopt, &error);
    }
    const auto& opened = std::get<client::Opened>(outcome);
    auto state = std::make_shared<detail::SessionState>(cell, options, opened);
    cell->engine->watch_session(opened.session,
                                [weak = std::weak_ptr(state)](const client::SessionEvent& event) {
                                  if (auto session = weak.lock()) session->on_event(event);
                                });
    done(Session(std::move(state)), nullptr);
  };
  if (!options.lease.empty() || !options.secret.empty()) {
    return state_->start(adopting(adoption(options, state_->owner(options.reason))),
                         std::move(got_it));
  }
  client::OpenCall call{ttl_ms(options.ttl), state_->owner(options.reason)};
  call.lock_delay_ms = static_cast<uint64_t>(options.lock_delay.count());
  call.drop_on_disconnect = options.drop_on_disconnect;
  state_->start(opening(std::move(call)), std::move(got_it));
}

Session Cell::open_session(SessionOptions options) {
  return detail::wait_for_value<Session>(*state_, [&](Callback<Session> done) {
    open_session_async(std::move(options), std::move(done));
  });
}

void Cell::renew_async(Finished done) {
  state_->start(
      [](Core& core, Ref ref, Instant now, Effects& fx) { core.renew_sessions(ref, now, fx); },
      detail::report(std::move(done)));
}

// -- leases that their owners keep alive ----------------------------------------------------------

OpenedLease Cell::open_lease(milliseconds ttl, std::string reason) {
  auto opened = state_->wait_for<client::Opened>(
      opening({ttl_ms(ttl), state_->owner(reason), /*keep=*/false}));
  state_->remember(opened.lease, {opened.ttl_ms, opened.deadline});
  return {base::lease_text(opened.lease), base::hex_text(opened.secret),
          milliseconds(opened.ttl_ms), to_deadline(opened.deadline)};
}

Deadline Cell::renew_lease(std::string_view id) {
  client::LeaseName name{0, detail::lease_named(id)};
  state_->check_fork();  // before its mutex is used, which the parent may have held
  auto known = state_->recall(name.lease);
  uint64_t ttl_ms = known ? known->ttl_ms : static_cast<uint64_t>(lease(id).ttl.count());
  auto renewed = state_->wait_for<client::Renewed>(
      [name](Core& core, Ref ref, Instant now, Effects& fx) { core.renew(ref, name, now, fx); });
  Instant deadline =
      client::local_deadline(renewed.sent, Duration::from_ms(static_cast<int64_t>(ttl_ms)));
  state_->remember(name.lease, {ttl_ms, deadline});
  return to_deadline(deadline);
}

void Cell::close_lease(std::string_view id) {
  client::LeaseName name{0, detail::lease_named(id)};
  state_->wait_for<client::Done>(
      [name](Core& core, Ref ref, Instant now, Effects& fx) { core.close(ref, name, now, fx); });
  std::lock_guard lock(state_->bare_mutex);
  state_->bare_leases.erase(name.lease);
}

std::optional<Cell::RawGrant> Cell::acquire(std::string_view lease, std::string_view lock,
                                            LockOptions options,
                                            std::optional<milliseconds> timeout) {
  if (timeout && timeout->count() < 0) {
    throw Error(Code::invalid_argument, "a timeout can't be negative");
  }
  client::AcquireCall call;
  call.under.lease = detail::lease_named(lease);
  call.agent = {client::this_agent()};
  call.locks = {detail::to_request(lock, options)};
  call.reason = options.reason;
  call.value = options.value;
  if (timeout && *timeout < std::chrono::hours(24 * 365 * 100)) {  // else for ever
    call.timeout = Duration::from_ms(timeout->count());
  }

  state_->check_may_wait();
  std::promise<client::Outcome> promise;
  auto future = promise.get_future();
  base::LeaseId under = call.under.lease;
  state_->start(
      [call = std::move(call)](Core& core, Ref ref, Instant now, Effects& fx) mutable {
        core.acquire(ref, std::move(call), now, fx);
      },
      [&promise](client::Outcome&& outcome) { promise.set_value(std::move(outcome)); });
  client::Outcome outcome = future.get();
  if (auto* failure = std::get_if<client::Failure>(&outcome)) throw detail::to_error(*failure);
  if (std::holds_alternative<client::NotAcquired>(outcome)) return std::nullopt;
  auto known = state_->recall(under);
  return RawGrant{std::get<client::Granted>(outcome).tokens.at(0).value,
                  known ? to_deadline(known->deadline) : Deadline{}};
}

void Cell::force_release_async(std::string_view name, uint64_t token, std::string reason,
                               Finished done) {
  locks::ForceRelease body{std::string(name), {token}, std::move(reason), state_->who()};
  state_->start([body = std::move(body)](Core& core, Ref ref, Instant now,
                                         Effects& fx) { core.force(ref, body, now, fx); },
                detail::report(std::move(done)));
}

void Cell::force_release(std::string_view name, uint64_t token, std::string reason) {
  detail::wait_for_finished(*state_, [&](Finished done) {
    force_release_async(name, token, std::move(reason), std::move(done));
  });
}

void Cell::release(std::string_view lease, std::string_view lock, uint64_t token) {
  client::LeaseName name{0, detail::lease_named(lease)};
  state_->wait_for<client::Done>(
      [name, lock = std::string(lock), token](Core& core, Ref ref, Instant now, Effects& fx) {
        core.release(ref, name, lock, {token}, now, fx);
      });
}

}  // namespace holdfast
