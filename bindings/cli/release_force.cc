// lockctl release-force: an admin ends somebody else's hold.
#include <memory>

#include "bindings/cli/exit_codes.h"
#include "bindings/cli/verb.h"

namespace holdfast::cli {
namespace {

struct Options {
  std::string lock;
  uint64_t token = 0;
  std::string reason;
};

int force(Context& context, const Options& options) {
  try {
    context.connect().force_release(options.lock, options.token, options.reason);
  } catch (const Error& error) {
    if (error.code() != Code::not_held) throw;
    if (!context.globals.quiet) context.complain(error);
    return kExitNo;
  }
  context.verbose("ended the hold of " + options.lock + " with token " +
                  std::to_string(options.token));
  return kExitDone;
}

}  // namespace

void add_release_force(Verbs& verbs) {
  auto options = std::make_shared<Options>();
  CLI::App* app = verbs.add(
      "release-force", "End somebody else's hold, for good reason",
      "Ends the hold that has this token, as `show` told it, and no other; exit 1 if it isn't\n"
      "current any more. Its holder doesn't know, and may go on writing: what it writes to must\n"
      "refuse old tokens. The reason is recorded, and who you are. If the lease has a lock-delay,\n"
      "it applies.\n"
      "\nExample:\n"
      "  lockctl release-force billing/ledger --token 4711 --reason 'host burnt down'");
  add_lock(app, options->lock, "Its name");
  add_count(app, "--token", options->token, 1, UINT64_MAX, "Of the hold, as `show` prints it")
      ->required();
  add_reason(app, options->reason, "Recorded")->required();
  verbs.on(app, [options](Context& context) { return force(context, *options); });
}

}  // namespace holdfast::cli
