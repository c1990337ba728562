// The workload `watch`: how long until everybody who watches a lock has heard of a change.
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <vector>

#include "bindings/cli/histogram.h"
#include "bindings/cli/load.h"
#include "bindings/cli/load_clock.h"

namespace holdfast::cli {
namespace {

// What the watchers' callbacks say, from the threads of their cells.
class Audience {
 public:
  explicit Audience(uint64_t watchers) : watchers_(watchers) {}

  void heard() {
    if (heard_.fetch_add(1) + 1 < expected_.load()) return;
    const std::scoped_lock guard(mutex_);
    last_heard_ns_ = monotonic_ns();
    changed_.notify_one();
  }
  // Everybody has heard of this many changes. False: not in time.
  bool wait_for(uint64_t changes, std::chrono::milliseconds patience) {
    std::unique_lock guard(mutex_);
    return changed_.wait_for(guard, patience, [&] { return heard_ >= changes * watchers_; });
  }
  // Before the change with this number is made, from 1.
  void expect(uint64_t changes) { expected_ = changes * watchers_; }
  int64_t last_heard_ns() {
    const std::scoped_lock guard(mutex_);
    return last_heard_ns_;
  }

 private:
  const uint64_t watchers_;
  std::atomic<uint64_t> heard_{0};
  std::atomic<uint64_t> expected_{~uint64_t{0}};
  std::mutex mutex_;
  std::condition_variable changed_;
  int64_t last_heard_ns_ = 0;
};

}  // namespace

std::optional<BenchResult> run_watch_load(const CellOptions& cell, const LoadOptions& options,
                                          const Progress& progress) {
  const std::string name = options.prefix + "watched";
  const int64_t started = monotonic_ns();
  const auto elapsed = [started] {
    return std::chrono::milliseconds((monotonic_ns() - started) / 1'000'000);
  };
  Audience audience(options.clients);
  std::vector<Cell> cells;
  std::vector<Watch> watches;
  for (uint64_t i = 0; i < options.connections; ++i) cells.push_back(Cell::connect(cell));
  for (uint64_t i = 0; i < options.clients; ++i) {
    Cell& connection = cells[i % cells.size()];
    watches.push_back(connection.watch_each(
        name, [&audience](const Event&) { audience.heard(); }, std::nullopt, true));
    if (i % 64 == 0 && !progress(0, elapsed())) return std::nullopt;
  }

  Cell changer = Cell::connect(cell);
  Session session = changer.open_session({.ttl = std::chrono::seconds(60), .reason = "bench"});
  Lock lock = session.lock(name);
  std::optional<Grant> grant;
  Histogram latency;
  uint64_t changes = 0, counted = 0, errors = 0;
  const int64_t measure_from = monotonic_ns() + std::chrono::nanoseconds(options.warm_up).count();
  const int64_t end = measure_from + std::chrono::nanoseconds(options.duration).count();
  int64_t now = monotonic_ns();
  for (; now < end; now = monotonic_ns()) {
    audience.expect(++changes);
    if (grant) {
      grant->release();
      grant.reset();
    } else {
      grant = lock.acquire();
    }
    const bool all = audience.wait_for(changes, cell.request_timeout);
    if (!all) ++errors;
    if (now >= measure_from) {
      ++counted;
      if (all) latency.record(audience.last_heard_ns() - now, 1);
    }
    if (!progress(changes, elapsed())) return std::nullopt;
    if (!all) break;  // the counts are of no use any more
  }
  // The callbacks end before what they use.
  for (Cell& connection : cells) connection.close();
  const double seconds = static_cast<double>(now - measure_from) / 1e9;
  return bench_result(options, latency, counted, errors, seconds);
}

}  // namespace holdfast::cli
