#include "bindings/cli/acquisition.h"

#include <mutex>

namespace holdfast::cli {

struct Acquisition::State {
  mutable std::mutex mutex;
  Bell bell;
  std::optional<Session> session;
  std::vector<Grant> grants;
  bool answered = false;
  std::optional<Error> error;  // of opening or acquiring
  std::optional<Error> lost;
  Deadline deadline;  // only ever grows
  bool in_jeopardy = false;
  bool abandoned = false;  // nobody wants the session any more

  void settle(std::vector<Grant> granted, const Error* failure) {
    const std::scoped_lock guard(mutex);
    answered = true;
    if (abandoned) return;
    grants = std::move(granted);
    if (!grants.empty()) deadline = std::max(deadline, grants.front().deadline());
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
    in_jeopardy = false;
    bell.ring();
  }
  void note_jeopardy() {
    const std::scoped_lock guard(mutex);
    in_jeopardy = true;
    bell.ring();
  }
};

Acquisition::Acquisition(const Cell& cell, const AcquireOptions& options)
    : cell_(cell), state_(std::make_shared<State>()) {
  const auto state = state_;
  SessionOptions session_options;
  session_options.ttl = options.lease_ttl();
  session_options.reason = options.reason;
  session_options.on_renewed = [state](Deadline renewed) { state->note_renewal(renewed); };
  session_options.on_jeopardy = [state](std::chrono::nanoseconds) { state->note_jeopardy(); };
  session_options.on_lost = [state](const Error& why) { state->note_loss(why); };
  cell_.open_session_async(
      std::move(session_options), [state, wishes = options.wishes(), timeout = options.timeout()](
                                      std::optional<Session> session, const Error* error) {
        if (!session) return state->settle({}, error);
        {
          const std::scoped_lock guard(state->mutex);
          if (state->abandoned) return;
          state->session = session;
        }
        session->acquire_all_async(
            wishes, timeout,
            [state](std::optional<std::vector<Grant>> grants, const Error* failure) {
              if (!grants) return state->settle({}, failure);
              for (Grant& grant : *grants) {
                grant.on_lost([state](const Error& why) { state->note_loss(why); });
              }
              state->settle(std::move(*grants), failure);
            });
      });
}

// The session's callbacks hold the state, and the state holds the session: one of them has to let
// go. And a callback that hasn't quite returned may be the last to hold it: this waits for the end
// of the cell's thread, or the process could be gone before the lease is closed.
Acquisition::~Acquisition() {
  {
    std::optional<Session> session;
    std::vector<Grant> grants;
    const std::scoped_lock guard(state_->mutex);
    state_->abandoned = true;
    session.swap(state_->session);
    grants.swap(state_->grants);
  }
  cell_.close();
}

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
  return !state_->grants.empty();
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

bool Acquisition::in_jeopardy() const {
  const std::scoped_lock guard(state_->mutex);
  return state_->in_jeopardy;
}

Deadline Acquisition::deadline() const {
  const std::scoped_lock guard(state_->mutex);
  return state_->deadline;
}

std::vector<uint64_t> Acquisition::tokens() const {
  const std::scoped_lock guard(state_->mutex);
  std::vector<uint64_t> tokens;
  for (const Grant& grant : state_->grants) tokens.push_back(grant.token());
  return tokens;
}

std::string Acquisition::lease() const {
  const std::scoped_lock guard(state_->mutex);
  return state_->session->lease();
}

void Acquisition::release() {
  // Not under the mutex: release() waits for the cell's thread, which may be about to leave word.
  std::vector<Grant> grants;
  {
    const std::scoped_lock guard(state_->mutex);
    grants.swap(state_->grants);
  }
  for (Grant& grant : grants) grant.release();
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
