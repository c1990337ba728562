#include "bindings/cli/jeopardy_hook.h"

#include <string.h>

#include <chrono>

#include "bindings/cli/child.h"
#include "bindings/cli/exit_codes.h"

namespace holdfast::cli {

void JeopardyHook::look(bool in_jeopardy, Deadline deadline) {
  if (lost_ || in_jeopardy == told_) return;
  told_ = in_jeopardy;
  run(in_jeopardy ? "jeopardy" : "safe", deadline);
}

void JeopardyHook::lost(Deadline deadline) {
  if (lost_) return;
  lost_ = true;
  run("lost", deadline);
}

void JeopardyHook::run(const char* event, Deadline deadline) {
  if (command_.empty()) return;
  auto environment = environment_;
  std::erase_if(environment, [](const auto& each) { return each.first == "HOLDFAST_DEADLINE"; });
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(deadline.remaining()).count();
  environment.emplace_back("HOLDFAST_DEADLINE", std::to_string(deadline.unix_ms()));
  environment.emplace_back("HOLDFAST_EVENT", event);
  environment.emplace_back("HOLDFAST_LEFT_MS", std::to_string(left));
  // The command comes first: what goes wrong here must not end it.
  try {
    Child child({"/bin/sh", "-c", command_}, environment, context_.inherited);
    const int error = child.start();
    if (error == 0) return;
    context_.complain("internal", std::string("cannot run --on-jeopardy: ") + strerror(error));
  } catch (const Failure& failure) {
    context_.complain(failure.code(), std::string("cannot run --on-jeopardy: ") + failure.what());
  }
}

}  // namespace holdfast::cli
