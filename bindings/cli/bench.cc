// lockctl bench: load on a cell, with latency percentiles.
#include "bindings/cli/load.h"

#include <unistd.h>

#include <cstdio>
#include <memory>
#include <optional>

#include "bindings/cli/exit_codes.h"
#include "bindings/cli/json.h"
#include "bindings/cli/signals.h"
#include "bindings/cli/text.h"
#include "bindings/cli/verb.h"

namespace holdfast::cli {
namespace {

using std::chrono::milliseconds;

struct Options {
  LoadOptions load;
  std::optional<milliseconds> duration;
  std::optional<milliseconds> warm_up;
};

std::string micros(double us) {
  char text[32];
  if (us < 1000) {
    snprintf(text, sizeof text, "%.0fus", us);
  } else {
    snprintf(text, sizeof text, us < 100'000 ? "%.2fms" : "%.0fms", us / 1000);
  }
  return text;
}

void print_table(Output& out, const BenchResult& result) {
  Table table({"WORKLOAD", "CLIENTS", "SECONDS", "OPS", "OPS/S", "P50", "P90", "P99", "P99.9",
               "MAX", "ERRORS"});
  char seconds[32];
  snprintf(seconds, sizeof seconds, "%.1f", result.seconds);
  table.row({result.workload, std::to_string(result.clients), seconds,
             std::to_string(result.operations),
             std::to_string(static_cast<uint64_t>(result.ops_per_second)), micros(result.p50_us),
             micros(result.p90_us), micros(result.p99_us), micros(result.p999_us),
             micros(result.max_us), std::to_string(result.errors)});
  table.print(out);
}

// A line that rewrites itself, for those who watch.
class ProgressLine {
 public:
  explicit ProgressLine(const Context& context)
      : shown_(!context.globals.quiet && isatty(STDERR_FILENO) != 0) {}

  void show(uint64_t operations, milliseconds elapsed) {
    const double seconds = static_cast<double>((elapsed - last_).count()) / 1000;
    if (!shown_ || seconds <= 0) return;
    fprintf(stderr, "\r\x1b[K%5.1fs  %10.0f ops/s", static_cast<double>(elapsed.count()) / 1000,
            static_cast<double>(operations - last_operations_) / seconds);
    last_operations_ = operations;
    last_ = elapsed;
  }
  void erase() const {
    if (shown_) fputs("\r\x1b[K", stderr);
  }

 private:
  const bool shown_;
  uint64_t last_operations_ = 0;
  milliseconds last_{0};
};

int bench(Context& context, const Options& options) {
  LoadOptions load = options.load;
  load.duration = options.duration.value_or(load.duration);
  load.warm_up = options.warm_up.value_or(load.warm_up);
  if (load.duration.count() == 0) throw UsageError("--duration must be above 0");
  if (load.batch && load.workload != "renew") throw UsageError("--batch goes with renew");
  if (load.connections > load.clients) load.connections = load.clients;
  load.prefix = "bench/" + std::to_string(getpid()) + "/";

  // A signal ends the load in order: else its leases would go on for a minute.
  Signals signals(context.inherited);
  ProgressLine line(context);
  std::optional<int> ended_by;
  const auto result =
      run_load(context.cell_options(), load, [&](uint64_t operations, milliseconds elapsed) {
        line.show(operations, elapsed);
        while (const auto number = signals.next()) {
          if (Signals::ends(*number)) ended_by = number;
          if (*number == SIGTSTP) signals.stop_self(false);
        }
        return !ended_by;
      });
  line.erase();
  if (!result) die_by(*ended_by);
  if (context.globals.json) {
    context.out.line(to_json(*result));
  } else {
    print_table(context.out, *result);
  }
  return kExitDone;
}

}  // namespace

void add_bench(Verbs& verbs) {
  auto options = std::make_shared<Options>();
  options->load.workload = "pairs";
  CLI::App* app = verbs.add(
      "bench", "Put load on a cell and print throughput and latency percentiles",
      "Workloads:\n"
      "  pairs    one acquire plus one release of a free lock (contended, if --locks is few)\n"
      "  handoff  all clients queue for one lock; from one's release to the next one's grant\n"
      "  renew    one lease renewed, with a call for each or --batch\n"
      "  expiry   leases that end together; how late those who wait for their locks get them\n"
      "  watch    a change of a lock; until all clients, who watch it, have heard of it\n"
      "  mixed    of ten seven pairs, two in mode shared, one renewal\n"
      "Each client has a lease of its own and one operation under way at a time.\n"
      "\nExample:\n"
      "  lockctl bench --workload pairs --clients 64 --duration 5s");
  add_choice(app, "--workload", options->load.workload,
             {"pairs", "handoff", "renew", "expiry", "watch", "mixed"},
             "What an operation is (pairs)");
  add_count(app, "--clients", options->load.clients, 1, 100'000, "How many at once (64)");
  add_count(app, "--connections", options->load.connections, 1, 256, "They share so many (1)");
  add_count(app, "--locks", options->load.locks, 1, 1'000'000,
            "pairs: choose among so many (one for each client)");
  app->add_flag("--batch", options->load.batch,
                "renew: one call for all leases of a connection, as the library does by itself");
  add_duration(app, "--duration", options->duration, "Of the measurement (5s)");
  add_duration(app, "--warm-up", options->warm_up, "Before it, not counted (1s)");
  verbs.on(app, [options](Context& context) { return bench(context, *options); });
}

}  // namespace holdfast::cli
