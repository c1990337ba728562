// The controlling terminal, and which process group has it.
#pragma once

#include <sys/types.h>

#include "bindings/cli/unique_fd.h"

namespace holdfast::cli {

class Terminal {
 public:
  Terminal();

  // Whether there is one at all.
  explicit operator bool() const { return fd_.get() >= 0; }
  bool ours() const;  // our process group is the one in the foreground
  // CMD would use it as we would: it is our input and our output. Otherwise we may be part of a
  // pipeline, whose other parts need the terminal in our group (`lockctl run … | less`).
  bool interactive() const;

  // Puts that group in the foreground. SIGTTOU must be blocked.
  void give(pid_t group);
  // Back to our group, unless somebody else has it by now.
  void take_back(pid_t from);

 private:
  UniqueFd fd_;
};

}  // namespace holdfast::cli
