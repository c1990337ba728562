// lockctl quota: an admin limits what is under a prefix, or what a user has.
#include <memory>

#include "bindings/cli/exit_codes.h"
#include "bindings/cli/key_json.h"
#include "bindings/cli/verb.h"

namespace holdfast::cli {
namespace {

// --prefix or --owner.
struct Subject {
  std::optional<std::string> prefix;
  std::optional<std::string> owner;

  bool of_owner() const {
    if (prefix.has_value() == owner.has_value()) {
      throw UsageError("one of --prefix and --owner is needed");
    }
    return owner.has_value();
  }
  const std::string& name() const { return owner ? *owner : *prefix; }
};

void add_subject(CLI::App* app, Subject& subject) {
  add_text(app, "--prefix", subject.prefix, "Of what is named so")->type_name("PREFIX");
  add_text(app, "--owner", subject.owner, "Of what the leases of this user have")
      ->type_name("USER");
}

struct SetOptions {
  Subject subject;
  QuotaLimits limits;
  std::string reason;
};

void add_set(Verbs& verbs, CLI::App* group) {
  auto options = std::make_shared<SetOptions>();
  CLI::App* app = verbs.add_under(
      group, "set", "Set a quota, or replace it",
      "What is there already stays; whoever would go beyond it is refused.\n"
      "\nExample:\n"
      "  lockctl quota set --owner ci --leases 100 --locks 1000 --reason 'shared cell'");
  add_subject(app, options->subject);
  QuotaLimits& limits = options->limits;
  add_count(app, "--leases", limits.leases, 1, UINT64_MAX, "At most so many (of --owner)");
  add_count(app, "--locks", limits.locks, 1, UINT64_MAX, "At most so many held or waited for");
  add_count(app, "--waiters", limits.waiters, 1, UINT64_MAX, "At most so many waited for");
  add_count(app, "--bytes", limits.bytes, 1, UINT64_MAX, "At most so many in keys and values");
  add_reason(app, options->reason, "Told to whoever is refused, and recorded")->required();
  verbs.on(app, [options](Context& context) {
    const bool of_owner = options->subject.of_owner();
    context.connect().set_quota(of_owner, options->subject.name(), options->limits,
                                options->reason);
    return kExitDone;
  });
}

void add_rm(Verbs& verbs, CLI::App* group) {
  auto subject = std::make_shared<Subject>();
  CLI::App* app = verbs.add_under(group, "rm", "End a quota",
                                  "Exit 1 if there is no such quota.\n"
                                  "\nExample:\n"
                                  "  lockctl quota rm --owner ci");
  add_subject(app, *subject);
  verbs.on(app, [subject](Context& context) {
    const bool of_owner = subject->of_owner();
    if (context.connect().end_quota(of_owner, subject->name())) return kExitDone;
    if (!context.globals.quiet) {
      context.complain("notHeld", "there is no quota of '" + subject->name() + "'");
    }
    return kExitNo;
  });
}

std::string of(uint64_t used, uint64_t limit) {
  return std::to_string(used) + (limit == 0 ? "" : " of " + std::to_string(limit));
}

void add_ls(Verbs& verbs, CLI::App* group) {
  CLI::App* app = verbs.add_under(group, "ls", "List quotas and what is used of them",
                                  "Example:\n  lockctl quota ls");
  verbs.on(app, [](Context& context) {
    const std::vector<Quota> quotas = context.connect().quotas();
    if (context.globals.json) {
      for (const Quota& quota : quotas) context.out.line(to_json(quota));
      return kExitDone;
    }
    Table table({"OF", "NAME", "LEASES", "LOCKS", "WAITERS", "BYTES", "REASON"});
    for (const Quota& quota : quotas) {
      table.row({quota.of_owner ? "owner" : "prefix", quota.name,
                 of(quota.used.leases, quota.limits.leases),
                 of(quota.used.locks, quota.limits.locks),
                 of(quota.used.waiters, quota.limits.waiters),
                 of(quota.used.bytes, quota.limits.bytes), quota.reason});
    }
    table.print(context.out);
    return kExitDone;
  });
}

}  // namespace

void add_quota(Verbs& verbs) {
  CLI::App* group = verbs.add("quota", "Limit what is under a prefix, or what a user has",
                              "Example:\n  lockctl quota ls");
  group->require_subcommand(1);
  add_set(verbs, group);
  add_rm(verbs, group);
  add_ls(verbs, group);
}

}  // namespace holdfast::cli
