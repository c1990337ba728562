// The guard: a process of its own that ends CMD's group in time when lockctl can't, because it was
// stopped or killed. It knows the group and the times of the current lease by messages, one at
// every renewal, and has its own timer on CLOCK_BOOTTIME.
//
// When lockctl is gone (the socket's end), it ends the group at once: nobody renews the lease now.
// When lockctl is stopped, no renewals come and the times pass: then it acts at those. In both
// cases TERM and CONT come first, and KILL after the grace, in any case before the lease's local
// deadline, hence before the cell gives the lock to another (DESIGN 2.4).
//
// It is forked before lockctl has threads; runs in its own session, so that neither the terminal's
// signals nor a `kill -9 -GROUP` reach it; has every signal blocked; keeps no descriptor but its
// own; and calls only what is async-signal-safe, so that it may also be forked again later, when a
// guard was killed.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

#include "bindings/cli/process_group.h"
#include "bindings/cli/unique_fd.h"
#include "bindings/cli/verb.h"

namespace holdfast::cli {

// When CMD's group gets which signal, as CLOCK_BOOTTIME in ns.
struct EndTimes {
  int64_t term_at = 0;
  int64_t kill_at = 0;
};

class Guard {
 public:
  // Failure: no process to be had.
  Guard(const Inherited& inherited, int64_t grace_ns);
  // Tells it that nothing is left to guard.
  ~Guard();
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

  void watch(const ProcessGroup& group);
  void set_times(const EndTimes& times);
  // lockctl has begun to end the group: the guard sends no TERM of its own.
  void note_ending(const EndTimes& times);

  int fd() const { return socket_.get(); }
  enum class Word { none, ending, dead };
  Word read_word();  // ending: the guard has begun to end the group
  pid_t pid() const { return pid_; }

 private:
  UniqueFd socket_;
  pid_t pid_ = -1;
};

}  // namespace holdfast::cli
