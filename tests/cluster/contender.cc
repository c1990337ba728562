// contender: clients that fight for a few locks through libholdfast, and write down what they saw.
//
// Prints a history (one JSON object per line, times in ns of CLOCK_MONOTONIC_RAW, the one true
// clock of all processes of a machine). tests/cluster/history.py checks it, knowing nothing of
// Holdfast's code. Ends after --seconds, or cleanly on SIGTERM.
#include <time.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "holdfast/holdfast.h"

namespace {

using namespace std::chrono_literals;

struct Settings {
  std::string endpoints;
  int clients = 4;
  int locks = 2;
  double seconds = 5;
  int ttl_ms = 2000;
  int hold_ms = 5;  // at most
  double shared = 0.25;
  uint64_t seed = 1;
  std::string prefix = "contend";
};

std::atomic<bool> stopping{false};

int64_t true_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_RAW, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

// One line of the history at a time, from any thread.
class History {
 public:
  void line(const std::string& text) {
    const std::lock_guard lock(mutex_);
    std::fputs(text.c_str(), stdout);
    std::fputc('\n', stdout);
    std::fflush(stdout);
  }

 private:
  std::mutex mutex_;
};

// All values are numbers or names that this program made: nothing needs escaping.
std::string field(const char* name, const std::string& value) {
  return std::string("\"") + name + "\":\"" + value + "\"";
}

std::string head(const std::string& client, const char* op, uint64_t seq, int64_t start,
                 int64_t end) {
  return "{" + field("client", client) + "," + field("op", op) + "," +
         field("seq", std::to_string(seq)) + "," + field("start", std::to_string(start)) + "," +
         field("end", std::to_string(end));
}

class Contender {
 public:
  Contender(const Settings& settings, holdfast::Cell cell, History& history, int index)
      : settings_(settings),
        cell_(std::move(cell)),
        history_(history),
        random_(settings.seed * 1000 + static_cast<uint64_t>(index)),
        name_(settings.prefix + "-" + std::to_string(getpid()) + "-" + std::to_string(index)) {}

  void run() {
    while (!stopping) {
      try {
        auto session = cell_.open_session({.ttl = std::chrono::milliseconds(settings_.ttl_ms)});
        while (!stopping && session.alive()) contend(session);
        session.close();
      } catch (const holdfast::Error& error) {
        if (error.code() != holdfast::Code::unavailable &&
            error.code() != holdfast::Code::timeout &&
            error.code() != holdfast::Code::lease_lost) {
          std::fprintf(stderr, "%s: unexpected %s: %s\n", name_.c_str(),
                       std::string(code_name(error.code())).c_str(), error.what());
          failed = true;
        }
      }
    }
  }

  static inline std::atomic<bool> failed{false};

 private:
  uint64_t pick(uint64_t bound) {
    return std::uniform_int_distribution<uint64_t>(0, bound - 1)(random_);
  }

  void contend(holdfast::Session& session) {
    const std::string lock = settings_.prefix + "/" + std::to_string(pick(
                                 static_cast<uint64_t>(settings_.locks)));
    const bool shared = static_cast<double>(pick(1000)) < settings_.shared * 1000;
    auto handle = session.lock(
        lock, {.mode = shared ? holdfast::Mode::shared : holdfast::Mode::exclusive, .reason = {}});
    const uint64_t seq = ++seq_;
    const int64_t start = true_ns();
    std::optional<holdfast::Grant> grant;
    std::string error;
    try {
      grant = handle.acquire(std::chrono::milliseconds(500 + pick(3000)));
    } catch (const holdfast::Error& caught) {
      error = code_name(caught.code());
      if (caught.code() == holdfast::Code::internal) failed = true;
    }
    const int64_t granted_at = true_ns();
    std::string line = head(name_, "acquire", seq, start, granted_at) + "," + field("lock", lock) +
                       "," + field("mode", shared ? "shared" : "exclusive") + "," +
                       field("lease", session.lease());
    if (grant) {
      history_.line(line + ",\"ok\":true," + field("token", std::to_string(grant->token())) +
                    ",\"error\":null}");
      hold(session, lock, *grant);
    } else if (error.empty()) {
      history_.line(line + ",\"ok\":false," + field("error", "timeout") + "}");
    } else {
      // An error leaves it open whether it ever took effect, but never to this client's profit.
      history_.line(line + ",\"ok\":null," + field("error", error) + "}");
      std::this_thread::yield();
    }
  }

  // Counts on the lock only while held() says so, and says when it stopped.
  void hold(holdfast::Session& session, const std::string& lock, holdfast::Grant& grant) {
    const uint64_t token = grant.token();
    const int64_t until =
        true_ns() +
        static_cast<int64_t>(pick(static_cast<uint64_t>(settings_.hold_ms) * 1000 + 1)) * 1000;
    int64_t last_held = 0;
    bool lost = false;
    for (;;) {
      // The moment is taken first: whoever is stopped between the two lines believes nothing that
      // held() hasn't said since.
      const int64_t moment = true_ns();
      if (!grant.held()) {
        lost = true;
        break;
      }
      last_held = moment;
      if (moment >= until || stopping) break;
    }
    const uint64_t seq = ++seq_;
    if (lost) {
      history_.line(head(name_, "lost", seq, last_held, true_ns()) + "," + field("lock", lock) +
                    "," + field("token", std::to_string(token)) + "}");
      return;
    }
    std::string outcome = "\"ok\":true,\"error\":null";
    try {
      grant.release();
    } catch (const holdfast::Error& caught) {
      outcome = "\"ok\":null," + field("error", std::string(code_name(caught.code())));
    }
    history_.line(head(name_, "release", seq, last_held, true_ns()) + "," + field("lock", lock) +
                  "," + field("lease", session.lease()) + "," +
                  field("token", std::to_string(token)) + "," + outcome + "}");
  }

  const Settings& settings_;
  holdfast::Cell cell_;
  History& history_;
  std::mt19937_64 random_;
  const std::string name_;
  uint64_t seq_ = 0;
};

std::vector<std::string> split(const std::string& list) { return CLI::detail::split(list, ','); }

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  CLI::App app("Clients that contend for locks and write down what they saw.");
  app.add_option("--endpoints", settings.endpoints)->required();
  app.add_option("--clients", settings.clients);
  app.add_option("--locks", settings.locks);
  app.add_option("--seconds", settings.seconds);
  app.add_option("--ttl-ms", settings.ttl_ms);
  app.add_option("--hold-ms", settings.hold_ms);
  app.add_option("--shared", settings.shared);
  app.add_option("--seed", settings.seed);
  app.add_option("--prefix", settings.prefix);
  CLI11_PARSE(app, argc, argv);
  std::signal(SIGTERM, [](int) { stopping = true; });

  History history;
  history.line(
      "{\"holdfastHistory\":1," + field("seed", std::to_string(settings.seed)) +
      ",\"clock\":\"monotonic_raw\",\"epsilon\":0.01,\"renewals\":false,\"complete\":false}");
  auto cell = holdfast::Cell::connect({.endpoints = split(settings.endpoints),
                                       .request_timeout = 5000ms,
                                       .program = "contender"});
  std::vector<std::thread> threads;
  for (int i = 0; i < settings.clients; ++i) {
    threads.emplace_back([&, i] { Contender(settings, cell, history, i).run(); });
  }
  const auto end = std::chrono::steady_clock::now() +
                   std::chrono::milliseconds(static_cast<int64_t>(settings.seconds * 1000));
  while (!stopping && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(20ms);  // the run's length, not a wait for anything
  }
  stopping = true;
  for (auto& thread : threads) thread.join();
  return Contender::failed ? 1 : 0;
}
