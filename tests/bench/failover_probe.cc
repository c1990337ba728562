// How long a cell serves nobody when its leader goes: failover_probe ENDPOINTS PID SIGNAL
//
// Takes and releases one lock for a second, sends SIGNAL to PID (the leader) between two of its
// calls, and prints the milliseconds from then until its next acquire has succeeded.
#include <holdfast/holdfast.h>
#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <sstream>

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

namespace {

constexpr auto kBefore = 1s;
constexpr auto kGiveUp = 30s;

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

int probe(const std::string& endpoints, pid_t leader, int signal) {
  auto cell = holdfast::Cell::connect({.endpoints = split(endpoints)});
  auto session = cell.open_session({.ttl = 60s, .reason = "failover probe"});
  auto lock = session.lock("bench/failover");
  for (auto end = Clock::now() + kBefore; Clock::now() < end;) {
    auto grant = lock.acquire(kGiveUp);
    if (!grant) return EXIT_FAILURE;
    grant->release();
  }
  if (kill(leader, signal) != 0) {
    std::perror("kill");
    return EXIT_FAILURE;
  }
  const auto gone = Clock::now();
  auto grant = lock.acquire(kGiveUp);
  if (!grant) return EXIT_FAILURE;
  const std::chrono::duration<double, std::milli> took = Clock::now() - gone;
  std::printf("%.3f\n", took.count());
  grant->release();
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fputs("usage: failover_probe ENDPOINTS PID SIGNAL\n", stderr);
    return 2;
  }
  try {
    return probe(argv[1], std::atoi(argv[2]), std::atoi(argv[3]));
  } catch (const holdfast::Error& error) {
    std::fprintf(stderr, "failover_probe: %s\n", error.what());
    return EXIT_FAILURE;
  }
}
