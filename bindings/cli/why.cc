// lockctl why: who is in the way, and who is in their way.
#include <memory>

#include "bindings/cli/exit_codes.h"
#include "bindings/cli/json.h"
#include "bindings/cli/text.h"
#include "bindings/cli/verb.h"

namespace holdfast::cli {
namespace {

struct Options {
  std::string lock;
  std::optional<std::string> lease;
};

// Line by line: what stands in it came from elsewhere.
void print_text(Output& out, const std::string& text) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    out.line(printable(text.substr(at, end - at)));
    at = end == std::string::npos ? text.size() : end + 1;
  }
}

int why(Context& context, const Options& options) {
  if (options.lock.empty() == !options.lease) {
    throw UsageError("name either a lock or, with --lease, a lease");
  }
  Cell cell = context.connect();
  const Why told = options.lease ? cell.why_lease(*options.lease) : cell.why(options.lock);
  if (context.globals.json) {
    context.out.line(to_json(told));
  } else {
    print_text(context.out, told.text);
  }
  return kExitDone;
}

}  // namespace

void add_why(Verbs& verbs) {
  auto options = std::make_shared<Options>();
  CLI::App* app = verbs.add(
      "why", "Tell why one would wait for a lock, or why a lease waits",
      "Who is in the way, with what, since when and what for; and if that one waits itself, who\n"
      "is in its way, and so on.\n"
      "\nExamples:\n"
      "  lockctl why billing/ledger\n"
      "  lockctl why --lease 00000000000004d2");
  add_name(app, options->lock, "The lock")->required(false);
  add_text(app, "--lease", options->lease, "All that this lease waits for")->type_name("ID");
  verbs.on(app, [options](Context& context) { return why(context, *options); });
}

}  // namespace holdfast::cli
