#include "tests/sim/shrink.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <optional>

namespace holdfast::sim {
namespace {

// Runs a plan in a process of its own, which a broken invariant may end.
Outcome run_apart(const Plan& plan) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) std::abort();
  std::fflush(stdout);
  const pid_t pid = fork();
  if (pid < 0) std::abort();
  if (pid == 0) {
    dup2(ends[1], STDERR_FILENO);  // where a broken invariant tells of itself
    Totals totals;
    const Outcome outcome = run_plan(plan, false, totals);
    dprintf(ends[1], "%lld %s", static_cast<long long>(outcome.ended_ms), outcome.failure.c_str());
    _exit(0);
  }
  close(ends[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<size_t>(n));
  }
  close(ends[0]);
  int status = 0;
  waitpid(pid, &status, 0);
  Outcome outcome;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    outcome.failure = text.substr(0, text.find('\n'));
    outcome.ended_ms = plan.options.run_ms;
    return outcome;
  }
  char* rest = nullptr;
  outcome.ended_ms = std::strtoll(text.c_str(), &rest, 10);
  outcome.failure = rest + 1;
  return outcome;
}

// The same failure may have other numbers, and end in other states.
std::string kind_of(const std::string& failure) {
  std::string kind;
  for (const char c : failure.substr(0, failure.find_first_of("';"))) {
    if (std::isdigit(static_cast<unsigned char>(c)) == 0) kind += c;
  }
  return kind;
}

class Shrinker {
 public:
  Shrinker(Plan plan, Outcome outcome) : best_(std::move(plan)), outcome_(std::move(outcome)) {}

  void shrink() {
    shorten();
    drop_faults();
    shorten();
    drop_clients();
    drop_faults();
    shorten_faults();
  }
  const Plan& plan() const { return best_; }
  const Outcome& outcome() const { return outcome_; }
  int runs() const { return runs_; }

 private:
  // Keeps the plan if it fails in the same way.
  bool try_plan(const Plan& plan) {
    ++runs_;
    Outcome outcome = run_apart(plan);
    if (outcome.failure.empty() || kind_of(outcome.failure) != kind_of(outcome_.failure)) {
      return false;
    }
    best_ = plan;
    outcome_ = std::move(outcome);
    return true;
  }

  // Nothing after the failure matters; perhaps not all that is before it either.
  void shorten() {
    for (int64_t ms = outcome_.ended_ms - kCalmStartMs + 1; ms > 0 && ms < best_.options.run_ms;
         ms = best_.options.run_ms / 2) {
      Plan shorter = best_;
      shorter.options.run_ms = ms;
      std::erase_if(shorter.faults,
                    [&](const Fault& fault) { return fault.at_ms >= kCalmStartMs + ms; });
      if (!try_plan(shorter)) return;
    }
  }

  // Delta debugging: halves, quarters, and so on to single ones.
  void drop_faults() {
    for (size_t part = best_.faults.size(); part > 0; part /= 2) {
      for (size_t at = 0; at < best_.faults.size();) {
        Plan fewer = best_;
        const auto from = fewer.faults.begin() + static_cast<ptrdiff_t>(at);
        const size_t count = std::min(part, fewer.faults.size() - at);
        fewer.faults.erase(from, from + static_cast<ptrdiff_t>(count));
        if (!try_plan(fewer)) at += part;
      }
    }
  }

  void drop_clients() {
    // Not programs: the numbers by which faults name them would be others'.
    while (best_.options.clients > 1 && best_.options.programs == 0) {
      Plan fewer = best_;
      fewer.options.clients /= 2;
      if (!try_plan(fewer)) return;
    }
    while (best_.options.programs > 1) {
      Plan fewer = best_;
      fewer.options.programs /= 2;
      if (!try_plan(fewer)) return;
    }
  }

  void shorten_faults() {
    for (size_t i = 0; i < best_.faults.size(); ++i) {
      while (best_.faults[i].for_ms > 1) {
        Plan shorter = best_;
        shorter.faults[i].for_ms /= 2;
        if (!try_plan(shorter)) break;
      }
    }
  }

  Plan best_;
  Outcome outcome_;
  int runs_ = 0;
};

}  // namespace

bool shrink(const Plan& plan) {
  const Outcome first = run_apart(plan);
  if (first.failure.empty()) return false;
  Shrinker shrinker(plan, first);
  shrinker.shrink();
  const Plan& least = shrinker.plan();
  std::printf(
      "seed %llu: %s\n  %zu of %zu faults, %lld of %lld clients, %lld of %lld ms, in %d "
      "runs:\n",
      static_cast<unsigned long long>(plan.options.seed), shrinker.outcome().failure.c_str(),
      least.faults.size(), plan.faults.size(), static_cast<long long>(least.options.clients),
      static_cast<long long>(plan.options.clients), static_cast<long long>(least.options.run_ms),
      static_cast<long long>(plan.options.run_ms), shrinker.runs());
  for (const Fault& fault : least.faults) std::printf("    %s\n", tell(fault).c_str());
  std::printf("  again: %s\n  to keep it:\n%s", replay_command(least).c_str(),
              text_of(least).c_str());
  return true;
}

}  // namespace holdfast::sim
