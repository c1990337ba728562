// CMD as a child process in a process group of its own.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "bindings/cli/process_group.h"
#include "bindings/cli/unique_fd.h"
#include "bindings/cli/verb.h"

namespace holdfast::cli {

class Child {
 public:
  // Forks. The child waits for start() and, if this process dies before, ends without having run
  // anything: at no time does CMD run without a guard that knows it. Signal mask and dispositions
  // become those that lockctl was started with. Failure: no process to be had.
  Child(const std::vector<std::string>& command,
        const std::vector<std::pair<std::string, std::string>>& environment,
        const Inherited& inherited);

  pid_t pid() const { return pid_; }
  // Lets CMD run. 0, or the errno of why it can't: the child has ended then.
  int start();

 private:
  pid_t pid_ = -1;
  UniqueFd go_;
  UniqueFd exec_error_;
};

}  // namespace holdfast::cli
