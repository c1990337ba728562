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
  bool shared = false;
};

// A try never overtakes who waits already, a shared one among readers neither.
bool is_free(const LockInfo& lock, bool shared) {
  if (!lock.waiters.empty()) return false;
  return lock.holders.empty() ||
         (shared && std::all_of(lock.holders.begin(), lock.holders.end(),
                                [](const Holder& holder) { return holder.mode == "shared"; }));
}

}  // namespace

void add_try(Verbs& verbs) {
  auto options = std::make_shared<Options>();
  CLI::App* app = verbs.add("try", "Exit 0 if a lock could be acquired now, else 1",
                            "Takes nothing: a moment later it may be different.\n"
                            "\nExample:\n"
                            "  lockctl try billing/ledger && echo free");
  add_lock(app, options->lock, "Its name");
  app->add_flag("-s,--shared", options->shared, "Shared with other shared holders");
  verbs.on(app, [options](Context& context) {
    const bool free = is_free(context.connect().describe(options->lock), options->shared);
    if (context.globals.json) {
      context.out.line(answer_to_json(options->lock, LockQuestion::free, free));
    }
    return free ? kExitDone : kExitNo;
  });
}

}  // namespace holdfast::cli
