// lockctl release: gives back what `acquire` took.
#include <memory>

#include "bindings/cli/exit_codes.h"
#include "bindings/cli/text.h"
#include "bindings/cli/verb.h"

namespace holdfast::cli {
namespace {

struct Options {
  std::string lock;
  std::string lease;
  uint64_t token = 0;
  bool close = false;
};

int release(Context& context, const Options& options) {
  Cell cell = context.connect();
  cell.release(options.lease, options.lock, options.token);
  context.verbose("released " + options.lock);
  if (options.close) cell.close_lease(options.lease);
  return kExitDone;
}

}  // namespace

void add_release(Verbs& verbs) {
  auto options = std::make_shared<Options>();
  CLI::App* app =
      verbs.add("release", "Give back a lock that `acquire` took",
                "Exit 76 if that token does not hold the lock (any more).\n"
                "\nExample:\n"
                "  lockctl release billing/ledger --lease $lease --token $token --close");
  add_lock(app, options->lock, "Its name");
  add_text(app, "--lease", options->lease, "As `acquire` printed it")->type_name("ID")->required();
  add_count(app, "--token", options->token, 1, UINT64_MAX, "As `acquire` printed it")->required();
  app->add_flag("--close", options->close, "Close the lease too, and all that is held under it");
  verbs.on(app, [options](Context& context) { return release(context, *options); });
}

}  // namespace holdfast::cli
