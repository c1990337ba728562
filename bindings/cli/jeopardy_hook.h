// The command of `run --on-jeopardy`: told when the lease is in danger, safe again, or lost.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "bindings/cli/verb.h"

namespace holdfast::cli {

class JeopardyHook {
 public:
  // `command`: for /bin/sh; empty: nobody is told. `environment`: what CMD has, too.
  JeopardyHook(Context& context, std::string command,
               std::vector<std::pair<std::string, std::string>> environment)
      : context_(context), command_(std::move(command)), environment_(std::move(environment)) {}

  // What is known of the lease now; the command runs at each change, and isn't waited for.
  void look(bool in_jeopardy, Deadline deadline);
  void lost(Deadline deadline);

 private:
  void run(const char* event, Deadline deadline);

  Context& context_;
  const std::string command_;
  const std::vector<std::pair<std::string, std::string>> environment_;
  bool told_ = false;
  bool lost_ = false;
};

}  // namespace holdfast::cli
