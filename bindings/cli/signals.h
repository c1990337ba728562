// The signals that lockctl passes on to CMD, as events on a descriptor.
#pragma once

#include <signal.h>

#include <optional>

#include "bindings/cli/unique_fd.h"
#include "bindings/cli/verb.h"

namespace holdfast::cli {

// Blocks them for this thread and those that it makes later, so it is made before any. What was
// ignored when lockctl was started (nohup, trap '' INT) stays ignored.
class Signals {
 public:
  explicit Signals(const Inherited& inherited);
  // Gives back the mask of the start: what arrives then has its usual effect.
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  int fd() const { return fd_.get(); }
  std::optional<int> next();  // none: nothing has arrived
  // Those by which people and service managers end a program.
  static bool ends(int signal_number);

  // Stops this process, or its whole group, as the terminal's stop key would, and returns when it
  // goes on. False, at once: the kernel discarded the stop, because no shell is there to continue
  // us.
  bool stop_self(bool whole_group);

 private:
  sigset_t before_;
  UniqueFd fd_;
};

// Ends this process by that signal, so that a shell sees what happened.
[[noreturn]] void die_by(int signal_number);

}  // namespace holdfast::cli
