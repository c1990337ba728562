// Runs CMD under a lock that is held: passes signals on, shares the terminal, and sees to it that
// no process of CMD's group outlives the lease.
//
// The group has to be gone before the lock can be another's:
//  - CMD ended: what is left of its group (background children) gets TERM and, after the grace,
//  KILL;
//    only then does the caller release the lock;
//  - the lease is lost, or its local deadline is near: the same, with KILL before that deadline;
//  - lockctl itself is stopped or killed: the guard does it (guard.h).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bindings/cli/acquisition.h"
#include "bindings/cli/child.h"
#include "bindings/cli/guard.h"
#include "bindings/cli/jeopardy_hook.h"
#include "bindings/cli/process_group.h"
#include "bindings/cli/signals.h"
#include "bindings/cli/terminal.h"
#include "bindings/cli/verb.h"

namespace holdfast::cli {

struct Graces {
  int64_t grace_ns = 0;   // between TERM and KILL
  int64_t margin_ns = 0;  // between KILL and the lease's deadline: KILL takes a moment

  // When the group has to get what, for a lease of that deadline.
  EndTimes times(Deadline deadline) const;
};

class Supervisor {
 public:
  Supervisor(Context& context, Signals& signals, Acquisition& acquisition, Graces graces,
             std::unique_ptr<Guard> guard, JeopardyHook hook);

  // Returns CMD's exit status, or why there is none (126, 127, 76). The group is gone then.
  int run(const std::vector<std::string>& command,
          const std::vector<std::pair<std::string, std::string>>& environment);
  // CMD was ended because lock or guard were lost: the exit code that says so.
  std::optional<int> ended_early() const { return ended_early_; }

 private:
  // Returns false if CMD can't be run.
  bool start(const std::vector<std::string>& command,
             const std::vector<std::pair<std::string, std::string>>& environment);
  bool finished();
  void wait();
  void step();

  void take_signals();
  void reap();
  void on_stopped(int signal_number);
  void resume();

  void watch_guard();
  void replace_guard();
  EndTimes guard_times() const;
  void watch_lease(int64_t now);
  void end_early(int exit, const std::string& code, const std::string& why, int64_t now);
  void begin_ending(int64_t now);

  Context& context_;
  Signals& signals_;
  Acquisition& acquisition_;
  const Graces graces_;
  JeopardyHook hook_;
  std::unique_ptr<Guard> guard_;  // null: there can't be one, and the group is being ended
  int guards_lost_ = 0;
  Terminal terminal_;
  UniqueFd timer_;

  pid_t leader_ = -1;
  ProcessGroup group_;
  bool leader_ended_ = false;  // and reaped
  int status_ = 0;             // as the exit code that passes it on

  EndTimes times_;           // by the lease; move with every renewal
  bool terminated_ = false;  // the group had its TERM, by us or by the guard: never twice
  int64_t kill_at_ = 0;      // then it gets KILL; at most times_.kill_at
  std::optional<int> ended_early_;
};

}  // namespace holdfast::cli
