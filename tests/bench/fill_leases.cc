// Many leases with a lock each, which stay: fill_leases ENDPOINTS COUNT
//
// Ends without closing them; they last an hour.
#include <holdfast/holdfast.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <sstream>

using namespace std::chrono_literals;

namespace {

constexpr auto kTtl = 1h;
constexpr size_t kAtOnce = 512;

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

class Filler {
 public:
  Filler(holdfast::Cell cell, size_t count) : cell_(std::move(cell)), count_(count) {
    held_.reserve(count);
  }

  // Returns how many leases with their locks there are.
  size_t fill() {
    for (size_t i = 0; i < std::min(kAtOnce, count_); ++i) open();
    std::unique_lock guard(mutex_);
    changed_.wait(guard, [this] { return over_ == count_; });
    return held_.size();
  }

 private:
  struct Held {
    holdfast::Session session;
    holdfast::Grant grant;
  };

  // From the main thread first, then from callbacks, which all run on the cell's thread.
  void open() {
    const size_t number = started_++;
    if (number >= count_) return;
    cell_.open_session_async(
        {.ttl = kTtl, .reason = "bench"},
        [this, number](std::optional<holdfast::Session> session, const holdfast::Error* error) {
          session ? acquire(std::move(*session), number) : finish(error);
        });
  }
  void acquire(holdfast::Session session, size_t number) {
    holdfast::Lock lock = session.lock("bench/fill/" + std::to_string(number));
    lock.acquire_async(std::nullopt,
                       [this, session = std::move(session)](std::optional<holdfast::Grant> grant,
                                                            const holdfast::Error* error) {
                         if (grant) held_.push_back({session, std::move(*grant)});
                         finish(error);
                       });
  }
  void finish(const holdfast::Error* error) {
    if (error != nullptr) std::fprintf(stderr, "fill_leases: %s\n", error->what());
    {
      const std::scoped_lock guard(mutex_);
      ++over_;
      changed_.notify_one();
    }
    open();
  }

  holdfast::Cell cell_;
  const size_t count_;
  std::atomic<size_t> started_{0};
  std::vector<Held> held_;
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t over_ = 0;  // under mutex_
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: fill_leases ENDPOINTS COUNT\n", stderr);
    return 2;
  }
  const size_t count = std::strtoul(argv[2], nullptr, 10);
  Filler filler(holdfast::Cell::connect({.endpoints = split(argv[1])}), count);
  const size_t held = filler.fill();
  std::printf("%zu\n", held);
  std::fflush(stdout);
  _exit(held == count ? EXIT_SUCCESS : EXIT_FAILURE);  // without the destructors, which would close
}
