// lockctl's exit codes (INTERFACES 3) and what leads to them.
#pragma once

#include <stdexcept>
#include <string>

#include "holdfast/holdfast.h"

namespace holdfast::cli {

enum Exit : int {
  kExitDone = 0,
  kExitNo = 1,            // not acquired, not held
  kExitUsage = 2,         // also names and values out of range
  kExitUnreachable = 69,  // no active leader found in time
  kExitBug = 70,
  kExitLimit = 73,
  kExitIo = 74,
  kExitTimeout = 75,  // a leader was reached, but did not answer in time
  kExitLost = 76,     // lease or lock lost, or not there any more
  kExitDenied = 77,
  kExitConfig = 78,
  kExitDeadlock = 79,
  kExitCannotRun = 126,
  kExitNotFound = 127,
  kExitSignalBase = 128,  // 128 + N: ended by signal N
};

int exit_code_of(const Error& error);

// Something that a verb found out by itself, with the exit code that says so.
class Failure : public std::runtime_error {
 public:
  Failure(int exit, const std::string& code, const std::string& message)
      : std::runtime_error(message), exit_(exit), code_(code) {}
  int exit() const noexcept { return exit_; }
  const std::string& code() const noexcept { return code_; }  // as in INTERFACES 4

 private:
  int exit_;
  std::string code_;
};

// What was typed makes no sense.
class UsageError : public Failure {
 public:
  explicit UsageError(const std::string& message)
      : Failure(kExitUsage, "invalidArgument", message) {}
};

}  // namespace holdfast::cli
