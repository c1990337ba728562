// lockctl waits: the waits-for graph: who waits for whom, all over the cell.
#include <map>
#include <memory>

#include "bindings/cli/exit_codes.h"
#include "bindings/cli/json.h"
#include "bindings/cli/people.h"
#include "bindings/cli/text.h"
#include "bindings/cli/verb.h"

namespace holdfast::cli {
namespace {

std::string name_of(const Owner& owner, const std::string& lease) {
  const std::string place = where(owner);
  return lease + " " + place + (owner.user.empty() ? "" : " " + owner.user);
}

// Who is in the way of this waiter: the holders, and else the one ahead of it.
std::string blocked_by(const LockInfo& lock, size_t waiter) {
  if (lock.holders.empty()) {
    if (waiter > 0) {
      const Waiter& ahead = lock.waiters[waiter - 1];
      return name_of(ahead.owner, ahead.lease) + " (waits ahead)";
    }
    return lock.delay_remaining.count() > 0 ? "the lock-delay after a loss" : "";
  }
  const Holder& first = lock.holders.front();
  std::string text = name_of(first.owner, first.lease);
  if (lock.holders.size() > 1) text += " and " + std::to_string(lock.holders.size() - 1) + " more";
  return text;
}

int waits(Context& context, const std::string& prefix) {
  Table table({"LOCK", "POS", "MODE", "WAITING", "WAITER", "WAITS FOR"});
  for (const LockInfo& lock : context.connect().locks(prefix)) {
    if (lock.waiters.empty()) continue;
    if (context.globals.json) {
      context.out.line(to_json(lock));
      continue;
    }
    for (size_t i = 0; i < lock.waiters.size(); ++i) {
      const Waiter& waiter = lock.waiters[i];
      table.row({lock.name, std::to_string(waiter.position), waiter.mode,
                 format_age(waiter.waiting_since_ms), name_of(waiter.owner, waiter.lease),
                 blocked_by(lock, i)});
    }
  }
  if (context.globals.json) return kExitDone;
  context.out.page();
  table.print(context.out);
  return kExitDone;
}

}  // namespace

void add_waits(Verbs& verbs) {
  auto prefix = std::make_shared<std::string>();
  CLI::App* app = verbs.add(
      "waits", "List who waits for whom",
      "One line for each waiter of each lock, in the order of the queues. With -o json, one lock\n"
      "that is waited for a line, as `show` has it. For one lock or lease, and for the whole\n"
      "chain behind it, see `lockctl why`.\n"
      "\nExample:\n"
      "  lockctl waits billing/");
  add_prefix(app, *prefix, "Only of locks whose names begin with it");
  verbs.on(app, [prefix](Context& context) { return waits(context, *prefix); });
}

}  // namespace holdfast::cli
