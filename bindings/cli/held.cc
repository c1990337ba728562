// lockctl held: does anyone hold it now?
#include <memory>

#include "bindings/cli/exit_codes.h"
#include "bindings/cli/json.h"
#include "bindings/cli/verb.h"

namespace holdfast::cli {

void add_held(Verbs& verbs) {
  auto name = std::make_shared<std::string>();
  CLI::App* app = verbs.add("held", "Exit 0 if a lock is held by anyone now, else 1",
                            "Example:\n  lockctl held billing/ledger || echo nobody");
  add_lock(app, *name, "Its name");
  verbs.on(app, [name](Context& context) {
    const bool held = !context.connect().describe(*name).holders.empty();
    if (context.globals.json) context.out.line(answer_to_json(*name, LockQuestion::held, held));
    return held ? kExitDone : kExitNo;
  });
}

}  // namespace holdfast::cli
