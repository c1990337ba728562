// CMD's process group: whether it lives, and signals to all of it. Everything here is
// async-signal-safe and allocates nothing: the guard process uses it too.
//
// A group's number is free for others once its leader is reaped and its last member gone, and a
// signal to a stale number would hit strangers. So:
//  - while lockctl lives, it tells the guard to go before it gives up on the group;
//  - `leader_fd` is a pidfd, made while the leader could not have been reaped: as long as it
//  answers,
//    the number is still the leader's;
//  - when it doesn't, the kernel keeps the number for the group as long as the group has members,
//  and
//    gives no process this number as its pid meanwhile. So a *process* with this number proves that
//    the group is gone;
//  - a group that was once seen gone is never signalled again.
// What is left is a number that goes round all of pid_max, becomes a group leader and dies again,
// all between two looks, which are milliseconds apart.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace holdfast::cli {

// A reading of CLOCK_BOOTTIME in nanoseconds.
int64_t boottime_ns();

class ProcessGroup {
 public:
  ProcessGroup() = default;
  // `leader` is a process that its parent, lockctl, has not reaped.
  static ProcessGroup of(pid_t leader);

  explicit operator bool() const { return id_ > 0; }
  pid_t id() const { return id_; }
  // Any member left; zombies count until they are reaped.
  bool alive();
  // To every member, if there is any.
  void signal(int number);
  // TERM, and CONT for those that are stopped and would not notice.
  void terminate();

 private:
  bool exists() const;

  pid_t id_ = 0;
  int leader_fd_ = -1;  // CLOEXEC, kept until the process ends
  bool gone_ = false;   // sticky
};

}  // namespace holdfast::cli
