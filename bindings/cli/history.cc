// lockctl history: what happened, from the record; with -f, also what happens from then on.
#include <algorithm>
#include <charconv>
#include <memory>

#include "bindings/cli/events.h"
#include "bindings/cli/exit_codes.h"
#include "bindings/cli/json.h"
#include "bindings/cli/text.h"
#include "bindings/cli/verb.h"
#include "lockcore/base/limits.h"
#include "lockcore/locks/validate.h"

namespace holdfast::cli {
namespace {

struct Options {
  std::string lock;  // empty: all
  std::string since;
  bool follow = false;
};

// A number alone is a revision, as the help says; a span of time has a unit.
void set_since(EventsQuery& query, const std::string& since) {
  if (since.empty()) return;
  uint64_t revision = 0;
  const char* end = since.data() + since.size();
  const auto [stop, error] = std::from_chars(since.data(), end, revision);
  if (error == std::errc() && stop == end) {
    query.after = revision == 0 ? 0 : revision - 1;
    return;
  }
  const auto age = parse_duration(since);
  if (!age || age->count() == 0) {
    throw UsageError("--since '" + printable(since) +
                     "' is neither a revision, such as 1234, nor a span of time, such as 2h");
  }
  query.max_age = *age;
}

void print(Context& context, const Event& event) {
  context.out.line(context.globals.json ? to_json(event) : event_line(context.out, event));
}

int history(Context& context, const Options& options) {
  EventsQuery query;
  query.name = options.lock;
  query.exact = !options.lock.empty();
  set_since(query, options.since);
  Cell cell = context.connect();
  if (!context.globals.json && !options.follow) context.out.page();
  uint64_t end = 0;
  for (;;) {
    EventsPage page = cell.events(query);
    if (end == 0) end = page.revision;
    for (const Event& event : page.events) {
      if (event.revision <= end) print(context, event);
    }
    query.after = page.upto;
    if (page.upto >= end) break;
  }
  if (!options.follow) return kExitDone;
  context.out.flush();
  Watch watch = cell.watch(query.name, end + 1, query.exact);
  while (const auto event = watch.next()) {
    print(context, *event);
    context.out.flush();
  }
  return kExitDone;
}

}  // namespace

void add_history(Verbs& verbs) {
  auto options = std::make_shared<Options>();
  CLI::App* app = verbs.add(
      "history", "Show what happened: who, what, when, why, how long it took",
      "Columns: revision, time, what, lock or key (or lease), token, where and who, and what\n"
      "else is known. Kept are 1 000 000 events, 1 GiB or 7 days of them. With -o json, one\n"
      "object a line.\n"
      "\nExamples:\n"
      "  lockctl history billing/ledger\n"
      "  lockctl history --since 2h\n"
      "  lockctl history billing/ledger --since 1234 -f");
  add_text(app, "LOCK", options->lock, "Of this lock or key alone");
  add_text(app, "--since", options->since, "From this revision on, or so long ago (2h)")
      ->type_name("REV|DUR");
  app->add_flag("-f,--follow", options->follow, "Go on with what happens from now on");
  verbs.on(app, [options](Context& context) { return history(context, *options); });
}

}  // namespace holdfast::cli
