// This process, as the system tells about it.
#include "bindings/cpp/src/process.h"

#include <holdfast/holdfast.h>
#include <pthread.h>
#include <pwd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

namespace holdfast::client {

namespace {

std::atomic<uint64_t> forks{0};
const int fork_watch = pthread_atfork(nullptr, nullptr, [] { ++forks; });

int64_t clock_ms(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return time.tv_sec * 1000 + time.tv_nsec / 1'000'000;
}

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string user_name() {
  std::array<char, 4096> buffer;
  passwd entry{};
  passwd* found = nullptr;
  if (getpwuid_r(geteuid(), &entry, buffer.data(), buffer.size(), &found) == 0 && found) {
    return found->pw_name;
  }
  return std::to_string(geteuid());
}

// Wall time of the process's start: proc(5), /proc/[pid]/stat, field 22, in ticks since boot.
uint64_t started_at_ms() {
  std::string stat = first_line("/proc/self/stat");
  std::istringstream fields(stat.substr(stat.rfind(')') + 1));  // field 2 may hold spaces
  std::string field;
  for (int i = 3; i <= 22; ++i) fields >> field;
  int64_t ticks = std::strtoll(field.c_str(), nullptr, 10);
  int64_t age_ms = clock_ms(CLOCK_BOOTTIME) - ticks * 1000 / sysconf(_SC_CLK_TCK);
  return static_cast<uint64_t>(clock_ms(CLOCK_REALTIME) - age_ms);
}

base::Owner read_process() {
  base::Owner owner;
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) == 0) owner.host = host.data();
  owner.pid = static_cast<uint64_t>(getpid());
  owner.boot_id = first_line("/proc/sys/kernel/random/boot_id");
  owner.program = first_line("/proc/self/comm");
  owner.user = user_name();
  owner.version = version();
  owner.started_at_ms = started_at_ms();
  return owner;
}

bool somebody_listens(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return false;
  bool connected = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return connected;
}

const char* environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != 0 ? value : nullptr;
}

}  // namespace

uint64_t fork_count() {
  return forks;
}

const base::Owner& this_process() {
  static const base::Owner owner = read_process();
  return owner;
}

// Another process may use the same lease, so two processes must not count from the same number.
uint64_t new_agent() {
  static std::atomic<uint64_t> last{seed_from_system()};
  uint64_t agent = ++last;
  return agent != 0 ? agent : ++last;
}

uint64_t this_agent() {
  thread_local const uint64_t agent = new_agent();
  return agent;
}

uint64_t seed_from_system() {
  uint64_t seed = 0;
  if (getrandom(&seed, sizeof seed, 0) == static_cast<ssize_t>(sizeof seed)) return seed;
  return static_cast<uint64_t>(clock_ms(CLOCK_BOOTTIME)) ^ static_cast<uint64_t>(getpid()) << 32;
}

std::vector<std::string> default_endpoints() {
  std::vector<std::string> endpoints;
  if (const char* list = environment("HOLDFAST_ENDPOINTS")) {
    std::istringstream stream(list);
    for (std::string one; std::getline(stream, one, ',');) {
      if (!one.empty()) endpoints.push_back(one);
    }
    if (!endpoints.empty()) return endpoints;
  }
  // Where a daemon without arguments puts its socket.
  std::vector<std::string> paths;
  if (const char* runtime = environment("XDG_RUNTIME_DIR"); runtime && geteuid() != 0) {
    paths.push_back(std::string(runtime) + "/holdfast/holdfast.sock");
  }
  if (const char* state = environment("XDG_STATE_HOME"); state && geteuid() != 0) {
    paths.push_back(std::string(state) + "/holdfast/holdfast.sock");
  } else if (const char* home = environment("HOME"); home && geteuid() != 0) {
    paths.push_back(std::string(home) + "/.local/state/holdfast/holdfast.sock");
  }
  paths.push_back("/run/holdfast/holdfast.sock");
  for (const std::string& path : paths) {
    if (somebody_listens(path)) return {"unix:" + path};
  }
  return {"127.0.0.1:7420"};
}

}  // namespace holdfast::client

namespace holdfast {

Agent Agent::this_thread() {
  return {client::this_agent()};
}
Agent Agent::create() {
  return {client::new_agent()};
}

}  // namespace holdfast
