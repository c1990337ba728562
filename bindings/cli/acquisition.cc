#include "bindings/cli/acquisition.h"

#include <mutex>

namespace holdfast::cli {

struct Acquisition::State {
  mutable std::mutex mutex;
  Bell bell;
  std::optional<Session> session;
  std::optional<Lock> lock;
  std::optional<Grant> grant;
  bool answered = false;
  std::optional<Error> error;  // of opening or acquiring
  std::optional<Error> lost;
  Deadline deadline;  // only ever grows

  void settle(std::optional<Grant> granted, const Error* failure) {
    const std::scoped_lock guard(mutex);
    answered = true;
    grant = std::move(granted);
    if (grant) deadline = std::max(deadline, grant->deadline());
    if (failure != nullptr) error = *failure;
    bell.ring();
  }
  void note_loss(const Error& why) {
    const std::scoped_lock guard(mutex);
    if (!lost) lost = why;
    bell.ring();
  }
  void note_renewal(Deadline renewed) {
    const std::scoped_lock guard(mutex);
    deadline = std::max(deadline, renewed);
    bell.ring();
  }
};

Acquisition::Acquisition(const Cell& cell, const AcquireOptions& options)
    : state_(std::make_shared<State>()) {
  const auto state = state_;
  SessionOptions session_options;
  session_options.ttl = options.lease_ttl();
  session_options.reason = options.reason;
  session_options.on_renewed = [state](Deadline renewed) { state->note_renewal(renewed); };
  session_options.on_lost = [state](const Error& why) { state->note_loss(why); };
  Cell(cell).open_session_async(
      std::move(session_options),
      [state, name = options.lock, lock_options = options.lock_options(),
       timeout = options.timeout()](std::optional<Session> session, const Error* error) {
        if (!session) return state->settle(std::nullopt, error);
        Lock lock = session->lock(name, lock_options);
        {
          const std::scoped_lock guard(state->mutex);
          state->session = session;
          state->lock = lock;
        }
        lock.acquire_async(timeout, [state](std::optional<Grant> grant, const Error* failure) {
          if (grant) grant->on_lost([state](const Error& why) { state->note_loss(why); });
          state->settle(std::move(grant), failure);
        });
      });
}

Acquisition::~Acquisition() = default;

int Acquisition::fd() const {
  return state_->bell.fd();
}
void Acquisition::clear_fd() {
  state_->bell.clear();
}

bool Acquisition::answered() const {
  const std::scoped_lock guard(state_->mutex);
  return state_->answered;
}

bool Acquisition::acquired() const {
  const std::scoped_lock guard(state_->mutex);
  return state_->grant.has_value();
}

void Acquisition::rethrow() const {
  const std::scoped_lock guard(state_->mutex);
  if (state_->error) throw Error(*state_->error);
  if (state_->lost) throw Error(*state_->lost);
}

std::optional<Error> Acquisition::lost() const {
  const std::scoped_lock guard(state_->mutex);
  return state_->lost;
}

Deadline Acquisition::deadline() const {
  const std::scoped_lock guard(state_->mutex);
  return state_->deadline;
}

uint64_t Acquisition::token() const {
  const std::scoped_lock guard(state_->mutex);
  return state_->grant->token();
}

std::string Acquisition::lease() const {
  const std::scoped_lock guard(state_->mutex);
  return state_->session->lease();
}

void Acquisition::release() {
  // Not under the mutex: release() waits for the cell's thread, which may be about to leave word.
  std::optional<Grant> grant;
  {
    const std::scoped_lock guard(state_->mutex);
    grant.swap(state_->grant);
  }
  if (grant) grant->release();
}

OpenedLease Acquisition::detach() {
  std::optional<Session> session;
  {
    const std::scoped_lock guard(state_->mutex);
    session = state_->session;
  }
  return session->detach();
}

}  // namespace holdfast::cli
