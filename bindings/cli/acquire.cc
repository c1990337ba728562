// lockctl acquire: takes a lock and leaves it to the caller, who renews, releases and closes.
#include <poll.h>

#include <exception>
#include <memory>
#include <thread>

#include "bindings/cli/acquisition.h"
#include "bindings/cli/exit_codes.h"
#include "bindings/cli/json.h"
#include "bindings/cli/signals.h"
#include "bindings/cli/text.h"
#include "bindings/cli/verb.h"
#include "bindings/cli/wait_for_lock.h"

namespace holdfast::cli {
namespace {

struct Options {
  AcquireOptions acquire;
  std::optional<std::string> lease;
};

void print(Context& context, const Acquired& acquired) {
  if (context.globals.json) return context.out.line(to_json(acquired));
  // Fit for eval. The name may hold anything and is known to the caller, so it isn't there.
  context.out.line("lease=" + acquired.lease + " token=" + std::to_string(acquired.token) +
                   " deadline=" + std::to_string(acquired.deadline_ms));
}

std::optional<Acquired> under_new_lease(Context& context, const AcquireOptions& options) {
  Signals signals(context.inherited);
  Cell cell = context.connect();
  Acquisition acquisition(cell, options);
  wait_for_lock(context, signals, cell, acquisition);
  if (!acquisition.acquired()) return std::nullopt;
  const uint64_t token = acquisition.token();
  const OpenedLease lease = acquisition.detach();
  return Acquired{options.lock, lease.id, token, lease.deadline.unix_ms()};
}

// A wait that a signal ends must not leave a waiter behind: under a lease that somebody renews, it
// would be granted some day, and nobody would know.
std::optional<Cell::RawGrant> acquire_raw(Context& context, Cell& cell, const Options& options) {
  std::optional<Cell::RawGrant> grant;
  std::exception_ptr failure;
  const auto bell = std::make_shared<Bell>();
  Signals signals(context.inherited);
  std::thread waiting([&] {
    try {
      grant = cell.acquire(*options.lease, options.acquire.lock, options.acquire.lock_options(),
                           options.acquire.timeout());
    } catch (...) {
      failure = std::current_exception();
    }
    bell->ring();
  });
  const std::optional<int> interrupted = wait_or_signal(signals, bell->fd());
  if (interrupted) cell.close();  // cancels what waits
  waiting.join();
  if (interrupted) die_by(*interrupted);
  if (failure) std::rethrow_exception(failure);
  return grant;
}

std::optional<Acquired> under_lease(Context& context, const Options& options) {
  Cell cell = context.connect();
  const auto grant = acquire_raw(context, cell, options);
  if (!grant) return std::nullopt;
  // Nobody renewed the lease through this cell, so its deadline has to be asked for. The leader
  // ends it no earlier than `remaining` after this question was sent; 2 % of that is for clock
  // rates.
  Deadline deadline = Deadline::now();
  const LeaseInfo lease = cell.lease(*options.lease);
  deadline.boottime += std::chrono::nanoseconds(lease.remaining) / 100 * 98;
  return Acquired{options.acquire.lock, *options.lease, grant->token, deadline.unix_ms()};
}

int acquire(Context& context, const Options& options) {
  options.acquire.lease_ttl();  // out of range is an error even where it isn't used
  options.acquire.lock_options();
  const auto acquired =
      options.lease ? under_lease(context, options) : under_new_lease(context, options.acquire);
  if (!acquired) {
    context.say_not_acquired(options.acquire);
    return kExitNo;
  }
  print(context, *acquired);
  return kExitDone;
}

}  // namespace

void add_acquire(Verbs& verbs) {
  auto options = std::make_shared<Options>();
  CLI::App* app = verbs.add(
      "acquire", "Take a lock and leave it to a script that keeps the lease itself",
      "Prints lease=... token=... deadline=... (unix ms). Without --lease a lease is opened.\n"
      "Nobody renews it: do so before the deadline, or the lock passes on. `run` does all of that\n"
      "for you.\n"
      "\nExample:\n"
      "  eval \"$(lockctl acquire --ttl 1m billing/ledger)\"\n"
      "  lockctl release billing/ledger --lease $lease --token $token --close");
  add_acquire_options(app, options->acquire);
  auto* lease =
      add_text(app, "--lease", options->lease, "Hold it under this lease")->type_name("ID");
  app->get_option("--ttl")->excludes(lease);
  verbs.on(app, [options](Context& context) { return acquire(context, *options); });
}

}  // namespace holdfast::cli
