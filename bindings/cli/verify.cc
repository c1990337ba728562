// lockctl verify: does this token hold the lock now?
#include <memory>

#include "bindings/cli/exit_codes.h"
#include "bindings/cli/json.h"
#include "bindings/cli/verb.h"

namespace holdfast::cli {
namespace {

struct Options {
  std::string lock;
  uint64_t token = 0;
};

}  // namespace

void add_verify(Verbs& verbs) {
  auto options = std::make_shared<Options>();
  CLI::App* app = verbs.add("verify", "Exit 0 if a token is a current hold of a lock, else 1",
                            "For a resource that can't remember the greatest token that it has\n"
                            "seen. Between this answer and the write some time passes: a resource\n"
                            "that compares tokens itself is the better guard.\n"
                            "\nExample:\n"
                            "  lockctl verify billing/ledger $HOLDFAST_TOKEN || exit 1");
  add_lock(app, options->lock, "Its name");
  add_count(app, "TOKEN", options->token, 1, UINT64_MAX, "As the grant had it")
      ->required()
      ->type_name("");
  verbs.on(app, [options](Context& context) {
    const bool valid = context.connect().verify(options->lock, options->token);
    if (context.globals.json) {
      context.out.line(answer_to_json(options->lock, LockQuestion::valid, valid));
    }
    return valid ? kExitDone : kExitNo;
  });
}

}  // namespace holdfast::cli
