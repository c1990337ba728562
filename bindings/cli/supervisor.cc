#include "bindings/cli/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "bindings/cli/text.h"

namespace holdfast::cli {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr int kLookMs = 10;  // between looks whether the group is gone
constexpr int kMaxGuardsLost = 3;
constexpr char kLost[] = "leaseNotFound";  // as all tools call a lease that is over

// Looks through /proc, for when signals can't tell: is there a member that is more than a zombie?
bool has_running_member(pid_t group) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    std::ifstream file(entry.path() / "stat");
    std::string stat;
    if (!std::getline(file, stat)) continue;
    // pid (name) state ppid pgrp …, and the name may hold anything.
    std::istringstream fields(stat.substr(std::min(stat.rfind(')') + 1, stat.size())));
    char state = 0;
    pid_t parent = 0, member_of = 0;
    if (fields >> state >> parent >> member_of && member_of == group && state != 'Z') return true;
  }
  return false;
}

}  // namespace

EndTimes Graces::times(Deadline deadline) const {
  const int64_t kill_at = deadline.boottime.count() - margin_ns;
  return {kill_at - grace_ns, kill_at};
}

Supervisor::Supervisor(Context& context, Signals& signals, Acquisition& acquisition, Graces graces,
                       std::unique_ptr<Guard> guard, JeopardyHook hook)
    : context_(context),
      signals_(signals),
      acquisition_(acquisition),
      graces_(graces),
      hook_(std::move(hook)),
      guard_(std::move(guard)),
      timer_(timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK)) {
  if (timer_.get() < 0) throw_system_error("timerfd_create");
  // CMD's orphans become our children: we can reap them and see the group empty, wherever we run.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
}

// KILL ends whatever runs. What may be left are zombies whose parent, outside of the group, doesn't
// reap them: harmless; or processes stuck in the kernel: those may write yet, and are waited for.
bool Supervisor::finished() {
  if (leader_ended_ && !group_.alive()) return true;
  const bool overdue = terminated_ && boottime_ns() > kill_at_ + kSecondNs;
  return overdue && leader_ended_ && !has_running_member(group_.id());
}

int Supervisor::run(const std::vector<std::string>& command,
                    const std::vector<std::pair<std::string, std::string>>& environment) {
  if (!start(command, environment)) return status_;
  step();
  while (!finished()) {
    wait();
    step();
  }
  guard_.reset();
  terminal_.take_back(group_.id());
  return ended_early_.value_or(status_);
}

bool Supervisor::start(const std::vector<std::string>& command,
                       const std::vector<std::pair<std::string, std::string>>& environment) {
  times_ = graces_.times(acquisition_.deadline());
  Child child(command, environment, context_.inherited);
  leader_ = child.pid();
  group_ = ProcessGroup::of(leader_);
  guard_->set_times(guard_times());
  guard_->watch(group_);
  if (terminal_.interactive() && terminal_.ours()) terminal_.give(leader_);
  const int error = child.start();
  if (error == 0) return true;
  guard_.reset();
  waitpid(leader_, nullptr, 0);
  terminal_.take_back(leader_);
  context_.complain("invalidArgument", "cannot run " + command[0] + ": " + strerror(error));
  status_ = error == ENOENT ? kExitNotFound : kExitCannotRun;
  return false;
}

void Supervisor::wait() {
  const int64_t next = terminated_ ? kill_at_ : times_.term_at;
  itimerspec when{};
  when.it_value = {static_cast<time_t>(next / kSecondNs), static_cast<long>(next % kSecondNs)};
  timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
  pollfd events[] = {{signals_.fd(), POLLIN, 0},
                     {acquisition_.fd(), POLLIN, 0},
                     {guard_ ? guard_->fd() : -1, POLLIN, 0},
                     {timer_.get(), POLLIN, 0}};
  // Once KILL is due, the timer has nothing more to say.
  const bool past = terminated_ && boottime_ns() >= kill_at_;
  // Members that are not our children end without a SIGCHLD.
  poll(events, past ? 3 : 4, leader_ended_ || terminated_ ? kLookMs : -1);
}

void Supervisor::step() {
  acquisition_.clear_fd();
  take_signals();  // in which we may be stopped for a while
  watch_guard();   // says so before it ends anybody: after a death, its word is there
  const int64_t now = boottime_ns();
  watch_lease(now);
  if (leader_ended_ && !terminated_ && group_.alive()) {
    context_.verbose("ending what the command left behind");
    begin_ending(now);
  }
  if (terminated_ && now >= kill_at_) group_.signal(SIGKILL);
}

// -- CMD ------------------------------------------------------------------------------------------

void Supervisor::take_signals() {
  while (const auto number = signals_.next()) {
    if (*number == SIGCHLD) {
      reap();
    } else if (*number == SIGCONT) {
      resume();
    } else {
      group_.signal(*number);
    }
  }
}

void Supervisor::reap() {
  int status = 0;
  for (pid_t pid = 0; (pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0;) {
    if (pid != leader_) continue;  // an orphan, or a guard
    if (WIFSTOPPED(status)) {
      on_stopped(WSTOPSIG(status));
      continue;
    }
    leader_ended_ = true;
    status_ = WIFEXITED(status) ? WEXITSTATUS(status) : kExitSignalBase + WTERMSIG(status);
  }
}

// CMD stopped. On a terminal we stop too, so that the shell takes over; elsewhere nobody would
// continue us, and the lease would be lost for a stop that may last a moment.
void Supervisor::on_stopped(int number) {
  if (!terminal_ || terminated_) return;
  const bool wants_terminal = number == SIGTTIN || number == SIGTTOU;
  if (wants_terminal && terminal_.ours()) {
    // It ran beside the other parts of a pipeline and now needs the terminal itself.
    terminal_.give(leader_);
    group_.signal(SIGCONT);
    return;
  }
  terminal_.take_back(leader_);
  // The shell waits for all of our group, a script between it and us included.
  if (signals_.stop_self(true)) return;  // the SIGCONT that woke us is the next signal
  // No shell controls us. Without the terminal CMD would stop again and again: the kernel's answer
  // to a group that nobody will continue is a hangup.
  if (wants_terminal) group_.signal(SIGHUP);
  resume();
}

void Supervisor::resume() {
  if (terminal_.ours() && terminal_.interactive()) terminal_.give(leader_);
  group_.signal(SIGCONT);
}

// -- the guard ------------------------------------------------------------------------------------

void Supervisor::watch_guard() {
  if (!guard_) return;
  switch (guard_->read_word()) {
    case Guard::Word::none: return;
    case Guard::Word::dead: return replace_guard();
    case Guard::Word::ending:
      // It acted because we did not: we were stopped for too long.
      terminated_ = true;
      kill_at_ = times_.kill_at;
      ended_early_ = kExitLost;
      context_.complain(
          kLost,
          "the lease was not renewed in time, since lockctl was stopped; the command was ended");
      hook_.lost(acquisition_.deadline());
      return;
  }
}

// Somebody killed it. A new one knows all that the old one knew; if there can't be one, CMD is
// ended: it must not run where nothing would end it in time.
void Supervisor::replace_guard() {
  try {
    if (++guards_lost_ > kMaxGuardsLost) throw Failure(kExitLimit, "", "it was killed repeatedly");
    guard_ = std::make_unique<Guard>(context_.inherited, graces_.grace_ns);
    guard_->set_times(guard_times());
    guard_->watch(group_);
    if (terminated_) guard_->note_ending({0, kill_at_});
    context_.verbose("the guard process was killed; there is a new one");
  } catch (const Failure& error) {
    guard_.reset();
    end_early(kExitLimit, "resourceExhausted",
              std::string("the guard process is gone (") + error.what() + ")", boottime_ns());
  }
}

// The guard's TERM is the second line: late enough to leave the first word to us.
EndTimes Supervisor::guard_times() const {
  return {times_.term_at + graces_.margin_ns / 2, times_.kill_at};
}

// -- the lease ------------------------------------------------------------------------------------

void Supervisor::watch_lease(int64_t now) {
  const EndTimes newest = graces_.times(acquisition_.deadline());
  if (newest.kill_at > times_.kill_at && !terminated_) {
    times_ = newest;
    if (guard_) guard_->set_times(guard_times());
  }
  if (ended_early_) return;
  hook_.look(acquisition_.in_jeopardy(), acquisition_.deadline());
  if (const auto why = acquisition_.lost()) {
    end_early(kExitLost, kLost, why->what(), now);
  } else if (now >= times_.term_at) {
    end_early(kExitLost, kLost, "the lease could not be renewed and is about to end", now);
  }
}

void Supervisor::end_early(int exit, const std::string& code, const std::string& why, int64_t now) {
  if (leader_ended_ && !group_.alive()) return;  // too late to matter
  ended_early_ = exit;
  context_.complain(code, why + "; ending the command");
  if (exit == kExitLost) hook_.lost(acquisition_.deadline());
  if (terminated_) {
    kill_at_ = std::min(kill_at_, times_.kill_at);
  } else {
    begin_ending(now);
  }
}

void Supervisor::begin_ending(int64_t now) {
  terminated_ = true;
  kill_at_ = std::min(now + graces_.grace_ns, times_.kill_at);
  if (guard_) guard_->note_ending({now, kill_at_});
  group_.terminate();
}

}  // namespace holdfast::cli
