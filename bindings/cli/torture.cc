// lockctl torture: contenders against one's own cell, which check that it keeps its promises.
#include <poll.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <random>
#include <thread>

#include "bindings/cli/exit_codes.h"
#include "bindings/cli/json.h"
#include "bindings/cli/signals.h"
#include "bindings/cli/text.h"
#include "bindings/cli/torture_history.h"
#include "bindings/cli/torture_referee.h"
#include "bindings/cli/torture_result.h"
#include "bindings/cli/verb.h"

namespace holdfast::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr uint64_t kMaxClients = 200;
constexpr uint64_t kClientsPerLock = 3;
constexpr milliseconds kTtl{2000};
constexpr milliseconds kMaxWait{500};
constexpr milliseconds kMaxHold{10};
constexpr milliseconds kReport{1000};
constexpr size_t kMaxTold = 20;  // violations, word by word

struct Options {
  std::optional<milliseconds> duration;
  uint64_t clients = 10;
  std::string history;
};

// What all contenders share.
struct Arena {
  explicit Arena(const std::string& history_path) : history(history_path) {}

  Referee referee;
  TortureHistory history;
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> grants{0}, not_acquired{0}, unavailable{0}, lost{0}, fenced{0};
  std::atomic<uint64_t> violations{0};
  std::mutex mutex;
  std::vector<std::string> told;  // under the mutex: the first violations

  void blame(const std::string& what) {
    ++violations;
    const std::lock_guard lock(mutex);
    if (told.size() < kMaxTold) told.push_back(what);
  }
};

// A client of its own: connection, identity, session.
class Contender {
 public:
  Contender(const CellOptions& options, Arena& arena, std::vector<std::string> locks,
            uint64_t number)
      : cell_(Cell::connect(options)),
        arena_(arena),
        locks_(std::move(locks)),
        name_("c" + std::to_string(number)),
        random_(std::random_device{}()) {}

  void run() {
    while (!arena_.stop) {
      try {
        Session session = cell_.open_session({.ttl = kTtl, .reason = "lockctl torture"});
        while (!arena_.stop && session.alive()) contend(session);
        if (!arena_.stop) ++arena_.lost;
        session.close();
      } catch (const Error& error) {
        explain(error);
      }
    }
  }

 private:
  uint64_t pick(uint64_t bound) {
    return std::uniform_int_distribution<uint64_t>(0, bound - 1)(random_);
  }

  void contend(Session& session) {
    const std::string& lock = locks_[pick(locks_.size())];
    const Mode mode = pick(4) == 0 ? Mode::shared : Mode::exclusive;
    SeenOperation seen = begin("acquire", lock, session);
    seen.details.emplace_back("mode", mode_name(mode));
    try {
      auto grant = session.lock(lock, {.mode = mode}).acquire(milliseconds(pick(kMaxWait.count())));
      seen.end = true_ns();
      if (!grant) {
        ++arena_.not_acquired;
        seen.outcome = SeenOperation::Outcome::without_effect;
        seen.error = "timeout";
        return arena_.history.write(seen);
      }
      seen.details.emplace_back("token", std::to_string(grant->token()));
      arena_.history.write(seen);
      hold(session, lock, *grant);
    } catch (const Error& error) {
      note_failure(seen, error);
    }
  }

  void hold(Session& session, const std::string& lock, Grant& grant) {
    ++arena_.grants;
    if (auto wrong = arena_.referee.enter(lock, grant)) arena_.blame(*wrong);
    std::this_thread::sleep_for(milliseconds(pick(kMaxHold.count())));
    const bool was_held = grant.held();
    if (!arena_.referee.admits(lock, grant)) {
      ++arena_.fenced;
      // It was certain before it asked, and still is: nobody can have come after it.
      if (was_held && grant.held()) {
        arena_.blame("a holder of " + lock + " was fenced: token " + std::to_string(grant.token()));
      }
    }
    arena_.referee.leave(lock, grant);
    SeenOperation seen = begin("release", lock, session);
    seen.details.emplace_back("token", std::to_string(grant.token()));
    try {
      grant.release();
      seen.end = true_ns();
      arena_.history.write(seen);
    } catch (const Error& error) {
      note_failure(seen, error);
    }
  }

  SeenOperation begin(const char* op, const std::string& lock, const Session& session) {
    SeenOperation seen;
    seen.client = name_;
    seen.op = op;
    seen.details = {{"lock", lock}, {"lease", session.lease()}, {"seq", std::to_string(++seq_)}};
    seen.start = true_ns();
    return seen;
  }

  void note_failure(SeenOperation& seen, const Error& error) {
    seen.outcome = SeenOperation::Outcome::unknown;
    seen.error = code_name(error.code());
    arena_.history.write(seen);
    explain(error);
  }

  // Faults of the cell explain that it can't be reached and that leases end. Nothing else.
  void explain(const Error& error) {
    switch (error.code()) {
      case Code::unavailable:
      case Code::timeout: ++arena_.unavailable; break;
      case Code::lease_lost:
      case Code::lock_lost: break;
      default:
        arena_.blame("unexpected " + std::string(code_name(error.code())) + ": " + error.what());
    }
  }

  Cell cell_;
  Arena& arena_;
  const std::vector<std::string> locks_;
  const std::string name_;
  std::mt19937_64 random_;
  uint64_t seq_ = 0;
};

// Names of this run's own: it disturbs nobody.
std::vector<std::string> lock_names(uint64_t clients) {
  const std::string prefix = "holdfast-torture/" + std::to_string(std::random_device{}()) + "/";
  std::vector<std::string> names;
  for (uint64_t i = 0; i <= (clients - 1) / kClientsPerLock; ++i) {
    names.push_back(prefix + std::to_string(i));
  }
  return names;
}

TortureResult result_of(const Arena& arena, const Options& options, double seconds) {
  return {options.clients,   seconds,    arena.grants, arena.not_acquired,
          arena.unavailable, arena.lost, arena.fenced, arena.violations};
}

void print(Context& context, const TortureResult& result) {
  if (context.globals.json) return context.out.line(to_json(result));
  Table table(
      {"CLIENTS", "SECONDS", "GRANTS", "TIMED OUT", "UNAVAILABLE", "LEASES LOST", "VIOLATIONS"});
  table.row({std::to_string(result.clients), std::to_string(static_cast<int>(result.seconds)),
             std::to_string(result.grants), std::to_string(result.not_acquired),
             std::to_string(result.unavailable), std::to_string(result.leases_lost),
             std::to_string(result.violations)});
  table.print(context.out);
}

// Until the time is up or a signal comes; tells how it goes once a second. The signal, if any.
std::optional<int> watch_over(Context& context, Signals& signals, const Arena& arena,
                              steady_clock::time_point end) {
  auto next = steady_clock::now() + kReport;
  for (;;) {
    const auto now = steady_clock::now();
    if (now >= end) return std::nullopt;
    const auto left = std::chrono::ceil<milliseconds>(std::min(next, end) - now);
    pollfd event{signals.fd(), POLLIN, 0};
    poll(&event, 1, static_cast<int>(left.count()));
    while (const auto number = signals.next()) {
      if (Signals::ends(*number)) return number;
    }
    if (steady_clock::now() < next) continue;
    next += kReport;
    if (!context.globals.quiet && isatty(STDERR_FILENO)) {
      fprintf(stderr, "\r%llu grants, %llu violations ",
              static_cast<unsigned long long>(arena.grants.load()),
              static_cast<unsigned long long>(arena.violations.load()));
    }
  }
}

int torture(Context& context, const Options& options) {
  const milliseconds duration = options.duration.value_or(milliseconds(10'000));
  Signals signals(context.inherited);
  Arena arena(options.history);
  const auto locks = lock_names(options.clients);
  const auto start = steady_clock::now();
  std::optional<int> interrupted;
  {
    std::vector<std::unique_ptr<Contender>> contenders;
    std::vector<std::thread> threads;
    for (uint64_t i = 0; i < options.clients; ++i) {
      contenders.push_back(
          std::make_unique<Contender>(context.cell_options(), arena, locks, i + 1));
      threads.emplace_back([&contender = *contenders.back()] { contender.run(); });
    }
    interrupted = watch_over(context, signals, arena, start + duration);
    arena.stop = true;
    for (std::thread& thread : threads) thread.join();
  }
  if (!context.globals.quiet && isatty(STDERR_FILENO)) fprintf(stderr, "\r\033[K");
  const std::chrono::duration<double> took = steady_clock::now() - start;
  arena.history.finish();
  print(context, result_of(arena, options, took.count()));
  context.out.flush();
  for (const std::string& violation : arena.told) context.complain("internal", violation);
  if (arena.violations > 0) return kExitNo;
  if (arena.grants == 0) {
    throw Failure(kExitUnreachable, "unavailable", "nothing was granted: is the cell there?");
  }
  if (interrupted) die_by(*interrupted);
  return kExitDone;
}

}  // namespace

void add_torture(Verbs& verbs) {
  auto options = std::make_shared<Options>();
  CLI::App* app = verbs.add(
      "torture", "Have clients fight for locks, and check that the cell keeps its promises",
      "Each of the clients acquires and releases locks of the run's own, exclusive and shared.\n"
      "Checked are: no two clients are certain at once of holds that conflict; no token comes\n"
      "twice; what a certain holder writes to never has seen a greater one. Break things\n"
      "meanwhile: kill nodes, part networks, stop processes. Exit 0: all was kept; 1: a promise\n"
      "was broken, told on stderr; 69: nothing was granted.\n"
      "\nExample:\n"
      "  lockctl torture --duration 1m --clients 20");
  add_duration(app, "--duration", options->duration, "How long (10s)");
  add_count(app, "--clients", options->clients, 2, kMaxClients,
            "How many, each with a thread (10)");
  add_text(app, "--history", options->history,
           "Write what the clients saw to this file, for a checker of histories")
      ->type_name("FILE");
  verbs.on(app, [options](Context& context) { return torture(context, *options); });
}

}  // namespace holdfast::cli
