// contender: clients that fight for a few locks through libholdfast, and write down what they saw.
//
// Prints a history that history.py checks; HISTORY.md says what each line means. With --guarded it
// also writes, with its tokens, to what the locks protect. Ends after --seconds, or cleanly on
// SIGTERM; with status 1 if it met an error that faults don't explain.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "holdfast/holdfast.h"
#include "tests/cluster/guarded_client.h"
#include "tests/cluster/history_file.h"

namespace holdfast::testing {
namespace {

using namespace std::chrono_literals;

struct Settings {
  std::string endpoints;
  int clients = 4;
  int locks = 2;
  double seconds = 5;
  int ttl_ms = 2000;
  int hold_ms = 5;   // at most
  int pause_ms = 0;  // between two acquires
  double shared = 0.25;
  double show = 0.1;
  uint64_t seed = 1;
  std::string prefix = "contend";
  std::string guarded;  // the socket of guarded.py; empty: nothing is protected
};

std::atomic<bool> stopping{false};
std::atomic<bool> failed{false};

// DESIGN 2.4: a client counts on its lease for so long from when it sent what was answered.
constexpr int64_t certain_ns(int64_t ttl_ms) {
  return ttl_ms * 980'000;
}

// What the callbacks of one session need, which may outlive the contender's interest in it.
class LeaseWatch {
 public:
  LeaseWatch(HistoryFile& history, std::string client, int64_t ttl_ms)
      : history_(history), client_(std::move(client)), ttl_ms_(ttl_ms) {}

  void opened(const Session& session) {
    const std::lock_guard lock(mutex_);
    lease_ = session.lease();
    deadline_ = std::max(deadline_, session.deadline().boottime.count());
  }
  void renewed(Deadline deadline) {
    const std::lock_guard lock(mutex_);
    deadline_ = deadline.boottime.count();
    if (lease_.empty()) return;
    const int64_t until = true_ns_at(deadline_);
    const int64_t sent = until - certain_ns(ttl_ms_);
    history_.write(Line(client_, "renew")
                       .over(sent, true_ns(), true)
                       .text("lease", lease_)
                       .ns("sent", sent)
                       .ns("deadline", until));
  }
  void lost(const Error& why) {
    const std::lock_guard lock(mutex_);
    const int64_t now = true_ns();
    history_.write(Line(client_, "leaseLost")
                       .ns("start", now)
                       .ns("end", now)
                       .text("lease", lease_)
                       .ns("deadline", true_ns_at(deadline_))
                       .text("error", code_name(why.code()))
                       .text("why", why.what()));
  }

 private:
  HistoryFile& history_;
  const std::string client_;
  const int64_t ttl_ms_;
  std::mutex mutex_;
  std::string lease_;     // empty until the open returned
  int64_t deadline_ = 0;  // CLOCK_BOOTTIME
};

class Contender {
 public:
  Contender(const Settings& settings, Cell cell, HistoryFile& history, int index)
      : settings_(settings),
        cell_(std::move(cell)),
        history_(history),
        random_(settings.seed * 1000 + static_cast<uint64_t>(index)),
        name_(settings.prefix + "-" + std::to_string(getpid()) + "-" + std::to_string(index)) {
    if (!settings.guarded.empty()) guarded_.emplace(settings.guarded);
  }

  void run() {
    while (!stopping) {
      if (std::optional<Session> session = open()) {
        while (!stopping && session->alive()) contend(*session);
        close(*session);
      }
    }
    done_ = true;
  }

  bool done() const { return done_; }
  // Ends a wait that it may be in: there is no point in waiting for the end of the run.
  void interrupt() {
    const std::lock_guard lock(mutex_);
    if (waiting_for_) waiting_for_->cancel();
  }

 private:
  uint64_t pick(uint64_t bound) {
    return std::uniform_int_distribution<uint64_t>(0, bound - 1)(random_);
  }
  bool chance(double probability) {
    return std::uniform_real_distribution<double>(0, 1)(random_) < probability;
  }
  std::string any_lock() {
    return settings_.prefix + "/" + std::to_string(pick(static_cast<uint64_t>(settings_.locks)));
  }

  // Faults explain that the cell can't be reached, and that a lease ends. Nothing else.
  void explain(const char* op, const Error& error) {
    for (Code fault : {Code::unavailable, Code::timeout, Code::lease_lost, Code::lock_lost}) {
      if (error.code() == fault) return;
    }
    if (error.code() == Code::cancelled && stopping) return;
    std::fprintf(stderr, "%s: unexpected at %s: %s: %s\n", name_.c_str(), op,
                 std::string(code_name(error.code())).c_str(), error.what());
    failed = true;
  }

  Line line(const char* op) { return std::move(Line(name_, op).number("seq", ++seq_)); }

  std::optional<Session> open() {
    auto watch = std::make_shared<LeaseWatch>(history_, name_, settings_.ttl_ms);
    SessionOptions options{.ttl = milliseconds(settings_.ttl_ms)};
    options.on_renewed = [watch](Deadline deadline) { watch->renewed(deadline); };
    options.on_lost = [watch](const Error& why) { watch->lost(why); };
    Line opening = line("open");
    const int64_t start = true_ns();
    try {
      Session session = cell_.open_session(std::move(options));
      const int64_t end = true_ns();
      history_.write(opening.over(start, end, true)
                         .text("lease", session.lease())
                         .ns("ttl", settings_.ttl_ms * 1'000'000LL)
                         .ns("deadline", true_ns_at(session.deadline().boottime.count())));
      watch->opened(session);
      return session;
    } catch (const Error& error) {
      explain("open", error);
      history_.write(opening.unknown(start, code_name(error.code())));
      return std::nullopt;
    }
  }

  void close(Session& session) {
    if (!session.alive()) return;  // lost: the cell is told nothing
    Line closing = std::move(line("close").text("lease", session.lease()));
    const int64_t start = true_ns();
    try {
      session.close();
      history_.write(closing.over(start, true_ns(), true));
    } catch (const Error& error) {
      explain("close", error);
      history_.write(closing.unknown(start, code_name(error.code())));
    }
  }

  void contend(Session& session) {
    const std::string lock = any_lock();
    const bool shared = chance(settings_.shared);
    if (std::optional<Grant> grant = acquire(session, lock, shared)) {
      hold(session, lock, shared, *grant);
    }
    if (chance(settings_.show)) show(any_lock());
    if (settings_.pause_ms > 0) std::this_thread::sleep_for(milliseconds(settings_.pause_ms));
  }

  std::optional<Grant> acquire(Session& session, const std::string& lock, bool shared) {
    const milliseconds timeout(500 + pick(3000));
    Lock handle = session.lock(lock, {.mode = shared ? Mode::shared : Mode::exclusive});
    Line acquiring = std::move(line("acquire")
                                   .text("lock", lock)
                                   .text("mode", shared ? "shared" : "exclusive")
                                   .raw("permits", "1")
                                   .text("lease", session.lease())
                                   .flag("try", false)
                                   .ns("timeout", timeout.count() * 1'000'000));
    set_waiting_for(handle);
    const int64_t start = true_ns();
    try {
      std::optional<Grant> grant = handle.acquire(timeout);
      const int64_t end = true_ns();
      acquiring.over(start, end, grant.has_value(), grant ? "" : "timeout");
      if (grant) acquiring.number("token", grant->token());
      history_.write(acquiring);
      set_waiting_for(std::nullopt);
      return grant;
    } catch (const Error& error) {
      set_waiting_for(std::nullopt);
      explain("acquire", error);
      // Cancelling is confirmed by the cell. After another error it may even come through, but
      // never to this client's profit.
      if (error.code() == Code::cancelled) {
        history_.write(acquiring.over(start, true_ns(), false, "cancelled"));
      } else {
        history_.write(acquiring.unknown(start, code_name(error.code())));
      }
      return std::nullopt;
    }
  }

  void set_waiting_for(std::optional<Lock> lock) {
    const std::lock_guard guard(mutex_);
    waiting_for_ = std::move(lock);
  }

  // Counts on the lock only while held() says so, and says when it stopped.
  void hold(Session& session, const std::string& lock, bool shared, Grant& grant) {
    write(session, lock, shared, grant);
    const int64_t until =
        true_ns() +
        static_cast<int64_t>(pick(static_cast<uint64_t>(settings_.hold_ms) * 1'000'000 + 1));
    int64_t last_held = 0;
    for (;;) {
      // The moment is taken first: whoever is stopped between the two lines believes nothing that
      // held() hasn't said since.
      const int64_t moment = true_ns();
      if (!grant.held()) {
        lose(session, lock, grant, last_held);
        return write_late(session, lock, shared, grant);
      }
      last_held = moment;
      if (moment >= until || stopping) break;
      std::this_thread::sleep_for(
          std::min(200us, std::chrono::microseconds((until - moment) / 1000 + 1)));
    }
    write(session, lock, shared, grant);
    Line releasing = std::move(line("release")
                                   .text("lock", lock)
                                   .text("lease", session.lease())
                                   .number("token", grant.token()));
    try {
      grant.release();
      history_.write(releasing.over(last_held, true_ns(), true));
    } catch (const Error& error) {
      explain("release", error);
      history_.write(releasing.unknown(last_held, code_name(error.code())));
    }
  }

  void lose(Session& session, const std::string& lock, Grant& grant, int64_t last_held) {
    history_.write(Line(name_, "lost")
                       .ns("start", last_held)
                       .ns("end", true_ns())
                       .text("lock", lock)
                       .text("lease", session.lease())
                       .number("token", grant.token()));
  }

  // To what the lock protects. Refused, although the hold is certain even now: another one's token
  // was greater, and somebody was let in too early.
  void write(Session& session, const std::string& lock, bool shared, Grant& grant) {
    if (!guarded_) return;
    const std::string mode = shared ? "shared" : "exclusive";
    Line writing = std::move(line("write")
                                 .text("lock", lock)
                                 .text("mode", mode)
                                 .text("lease", session.lease())
                                 .number("token", grant.token()));
    const int64_t start = true_ns();
    const bool admitted = guarded_->write(lock, mode, grant.token(), name_);
    const bool held = grant.held();
    history_.write(
        writing.over(start, true_ns(), admitted, admitted ? "" : "fenced").flag("held", held));
  }

  // As one does that doesn't look any more: whoever has come after it must be safe from it.
  void write_late(Session& session, const std::string& lock, bool shared, Grant& grant) {
    if (!guarded_) return;
    std::this_thread::sleep_for(milliseconds(pick(static_cast<uint64_t>(settings_.ttl_ms))));
    write(session, lock, shared, grant);
  }

  void show(const std::string& lock) {
    Line showing = std::move(Line(name_, "show").text("lock", lock));
    const int64_t start = true_ns();
    try {
      const LockInfo info = cell_.describe(lock);
      showing.over(start, true_ns(), true);
      std::string holders;
      for (const Holder& holder : info.holders) {
        holders += (holders.empty() ? "{\"lease\":\"" : ",{\"lease\":\"") + holder.lease +
                   "\",\"holder\":\"" + std::to_string(holder.holder) + "\",\"mode\":\"" +
                   holder.mode + "\",\"permits\":1,\"token\":\"" + std::to_string(holder.token) +
                   "\"}";
      }
      std::string waiters;
      for (const Waiter& waiter : info.waiters) {
        waiters += (waiters.empty() ? "{\"lease\":\"" : ",{\"lease\":\"") + waiter.lease +
                   "\",\"mode\":\"" + waiter.mode + "\",\"permits\":1,\"convert\":false}";
      }
      history_.write(
          showing.raw("holders", "[" + holders + "]").raw("waiters", "[" + waiters + "]"));
    } catch (const Error& error) {
      explain("show", error);
      history_.write(showing.unknown(start, code_name(error.code())));
    }
  }

  const Settings& settings_;
  Cell cell_;
  HistoryFile& history_;
  std::mt19937_64 random_;
  const std::string name_;
  uint64_t seq_ = 0;
  std::optional<GuardedClient> guarded_;
  std::atomic<bool> done_{false};
  std::mutex mutex_;
  std::optional<Lock> waiting_for_;
};

std::vector<std::string> split(const std::string& list) {
  return CLI::detail::split(list, ',');
}

void run(const Settings& settings) {
  HistoryFile history(settings.seed);
  Cell cell = Cell::connect({.endpoints = split(settings.endpoints), .program = "contender"});
  std::vector<std::unique_ptr<Contender>> contenders;
  std::vector<std::thread> threads;
  for (int i = 0; i < settings.clients; ++i) {
    contenders.push_back(std::make_unique<Contender>(settings, cell, history, i));
    threads.emplace_back([contender = contenders.back().get()] { contender->run(); });
  }
  const auto end = std::chrono::steady_clock::now() +
                   milliseconds(static_cast<int64_t>(settings.seconds * 1000));
  const auto all_done = [&] {
    return std::ranges::all_of(contenders, [](const auto& each) { return each->done(); });
  };
  while (!all_done()) {
    if (std::chrono::steady_clock::now() >= end) stopping = true;
    if (stopping) {
      for (const auto& contender : contenders) contender->interrupt();
    }
    std::this_thread::sleep_for(20ms);  // how often the end and a signal are looked for
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace holdfast::testing

int main(int argc, char** argv) {
  using namespace holdfast::testing;
  Settings settings;
  CLI::App app("Clients that contend for locks and write down what they saw.");
  app.add_option("--endpoints", settings.endpoints)->required();
  app.add_option("--clients", settings.clients);
  app.add_option("--locks", settings.locks);
  app.add_option("--seconds", settings.seconds);
  app.add_option("--ttl-ms", settings.ttl_ms);
  app.add_option("--hold-ms", settings.hold_ms);
  app.add_option("--pause-ms", settings.pause_ms);
  app.add_option("--shared", settings.shared);
  app.add_option("--show", settings.show);
  app.add_option("--seed", settings.seed);
  app.add_option("--prefix", settings.prefix);
  app.add_option("--guarded", settings.guarded);
  CLI11_PARSE(app, argc, argv);
  std::signal(SIGTERM, [](int) { stopping = true; });
  run(settings);
  return failed ? 1 : 0;
}
