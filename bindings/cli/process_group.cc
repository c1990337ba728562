#include "bindings/cli/process_group.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

// glibc 2.36 forgot to say that these are C functions.
extern "C" {
#include <sys/pidfd.h>
}

namespace holdfast::cli {

int64_t boottime_ns() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

ProcessGroup ProcessGroup::of(pid_t leader) {
  ProcessGroup group;
  group.id_ = leader;
  group.leader_fd_ = pidfd_open(leader, 0);
  return group;
}

bool ProcessGroup::alive() {
  if (id_ <= 0 || gone_) return false;
  gone_ = !exists();
  return !gone_;
}

bool ProcessGroup::exists() const {
  // EPERM: it is there, but somebody else's (CMD is sudo, say).
  if (leader_fd_ >= 0 && (pidfd_send_signal(leader_fd_, 0, nullptr, 0) == 0 || errno == EPERM)) {
    return true;
  }
  if (kill(-id_, 0) != 0 && errno == ESRCH) return false;
  const bool number_taken = kill(id_, 0) == 0 || errno == EPERM;
  return leader_fd_ < 0 || !number_taken;
}

void ProcessGroup::signal(int number) {
  if (alive()) kill(-id_, number);
}

void ProcessGroup::terminate() {
  signal(SIGTERM);
  signal(SIGCONT);
}

}  // namespace holdfast::cli
