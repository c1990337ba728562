// lockctl elect: campaigns, and leads while a command runs, or until it is ended.
#include <memory>

#include "bindings/cli/acquisition.h"
#include "bindings/cli/exit_codes.h"
#include "bindings/cli/json.h"
#include "bindings/cli/run.h"
#include "bindings/cli/signals.h"
#include "bindings/cli/verb.h"
#include "bindings/cli/wait_for_lock.h"
#include "lockcore/base/limits.h"

namespace holdfast::cli {
namespace {

void print(Context& context, const RunOptions& options, const Acquisition& acquisition) {
  const Acquired acquired{options.acquire.lock, acquisition.lease(), acquisition.token(),
                          acquisition.deadline().unix_ms()};
  context.out.line(context.globals.json ? to_json(acquired)
                                        : "leading, token=" + std::to_string(acquired.token) +
                                              " lease=" + acquired.lease);
  context.out.flush();
}

// Without a command: until a signal, or the loss.
int lead(Context& context, const RunOptions& options) {
  options.acquire.lease_ttl();
  Signals signals(context.inherited);
  Cell cell = context.connect();
  Acquisition acquisition(cell, options.acquire);
  wait_for_lock(context, signals, cell, acquisition);
  if (!acquisition.acquired()) {
    context.say_not_acquired(options.acquire);
    return static_cast<int>(options.not_acquired);
  }
  print(context, options, acquisition);
  for (;;) {
    if (const auto ended = wait_or_signal(signals, acquisition.fd())) {
      pthread_sigmask(SIG_SETMASK, &context.inherited.mask, nullptr);
      acquisition.release();
      cell.close();
      die_by(*ended);
    }
    acquisition.clear_fd();
    acquisition.rethrow();
  }
}

constexpr char kDetails[] =
    "Waits to be the one leader of NAME. With a CMD, runs it while leading, with all that `run`\n"
    "promises, and resigns when it ends; HOLDFAST_TOKEN is the term. Without, says that it leads\n"
    "and does so until it is ended by a signal (it resigns then) or the lease is lost (76).\n"
    "--value is what `lockctl observe` and `show` tell of the leader.\n"
    "\nExamples:\n"
    "  lockctl elect jobs/scheduler --value host-1:8080 -- ./scheduler\n"
    "  lockctl elect -n jobs/scheduler -- ./scheduler";

}  // namespace

void add_elect(Verbs& verbs) {
  auto options = std::make_shared<RunOptions>();
  options->verb = "elect";
  options->acquire.election = true;
  CLI::App* app = verbs.add("elect", "Lead, as the only one, while a command runs", kDetails);
  AcquireOptions& acquire = options->acquire;
  add_name(app, acquire.lock, "What is led, such as jobs/scheduler");
  add_text(app, "--value", acquire.value, "What the leader says of itself");
  auto* no_wait = app->add_flag("-n,--no-wait", acquire.no_wait, "Fail at once if another leads");
  add_duration(app, "-w,--wait", acquire.wait, "Wait at most that long")->excludes(no_wait);
  add_ttl_option(app, acquire.ttl);
  add_reason(app, acquire.reason, "Shown to whoever asks who leads");
  add_run_options(app, *options);
  verbs.on(app, [options](Context& context) {
    if (options->acquire.value.size() > base::kMaxValueBytes) {
      throw UsageError("--value is longer than 64 KiB");
    }
    return context.command.empty() ? lead(context, *options) : run_under_lock(context, *options);
  });
}

}  // namespace holdfast::cli
