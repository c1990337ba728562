// lockctl ls: the locks that have holders or waiters.
#include <memory>

#include "bindings/cli/exit_codes.h"
#include "bindings/cli/json.h"
#include "bindings/cli/people.h"
#include "bindings/cli/text.h"
#include "bindings/cli/verb.h"

namespace holdfast::cli {
namespace {

void print_table(Output& out, const std::vector<LockInfo>& locks) {
  Table table({"LOCK", "MODE", "HOLDERS", "WAITERS", "TOKEN", "HELD", "WHERE", "WHO"});
  for (const LockInfo& lock : locks) {
    std::vector<std::string> row = {lock.name, lock.mode, std::to_string(lock.holders.size()),
                                    std::to_string(lock.waiters.size())};
    if (lock.holders.empty()) {
      row.resize(8);
    } else {
      const Holder& first = lock.holders.front();
      row.insert(row.end(), {std::to_string(first.token), format_age(first.acquired_at_ms),
                             where(first.owner), who(first.owner)});
    }
    table.row(std::move(row));
  }
  table.print(out);
}

}  // namespace

void add_ls(Verbs& verbs) {
  auto prefix = std::make_shared<std::string>();
  CLI::App* app =
      verbs.add("ls", "List locks that are held or waited for",
                "Token, age and owner are those of the first holder. With -o json, one\n"
                "object a line.\n"
                "\nExample:\n"
                "  lockctl ls billing/");
  add_prefix(app, *prefix, "Only those whose names begin with it");
  verbs.on(app, [prefix](Context& context) {
    const std::vector<LockInfo> locks = context.connect().locks(*prefix);
    if (context.globals.json) {
      for (const LockInfo& lock : locks) context.out.line(to_json(lock));
      return kExitDone;
    }
    context.out.page();
    print_table(context.out, locks);
    return kExitDone;
  });
}

}  // namespace holdfast::cli
