#include "tests/sim/mutant_check.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <thread>

#include "lockcore/base/mutant.h"
#include "tests/sim/mutants.h"
#include "tests/sim/run.h"

namespace holdfast::sim {
namespace {

struct Child {
  const Mutant* mutant;
  int output;  // where it says what it found
};

[[noreturn]] void hunt(const Mutant& mutant, int output) {
  dup2(output, STDERR_FILENO);  // where a broken invariant tells of itself
  base::active_mutant = mutant.name;
  Totals totals;
  for (uint64_t seed = 1; seed <= mutant.seeds; ++seed) {
    const std::string failure = run_plan(draw_plan(seed), false, totals).failure;
    if (failure.empty()) continue;
    dprintf(output, "seed %llu: %s\n", static_cast<unsigned long long>(seed), failure.c_str());
    _exit(1);
  }
  _exit(0);
}

std::string read_all(int from) {
  std::string text;
  char buffer[4096];
  for (ssize_t n; (n = read(from, buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<size_t>(n));
  }
  close(from);
  return text;
}

// "seed 7: ..." or, of a broken invariant, its own line and then the seed's.
bool report(const Child& child, int status) {
  const std::string said = read_all(child.output);
  const bool found = !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  std::string by = "NOT FOUND in " + std::to_string(child.mutant->seeds) + " seeds";
  std::string seed = "-";
  if (found) {
    const size_t at = said.find("seed ");
    seed = at == std::string::npos ? "?" : said.substr(at + 5, said.find(':', at) - at - 5);
    by = said.substr(0, said.find('\n'));
    if (by.starts_with("seed ")) by = by.substr(by.find(": ") + 2);
  }
  std::printf("%-28s %-5s %5s  %s\n", std::string(child.mutant->name).c_str(),
              std::string(child.mutant->rule).c_str(), seed.c_str(), by.c_str());
  std::fflush(stdout);
  return found;
}

}  // namespace

int check_mutants(std::string_view only) {
  const size_t at_once = std::max(1u, std::thread::hardware_concurrency());
  std::map<pid_t, Child> running;
  int missed = 0;
  const auto wait_for_one = [&] {
    int status = 0;
    const pid_t pid = wait(&status);
    const auto child = running.find(pid);
    if (child == running.end()) std::abort();
    missed += !report(child->second, status);
    running.erase(child);
  };
  std::printf("%-28s %-5s %5s  %s\n", "MUTANT", "RULE", "SEED", "FOUND BY");
  for (const Mutant& mutant : mutants()) {
    if (!only.empty() && mutant.name != only) continue;
    if (running.size() >= at_once) wait_for_one();
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) std::abort();
    std::fflush(stdout);
    const pid_t pid = fork();
    if (pid < 0) std::abort();
    if (pid == 0) hunt(mutant, ends[1]);
    close(ends[1]);
    running.emplace(pid, Child{&mutant, ends[0]});
  }
  while (!running.empty()) wait_for_one();
  std::printf("%d not found\n", missed);
  return missed;
}

}  // namespace holdfast::sim
