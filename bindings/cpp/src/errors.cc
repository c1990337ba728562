// Error codes and modes by name, errors, deadlines, the version.
#include <holdfast/holdfast.h>
#include <time.h>

#include <algorithm>

#include "bindings/cpp/src/cell_state.h"
#include "lockcore/locks/modes.h"

namespace holdfast {

std::string_view code_name(Code code) {
  switch (code) {
    case Code::internal: return "internal";
    case Code::invalid_argument: return "invalidArgument";
    case Code::lease_not_found: return "leaseNotFound";
    case Code::not_held: return "notHeld";
    case Code::would_block: return "wouldBlock";
    case Code::timeout: return "timeout";
    case Code::cancelled: return "cancelled";
    case Code::deadlock: return "deadlock";
    case Code::lock_delay: return "lockDelay";
    case Code::conflict: return "conflict";
    case Code::compacted: return "compacted";
    case Code::not_leader: return "notLeader";
    case Code::unavailable: return "unavailable";
    case Code::resource_exhausted: return "resourceExhausted";
    case Code::permission_denied: return "permissionDenied";
    case Code::unauthenticated: return "unauthenticated";
    case Code::unsupported: return "unsupported";
    // On the wire there is one word for a lease or lock that isn't there any more.
    case Code::lease_lost: return "leaseNotFound";
    case Code::lock_lost: return "notHeld";
    case Code::already_held: return "alreadyHeld";
    case Code::fenced: return "fenced";
    case Code::forked: return "forked";
  }
  return "internal";
}

std::string_view mode_name(Mode mode) {
  return base::mode_name(detail::to_core(mode));
}

bool go_together(Mode one, Mode other) {
  return (locks::conflicts_of(detail::to_core(one)) & locks::set_of(detail::to_core(other))) == 0;
}

std::optional<Mode> mode_named(std::string_view name) {
  if (name == "protected-read") return Mode::shared;
  for (const Mode mode : {Mode::null, Mode::concurrent_read, Mode::concurrent_write, Mode::shared,
                          Mode::protected_write, Mode::exclusive}) {
    if (mode_name(mode) == name) return mode;
  }
  return std::nullopt;
}

Error::Error(Code code, const std::string& message,
             std::vector<std::pair<std::string, std::string>> detail)
    : std::runtime_error(message), code_(code), detail_(std::move(detail)) {}

namespace {

int64_t clock_ns(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

Deadline Deadline::now() {
  return {nanoseconds(clock_ns(CLOCK_BOOTTIME))};
}

nanoseconds Deadline::remaining() const {
  return std::max(boottime - now().boottime, nanoseconds(0));
}

int64_t Deadline::unix_ms() const {
  int64_t ahead = boottime.count() - clock_ns(CLOCK_BOOTTIME);
  return (clock_ns(CLOCK_REALTIME) + ahead) / 1'000'000;
}

std::string_view version() {
  return HOLDFAST_VERSION;
}

namespace detail {

Error to_error(const Failure& failure) {
  return Error(failure.code, failure.message, failure.detail);
}

Engine::Done report(Finished done) {
  return [done = std::move(done)](Outcome&& outcome) {
    if (!done) return;
    auto* failure = std::get_if<Failure>(&outcome);
    if (failure == nullptr) return done(nullptr);
    Error error = to_error(*failure);
    done(&error);
  };
}

}  // namespace detail
}  // namespace holdfast
