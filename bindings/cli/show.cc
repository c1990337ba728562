// lockctl show: one lock, who holds it and who waits.
#include <memory>

#include "bindings/cli/exit_codes.h"
#include "bindings/cli/json.h"
#include "bindings/cli/people.h"
#include "bindings/cli/text.h"
#include "bindings/cli/verb.h"

namespace holdfast::cli {
namespace {

std::string state_of(const LockInfo& lock) {
  if (lock.kind == "semaphore") {
    uint64_t taken = 0;
    for (const Holder& holder : lock.holders) taken += holder.permits;
    return "a semaphore, " + std::to_string(taken) + " of " + std::to_string(lock.capacity) +
           " permits held";
  }
  if (!lock.holders.empty()) return "held, " + lock.mode;
  if (lock.delay_remaining.count() == 0) return "free";
  return "closed for " + format_duration(lock.delay_remaining) + " more: its last holder was lost";
}

// A mode, or of a semaphore how many permits.
template <class Claim>
std::string share_of(const LockInfo& lock, const Claim& claim) {
  return lock.kind == "semaphore" ? std::to_string(claim.permits) : claim.mode;
}

void print_text(Output& out, const LockInfo& lock) {
  const char* share = lock.kind == "semaphore" ? "PERMITS" : "MODE";
  out.line(out.bold(printable(lock.name)) + ": " + state_of(lock));
  if (!lock.drain.empty()) out.line("drained, nothing is granted: " + printable(lock.drain));
  if (!lock.holders.empty()) {
    Table holders({"TOKEN", share, "LEASE", "HELD", "WHERE", "WHO"});
    for (const Holder& holder : lock.holders) {
      holders.row({std::to_string(holder.token), share_of(lock, holder), holder.lease,
                   format_age(holder.acquired_at_ms), where(holder.owner), who(holder.owner)});
    }
    holders.print(out);
  }
  if (!lock.waiters.empty()) {
    out.line("");
    Table waiters({"WAITER", share, "LEASE", "WAITING", "WHERE", "WHO"});
    for (const Waiter& waiter : lock.waiters) {
      const std::string wanted = share_of(lock, waiter);
      waiters.row({std::to_string(waiter.position), waiter.converts == 0 ? wanted : "to " + wanted,
                   waiter.lease, format_age(waiter.waiting_since_ms), where(waiter.owner),
                   who(waiter.owner)});
    }
    waiters.print(out);
  }
}

}  // namespace

void add_show(Verbs& verbs) {
  auto name = std::make_shared<std::string>();
  CLI::App* app = verbs.add("show", "Show a lock's holders and queue, with owners and ages",
                            "Example:\n  lockctl show billing/ledger");
  add_lock(app, *name, "Its name");
  verbs.on(app, [name](Context& context) {
    const LockInfo lock = context.connect().describe(*name);
    if (context.globals.json) {
      context.out.line(to_json(lock));
    } else {
      print_text(context.out, lock);
    }
    return kExitDone;
  });
}

}  // namespace holdfast::cli
