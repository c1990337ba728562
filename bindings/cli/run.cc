#include "bindings/cli/run.h"

#include <algorithm>
#include <memory>

#include "bindings/cli/acquisition.h"
#include "bindings/cli/exit_codes.h"
#include "bindings/cli/guard.h"
#include "bindings/cli/signals.h"
#include "bindings/cli/supervisor.h"
#include "bindings/cli/text.h"
#include "bindings/cli/verb.h"
#include "bindings/cli/wait_for_lock.h"

namespace holdfast::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr milliseconds kDefaultGrace{2000};
constexpr milliseconds kMaxMargin{250};

// The library renews at a third of the TTL. TERM must come after that, with time for a second
// attempt while the cell changes its leader; so the grace is at most half of the TTL.
Graces graces(const RunOptions& options) {
  const milliseconds ttl = options.acquire.lease_ttl();
  const milliseconds grace = options.kill_grace.value_or(std::min(kDefaultGrace, ttl / 4));
  if (grace > ttl / 2) {
    throw UsageError("--kill-grace must be at most half of the TTL, " + format_duration(ttl / 2));
  }
  return {nanoseconds(grace).count(), nanoseconds(std::min(kMaxMargin, ttl / 20)).count()};
}

std::vector<std::pair<std::string, std::string>> environment(const RunOptions& options,
                                                             const Acquisition& acquisition) {
  std::vector<std::pair<std::string, std::string>> all = {
      {"HOLDFAST_LOCK", options.acquire.lock},
      {"HOLDFAST_TOKEN", std::to_string(acquisition.token())},
      {"HOLDFAST_LEASE", acquisition.lease()},
      {"HOLDFAST_DEADLINE", std::to_string(acquisition.deadline().unix_ms())}};
  const std::vector<uint64_t> tokens = acquisition.tokens();
  for (size_t i = 0; i < options.acquire.more_locks.size(); ++i) {
    const std::string number = std::to_string(i + 2);
    all.emplace_back("HOLDFAST_LOCK_" + number, options.acquire.more_locks[i]);
    all.emplace_back("HOLDFAST_TOKEN_" + number, std::to_string(tokens[i + 1]));
  }
  return all;
}

// CMD is done, and its group was gone before the local deadline, or the supervisor would have said
// so. What remains is to give the lock back, and to say if somebody took it away meanwhile. A
// deadline that passes while the cell can't be reached is no such loss.
int release(Context& context, Acquisition& acquisition, int status) {
  try {
    acquisition.release();
  } catch (const Error& error) {
    if (exit_code_of(error) == kExitLost && Deadline::now() < acquisition.deadline()) {
      context.complain(
          std::string(code_name(error.code())),
          std::string(error.what()) + "; the command had ended with " + std::to_string(status));
      return kExitLost;
    }
    if (!context.globals.quiet) {
      context.complain(std::string(code_name(error.code())),
                       "the lock stays taken until its lease ends, as the cell can't be told: " +
                           std::string(error.what()));
    }
  }
  return status;
}

}  // namespace

int run_under_lock(Context& context, const RunOptions& options) {
  const Graces times = graces(options);
  options.acquire.lock_options();  // what doesn't go together is an error before anything is done
  Signals signals(context.inherited);
  // Before any thread exists: the library's starts with the Cell.
  auto guard = std::make_unique<Guard>(context.inherited, times.grace_ns);

  CellOptions cell_options = context.cell_options();
  // Of any bytes, the fit ones: an owner's program is short UTF-8.
  cell_options.program =
      "lockctl " + options.verb + " " + printable(context.command[0].substr(0, 200));
  Cell cell = Cell::connect(cell_options);
  Acquisition acquisition(cell, options.acquire);
  wait_for_lock(context, signals, cell, acquisition);
  if (!acquisition.acquired()) {
    context.say_not_acquired(options.acquire);
    return static_cast<int>(options.not_acquired);
  }
  context.verbose("acquired " + options.acquire.lock + ", token " +
                  std::to_string(acquisition.token()) + ", lease " + acquisition.lease());

  acquisition.rethrow();
  const auto variables = environment(options, acquisition);
  Supervisor supervisor(context, signals, acquisition, times, std::move(guard),
                        JeopardyHook(context, options.on_jeopardy, variables));
  const int status = supervisor.run(context.command, variables);
  if (supervisor.ended_early()) return status;
  return release(context, acquisition, status);
}

void add_run_options(CLI::App* app, RunOptions& options) {
  add_duration(app, "--kill-grace", options.kill_grace,
               "From SIGTERM to SIGKILL (a quarter of the TTL, at most 2s)");
  add_text(app, "--on-jeopardy", options.on_jeopardy,
           "Run by /bin/sh when the renewal is overdue, safe again, or the lease lost")
      ->type_name("CMD");
}

namespace {

constexpr char kDetails[] =
    "Waits for the lock, runs CMD with it, gives it back, and exits with CMD's status (128+N:\n"
    "ended by signal N). CMD finds HOLDFAST_LOCK, HOLDFAST_TOKEN (the fencing token: give it to\n"
    "what CMD writes to), HOLDFAST_LEASE and HOLDFAST_DEADLINE (unix ms) in its environment. All\n"
    "behind the first -- reaches CMD untouched; signals to lockctl do, too. With -L it gets\n"
    "several locks at once, all or none: the second is HOLDFAST_LOCK_2 with HOLDFAST_TOKEN_2, and\n"
    "so on.\n"
    "\n"
    "CMD has a process group of its own, and no process of it outlives the lock: those that CMD\n"
    "leaves behind get SIGTERM when it ends and, after --kill-grace, SIGKILL; only then is the\n"
    "lock given back. If the lease is lost or can't be renewed in time, the whole group gets the\n"
    "same before the lock can pass to another, and lockctl exits 76; also if lockctl itself is\n"
    "stopped or killed. Processes that leave the group (setsid, a shell's own jobs) are out of\n"
    "reach.\n"
    "\n"
    "Exit: CMD's status; 1 not acquired (-E); 69 cell unreachable; 76 lock lost; 126 CMD can't be\n"
    "run; 127 CMD not found.\n"
    "\n"
    "Examples:\n"
    "  lockctl run billing/ledger -- ./close-the-month 2024\n"
    "  lockctl run -n -E 0 cron/backup -- ./backup.sh\n"
    "  lockctl run -s -w 30s config -- cat /srv/config\n"
    "  lockctl run --capacity 3 builders -- make";

}  // namespace

void add_run(Verbs& verbs) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* app = verbs.add("run", "Run a command while holding a lock", kDetails);
  add_acquire_options(app, options->acquire);
  add_more_locks(app, options->acquire.more_locks, "Also this lock, together with LOCK");
  add_count(app, "-E,--not-acquired", options->not_acquired, 0, 255,
            "Exit code if -n or -w did not get it (1)")
      ->type_name("CODE");
  add_run_options(app, *options);
  verbs.on(app, [options](Context& context) {
    if (context.command.empty()) {
      throw UsageError("what to run is missing: lockctl run LOCK -- CMD");
    }
    return run_under_lock(context, *options);
  });
}

}  // namespace holdfast::cli
