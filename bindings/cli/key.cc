// lockctl key: small keys with values.
#include <memory>

#include "bindings/cli/exit_codes.h"
#include "bindings/cli/key_json.h"
#include "bindings/cli/stdin_text.h"
#include "bindings/cli/text.h"
#include "bindings/cli/verb.h"
#include "lockcore/base/limits.h"

namespace holdfast::cli {
namespace {

constexpr size_t kShownBytes = 60;  // of a value in a listing

// -- get ------------------------------------------------------------------------------------------

struct GetOptions {
  std::string key;
  bool stale = false;
  bool anywhere = false;
};

int get(Context& context, const GetOptions& options) {
  AsOf as_of;
  const auto pair = context.connect().get(options.key, {options.stale, options.anywhere}, &as_of);
  if (options.stale || options.anywhere) {
    context.verbose("as of revision " + std::to_string(as_of.revision) + ", " +
                    std::to_string(as_of.age_ms) + " ms old");
  }
  if (!pair) {
    if (!context.globals.quiet) context.complain("notHeld", "there is no key " + options.key);
    return kExitNo;
  }
  context.out.line(context.globals.json ? to_json(*pair) : pair->value);
  return kExitDone;
}

void add_get(Verbs& verbs, CLI::App* group) {
  auto options = std::make_shared<GetOptions>();
  CLI::App* app = verbs.add_under(group, "get", "Print the value of a key",
                                  "Exit 1 if there is no such key.\n"
                                  "\nExample:\n"
                                  "  lockctl key get billing/leader");
  add_key(app, options->key, "Its name");
  app->add_flag("--stale", options->stale,
                "From whichever node answers, also without a majority; -v says how old");
  app->add_flag("--anywhere", options->anywhere,
                "From whichever node answers, as new as the leader's answer would be")
      ->excludes("--stale");
  verbs.on(app, [options](Context& context) { return get(context, *options); });
}

// -- put ------------------------------------------------------------------------------------------

struct PutTyped {
  std::string key;
  std::string value = "-";
  std::string lease;
  bool sequential = false;
  std::string lock;
  uint64_t token = 0;
  std::optional<uint64_t> revision;
};

PutOptions put_options(const PutTyped& typed) {
  PutOptions options{typed.lease, typed.sequential, std::nullopt};
  if (typed.lock.empty() != (typed.token == 0)) {
    throw UsageError("--if-held and --token go together");
  }
  if (!typed.lock.empty()) options.guard = Compare::holds(typed.lock, typed.token);
  if (typed.revision) {
    options.guard = Compare::revision(typed.key, Relation::equal, *typed.revision);
  }
  return options;
}

int put(Context& context, const PutTyped& typed) {
  const PutOptions options = put_options(typed);
  const std::string value = typed.value == "-" ? read_all("-", base::kMaxValueBytes) : typed.value;
  try {
    const KeyValue pair = context.connect().put(typed.key, value, options);
    context.out.line(context.globals.json
                         ? to_json(pair)
                         : "key=" + pair.key + " revision=" + std::to_string(pair.revision));
  } catch (const Error& error) {
    if (error.code() != Code::conflict) throw;
    if (!context.globals.quiet) context.complain(error);
    return kExitNo;
  }
  return kExitDone;
}

void add_put(Verbs& verbs, CLI::App* group) {
  auto typed = std::make_shared<PutTyped>();
  CLI::App* app = verbs.add_under(
      group, "put", "Set a key",
      "Prints key=... revision=...; exit 1 if its condition doesn't hold.\n"
      "\nExamples:\n"
      "  lockctl key put billing/leader host:1 --if-held billing/ledger --token 4711\n"
      "  lockctl key put jobs/ 'rotate logs' --sequential");
  add_key_prefix(app, typed->key, "Its name");
  add_text(app, "VALUE", typed->value, "Its value, up to 64 KiB; - or none: all of stdin")
      ->type_name("");
  add_text(app, "--lease", typed->lease, "Delete it when this lease ends")->type_name("ID");
  app->add_flag("--sequential", typed->sequential,
                "Append a ten-digit number, unique and growing under KEY");
  auto* held =
      add_text(app, "--if-held", typed->lock, "Only if --token holds this lock")->type_name("LOCK");
  add_count(app, "--token", typed->token, 1, UINT64_MAX, "Of --if-held");
  add_count(app, "--if-revision", typed->revision, 0, UINT64_MAX,
            "Only if the key's revision is N; 0: only if there is no such key")
      ->excludes(held);
  verbs.on(app, [typed](Context& context) { return put(context, *typed); });
}

// -- del and ls -----------------------------------------------------------------------------------

void add_del(Verbs& verbs, CLI::App* group) {
  auto key = std::make_shared<std::string>();
  CLI::App* app = verbs.add_under(group, "del", "Delete a key",
                                  "Exit 1 if there was no such key.\n"
                                  "\nExample:\n"
                                  "  lockctl key del billing/leader");
  add_key(app, *key, "Its name");
  verbs.on(app, [key](Context& context) {
    if (context.connect().remove(*key)) return kExitDone;
    if (!context.globals.quiet) context.complain("notHeld", "there is no key " + *key);
    return kExitNo;
  });
}

std::string shown(const std::string& value) {
  return value.size() <= kShownBytes ? value : value.substr(0, kShownBytes) + "...";
}

struct LsOptions {
  std::string prefix;
  bool stale = false;
  bool anywhere = false;
};

int ls(Context& context, const LsOptions& options) {
  AsOf as_of;
  const std::vector<KeyValue> keys =
      context.connect().keys(options.prefix, {options.stale, options.anywhere}, &as_of);
  if (options.stale || options.anywhere) {
    context.verbose("as of revision " + std::to_string(as_of.revision) + ", " +
                    std::to_string(as_of.age_ms) + " ms old");
  }
  if (context.globals.json) {
    for (const KeyValue& pair : keys) context.out.line(to_json(pair));
    return kExitDone;
  }
  context.out.page();
  Table table({"KEY", "VALUE", "REVISION", "VERSION", "LEASE"});
  for (const KeyValue& pair : keys) {
    table.row({pair.key, shown(pair.value), std::to_string(pair.revision),
               std::to_string(pair.version), pair.lease});
  }
  table.print(context.out);
  return kExitDone;
}

void add_ls(Verbs& verbs, CLI::App* group) {
  auto options = std::make_shared<LsOptions>();
  CLI::App* app = verbs.add_under(group, "ls", "List keys and their values",
                                  "Example:\n  lockctl key ls billing/");
  add_prefix(app, options->prefix, "Only keys whose names begin with it");
  app->add_flag("--stale", options->stale,
                "From whichever node answers, also without a majority; -v says how old");
  app->add_flag("--anywhere", options->anywhere,
                "From whichever node answers, as new as the leader's answer would be")
      ->excludes("--stale");
  verbs.on(app, [options](Context& context) { return ls(context, *options); });
}

}  // namespace

void add_key_verbs(Verbs& verbs) {
  CLI::App* group = verbs.add("key", "Read and write small keys",
                              "Example:\n  lockctl key put billing/leader host:1");
  group->require_subcommand(1);
  add_get(verbs, group);
  add_put(verbs, group);
  add_del(verbs, group);
  add_ls(verbs, group);
}

}  // namespace holdfast::cli
