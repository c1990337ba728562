// lockctl try: could it be acquired now? Asks, and takes nothing.
#include <algorithm>
#include <memory>

#include "bindings/cli/exit_codes.h"
#include "bindings/cli/json.h"
#include "bindings/cli/verb.h"

namespace holdfast::cli {
namespace {

struct Options {
  std::string lock;
  ModeOptions mode;
};

// A try never overtakes who waits already.
bool is_free(const LockInfo& lock, Mode mode) {
  const bool is_closed = !lock.drain.empty() || lock.delay_remaining.count() != 0;
  if (is_closed) return false;
  if (lock.kind == "semaphore") {
    uint64_t taken = 0;
    for (const Holder& holder : lock.holders) taken += holder.permits;
    return lock.waiters.empty() && taken < lock.capacity;
  }
  const auto beside = [mode](const auto& other) {
    return go_together(mode, mode_named(other.mode).value_or(Mode::exclusive));
  };
  return std::all_of(lock.holders.begin(), lock.holders.end(), beside) &&
         std::all_of(lock.waiters.begin(), lock.waiters.end(), beside);
}

}  // namespace

void add_try(Verbs& verbs) {
  auto options = std::make_shared<Options>();
  CLI::App* app = verbs.add("try", "Exit 0 if a lock could be acquired now, else 1",
                            "Takes nothing: a moment later it may be different. Of a semaphore it\n"
                            "asks for one permit.\n"
                            "\nExample:\n"
                            "  lockctl try billing/ledger && echo free");
  add_lock(app, options->lock, "Its name");
  add_mode_options(app, options->mode, "Shared with other shared holders");
  verbs.on(app, [options](Context& context) {
    const bool free = is_free(context.connect().describe(options->lock), options->mode.mode());
    if (context.globals.json) {
      context.out.line(answer_to_json(options->lock, LockQuestion::free, free));
    }
    return free ? kExitDone : kExitNo;
  });
}

}  // namespace holdfast::cli
