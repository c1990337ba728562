// lockctl drain: an admin keeps locks from being granted, and lets them go again.
#include <memory>

#include "bindings/cli/exit_codes.h"
#include "bindings/cli/key_json.h"
#include "bindings/cli/text.h"
#include "bindings/cli/verb.h"

namespace holdfast::cli {
namespace {

struct Options {
  std::optional<std::string> prefix;
  std::string reason;
  bool end = false;
  bool list = false;
};

int list(Context& context) {
  const std::vector<Drain> drains = context.connect().drains();
  if (context.globals.json) {
    for (const Drain& drain : drains) context.out.line(to_json(drain));
    return kExitDone;
  }
  Table table({"PREFIX", "SINCE", "REASON", "BY"});
  for (const Drain& drain : drains) {
    table.row({drain.prefix, format_age(drain.since_ms), drain.reason, drain.by});
  }
  table.print(context.out);
  return kExitDone;
}

int drain(Context& context, const Options& options) {
  if (options.list) {
    if (options.prefix || options.end) throw UsageError("--ls takes no PREFIX and no --end");
    return list(context);
  }
  if (!options.prefix) throw UsageError("a PREFIX is missing: what is to be drained, or --ls");
  Cell cell = context.connect();
  if (options.end) {
    if (cell.undrain(*options.prefix)) return kExitDone;
    if (!context.globals.quiet) {
      context.complain("notHeld", "'" + *options.prefix + "' is not being drained");
    }
    return kExitNo;
  }
  if (options.reason.empty()) throw UsageError("--reason is missing: it is told to who waits");
  cell.drain(*options.prefix, options.reason);
  return kExitDone;
}

}  // namespace

void add_drain(Verbs& verbs) {
  auto options = std::make_shared<Options>();
  CLI::App* app = verbs.add(
      "drain", "Let no lock under a prefix be granted any more",
      "What is held stays held. Nobody is granted anything else: tries fail, and waits go on,\n"
      "those that were there before too, until --end lets them be served in their order. An\n"
      "upgrade waits as well. The reason is told to whoever asks; it is recorded, and who you\n"
      "are.\n"
      "\nExample:\n"
      "  lockctl drain billing/ --reason 'moving to new disks'\n"
      "  lockctl drain --end billing/");
  add_prefix(app, options->prefix, "What the names begin with");
  add_reason(app, options->reason, "Told to whoever waits, and recorded");
  app->add_flag("--end", options->end, "It is over; exit 1 if there was no such drain");
  app->add_flag("--ls", options->list, "List what is being drained");
  verbs.on(app, [options](Context& context) { return drain(context, *options); });
}

}  // namespace holdfast::cli
