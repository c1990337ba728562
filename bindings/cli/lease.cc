// lockctl lease: leases that scripts keep themselves.
#include <memory>

#include "bindings/cli/exit_codes.h"
#include "bindings/cli/json.h"
#include "bindings/cli/people.h"
#include "bindings/cli/signals.h"
#include "bindings/cli/text.h"
#include "bindings/cli/verb.h"

#include <poll.h>

namespace holdfast::cli {
namespace {

using std::chrono::milliseconds;

// -- open -----------------------------------------------------------------------------------------

struct OpenOptions {
  std::optional<milliseconds> ttl;
  std::string reason;
};

int open_lease(Context& context, const OpenOptions& options) {
  const OpenedLease lease = context.connect().open_lease(checked_ttl(options.ttl), options.reason);
  context.out.line(context.globals.json ? to_json(lease)
                                        : "lease=" + lease.id + " secret=" + lease.secret +
                                              " ttl_ms=" + std::to_string(lease.ttl.count()));
  return kExitDone;
}

void add_open(Verbs& verbs, CLI::App* group) {
  auto options = std::make_shared<OpenOptions>();
  CLI::App* app = verbs.add_under(group, "open", "Open a lease; nobody renews it for you",
                                  "Prints lease=... secret=... ttl_ms=...\n"
                                  "\nExample:\n"
                                  "  eval \"$(lockctl lease open --ttl 1m)\"");
  add_ttl_option(app, options->ttl);
  add_text(app, "--reason", options->reason, "Shown to whoever asks whose lease it is");
  verbs.on(app, [options](Context& context) { return open_lease(context, *options); });
}

// -- renew ----------------------------------------------------------------------------------------

struct RenewOptions {
  std::string lease;
  std::optional<milliseconds> every;
};

void renew_once(Context& context, Cell& cell, const RenewOptions& options) {
  const Deadline deadline = cell.renew_lease(options.lease);
  if (context.globals.json) {
    context.out.line(renewed_to_json(options.lease, deadline.unix_ms()));
  } else if (!options.every) {
    context.out.line("lease=" + options.lease + " deadline=" + std::to_string(deadline.unix_ms()));
  } else {
    context.verbose("renewed " + options.lease);
  }
  context.out.flush();
}

// An outage isn't the end: the lease may outlive it. A lease that is gone is.
bool worth_another_try(const Error& error) {
  const int exit = exit_code_of(error.code());
  return exit == kExitUnreachable || exit == kExitTimeout;
}

int renew(Context& context, const RenewOptions& options) {
  if (options.every && options.every->count() == 0) throw UsageError("--every must be above 0");
  Cell cell = context.connect();
  if (!options.every) {
    renew_once(context, cell, options);
    return kExitDone;
  }
  for (;;) {
    const Deadline started = Deadline::now();
    try {
      renew_once(context, cell, options);
    } catch (const Error& error) {
      if (!worth_another_try(error)) throw;
      context.notice(std::string(error.what()) + "; trying again");
    }
    // At that pace, however long the renewal took.
    const auto spent = Deadline::now().boottime - started.boottime;
    const auto left = std::chrono::ceil<milliseconds>(*options.every - spent);
    if (left.count() > 0)
      poll(nullptr, 0, static_cast<int>(std::min<int64_t>(left.count(), INT_MAX)));
  }
}

void add_renew(Verbs& verbs, CLI::App* group) {
  auto options = std::make_shared<RenewOptions>();
  CLI::App* app =
      verbs.add_under(group, "renew", "Renew a lease, once or again and again",
                      "With --every it goes on until it is ended by a signal, or exits\n"
                      "76 when the lease is gone. A third of the TTL is a good pace.\n"
                      "\nExample:\n"
                      "  lockctl lease renew $lease --every 3s &");
  add_text(app, "ID", options->lease, "The lease")->type_name("")->required();
  add_duration(app, "--every", options->every, "Keep renewing, at this interval");
  verbs.on(app, [options](Context& context) { return renew(context, *options); });
}

// -- close, ls, show ------------------------------------------------------------------------------

void add_close(Verbs& verbs, CLI::App* group) {
  auto id = std::make_shared<std::string>();
  CLI::App* app = verbs.add_under(group, "close", "End a lease and all that is held under it",
                                  "Example:\n  lockctl lease close $lease");
  add_text(app, "ID", *id, "The lease")->type_name("")->required();
  verbs.on(app, [id](Context& context) {
    context.connect().close_lease(*id);
    return kExitDone;
  });
}

void add_ls(Verbs& verbs, CLI::App* group) {
  CLI::App* app =
      verbs.add_under(group, "ls", "List leases", "Example:\n  lockctl lease ls -o json");
  verbs.on(app, [](Context& context) {
    const std::vector<LeaseInfo> leases = context.connect().leases();
    if (context.globals.json) {
      for (const LeaseInfo& lease : leases) context.out.line(to_json(lease));
      return kExitDone;
    }
    context.out.page();
    Table table({"LEASE", "TTL", "LEFT", "OPEN", "HOLDS", "WAITS", "WHERE", "WHO"});
    for (const LeaseInfo& lease : leases) {
      table.row({lease.lease, format_duration(lease.ttl), format_duration(lease.remaining),
                 format_age(lease.opened_at_ms), std::to_string(lease.holds.size()),
                 std::to_string(lease.waits), where(lease.owner), who(lease.owner)});
    }
    table.print(context.out);
    return kExitDone;
  });
}

void print_text(Output& out, const LeaseInfo& lease) {
  out.line(out.bold("lease " + lease.lease) + ": " + format_duration(lease.remaining) +
           " left of " + format_duration(lease.ttl) + ", open for " +
           format_age(lease.opened_at_ms));
  out.line("owner: " + printable(where(lease.owner) + " " + who(lease.owner)));
  out.line("holds: " + std::to_string(lease.holds.size()) +
           ", waits: " + std::to_string(lease.waits));
  if (lease.holds.empty()) return;
  Table holds({"LOCK", "TOKEN"});
  for (const auto& [lock, token] : lease.holds) holds.row({lock, std::to_string(token)});
  holds.print(out);
}

void add_show(Verbs& verbs, CLI::App* group) {
  auto id = std::make_shared<std::string>();
  CLI::App* app = verbs.add_under(group, "show", "Show a lease and what is held under it",
                                  "Example:\n  lockctl lease show $lease");
  add_text(app, "ID", *id, "The lease")->type_name("")->required();
  verbs.on(app, [id](Context& context) {
    const LeaseInfo lease = context.connect().lease(*id);
    if (context.globals.json) {
      context.out.line(to_json(lease));
    } else {
      print_text(context.out, lease);
    }
    return kExitDone;
  });
}

}  // namespace

void add_lease(Verbs& verbs) {
  CLI::App* group = verbs.add("lease", "Open, renew, close and list leases",
                              "Example:\n  lockctl lease open --ttl 1m");
  group->require_subcommand(1);
  add_open(verbs, group);
  add_renew(verbs, group);
  add_close(verbs, group);
  add_ls(verbs, group);
  add_show(verbs, group);
}

}  // namespace holdfast::cli
