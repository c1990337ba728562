// What a user's thread does with the library: acquires locks in all ways that there are, holds
// them, asks whether it still does, and releases them; and what it may believe meanwhile.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "tests/sim/checkers/belief_checker.h"
#include "tests/sim/checkers/fence_checker.h"
#include "tests/sim/checkers/hold_checker.h"
#include "tests/sim/checkers/read_checker.h"
#include "tests/sim/library_process.h"

namespace holdfast::sim {

// What a user's Session object knows (SessionState in bindings/cpp/src).
struct UserSession {
  client::SessionId id = 0;
  base::LeaseId lease;
  base::Duration ttl;
  base::Instant deadline;
  bool over = false;    // lost, closed or detached
  bool closed = false;  // on purpose
  bool alive(base::Instant now) const { return !over && now < deadline; }
};

// What all threads of a process share.
struct LibraryUser {
  World& world;
  BeliefChecker& beliefs;
  HoldChecker& holds;
  ReadChecker& reads;
  FenceChecker& fence;
  const Options& options;
  const uint32_t client;
  std::shared_ptr<LibraryProcess> process;
  base::Random random;
  std::vector<std::shared_ptr<UserSession>> sessions;  // open
  bool draining = false;
  bool shutting_down = false;
  uint64_t operations = 0;
  uint64_t grants = 0;

  base::Duration think();
  // 2.4: past its deadline a session is lost, and whoever has it was told so, at once.
  void check_told(const UserSession& session) const;
};

class LibraryThread : public std::enable_shared_from_this<LibraryThread> {
 public:
  LibraryThread(std::shared_ptr<LibraryUser> user, base::AgentId agent)
      : user_(std::move(user)), agent_(agent) {}
  void work();
  bool idle() const { return idle_; }
  std::string describe() const;

 private:
  // One acquire and what came of it: as a Lock and its Grant.
  struct Hold {
    std::shared_ptr<UserSession> session;
    std::string lock;
    base::Mode mode = base::Mode::kExclusive;
    HoldChecker::Acquire acquire = 0;
    client::Core::AcquireId at_core = 0;
    bool over = false;       // granted or not
    bool cancelled = false;  // by its caller
    base::Token token;       // 0: not granted
  };
  using Then = std::function<void()>;

  void trace(const Hold& hold, const std::string& what) const;
  void sleep(base::Duration time, Then then);
  std::optional<base::Duration> draw_timeout(bool bounded);
  std::shared_ptr<Hold> acquire(bool bounded, Then then);
  void on_acquired(Hold& hold, client::Outcome&& outcome);
  void on_failed(Hold& hold, const client::Failure& failure);
  void cancel_later(std::shared_ptr<Hold> hold);
  void hold_on(std::shared_ptr<Hold> hold);
  void write(const Hold& hold);
  void release(std::shared_ptr<Hold> hold, Then then);
  void on_released(const Hold& hold, const client::Outcome& outcome);
  void describe_lock(const std::string& lock, Then then);

  const std::shared_ptr<LibraryUser> user_;
  const base::AgentId agent_;
  bool idle_ = false;
  std::string doing_;
};

}  // namespace holdfast::sim
