// The workload `expiry`: leases that end together, and how late those who wait for their locks get
// them. An operation is one lease that ended.
#include <condition_variable>
#include <mutex>
#include <vector>

#include "bindings/cli/histogram.h"
#include "bindings/cli/load.h"
#include "bindings/cli/load_clock.h"

namespace holdfast::cli {
namespace {

constexpr std::chrono::milliseconds kTtl{5000};
constexpr std::chrono::seconds kPatience{60};
// The cell keeps a record of each wait, and of so many a client at most (1024).
constexpr size_t kWaitsPerHeir = 500;
constexpr int64_t kCertain = 98;  // percent of the TTL that a client counts on (DESIGN 2.4)

// Counts what callbacks report.
class Tally {
 public:
  void add(bool well) {
    const std::scoped_lock guard(mutex_);
    ++count_;
    if (!well) ++errors_;
    changed_.notify_one();
  }
  bool wait_for(uint64_t count) {
    std::unique_lock guard(mutex_);
    return changed_.wait_for(guard, kPatience, [&] { return count_ >= count; });
  }
  uint64_t errors() {
    const std::scoped_lock guard(mutex_);
    return errors_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t count_ = 0;
  uint64_t errors_ = 0;
};

struct Doomed {
  std::optional<Session> session;
  std::optional<Grant> grant;
};

// One round: leases are opened, each takes a lock, an heir waits for each, and then nobody renews.
class Round {
 public:
  Round(const CellOptions& options, const LoadOptions& load, uint64_t number)
      : options_(options),
        dying_(Cell::connect(options)),
        prefix_(load.prefix + std::to_string(number) + "/"),
        doomed_(load.clients),
        lateness_ns_(load.clients) {}
  ~Round() {
    dying_.close();
    for (Cell& cell : living_) cell.close();
  }

  // Returns how many operations failed.
  uint64_t run() {
    Tally opened, queued, inherited;
    for (Doomed& each : doomed_) open(each, opened);
    if (!opened.wait_for(doomed_.size()) || opened.errors() > 0) return doomed_.size();
    for (size_t i = 0; i < doomed_.size(); ++i) {
      if (i % kWaitsPerHeir == 0) {
        living_.push_back(Cell::connect(options_));
        heirs_.push_back(
            living_.back().open_session({.ttl = std::chrono::seconds(60), .reason = "bench"}));
      }
      wait_behind(heirs_.back(), i, inherited);
    }
    renew_all();
    const int64_t ttl_ns = std::chrono::nanoseconds(kTtl).count();
    for (size_t i = 0; i < doomed_.size(); ++i) {
      const int64_t certain = doomed_[i].session->deadline().boottime.count();
      lateness_ns_[i] -= certain + ttl_ns * (100 - kCertain) / 100;
      doomed_[i].session->detach();
    }
    if (!inherited.wait_for(doomed_.size())) return doomed_.size();
    return inherited.errors();
  }
  const std::vector<int64_t>& lateness_ns() const { return lateness_ns_; }

 private:
  std::string name(size_t i) const { return prefix_ + std::to_string(i); }

  void open(Doomed& each, Tally& opened) {
    const std::string lock = name(static_cast<size_t>(&each - doomed_.data()));
    dying_.open_session_async({.ttl = kTtl, .reason = "bench"},
                              [&each, &opened, lock](std::optional<Session> session, const Error*) {
                                if (!session) return opened.add(false);
                                each.session = std::move(session);
                                each.session->lock(lock).acquire_async(
                                    std::nullopt,
                                    [&each, &opened](std::optional<Grant> grant, const Error*) {
                                      each.grant = std::move(grant);
                                      opened.add(each.grant.has_value());
                                    });
                              });
  }

  void wait_behind(Session& heir, size_t i, Tally& inherited) {
    heir.lock(name(i)).acquire_async(
        std::nullopt, [this, i, &inherited](std::optional<Grant> grant, const Error*) {
          lateness_ns_[i] += Deadline::now().boottime.count();
          inherited.add(grant.has_value());
        });
  }

  // So that they all end at nearly one moment.
  void renew_all() {
    constexpr size_t kPerCall = 10'000;  // Cell::renew_async
    for (size_t done = 0; done < doomed_.size(); done += kPerCall) {
      Tally renewed;
      dying_.renew_async([&renewed](const Error* error) { renewed.add(error == nullptr); });
      renewed.wait_for(1);
    }
  }

  const CellOptions& options_;
  Cell dying_;
  std::vector<Cell> living_;
  std::vector<Session> heirs_;
  const std::string prefix_;
  std::vector<Doomed> doomed_;
  std::vector<int64_t> lateness_ns_;
};

}  // namespace

std::optional<BenchResult> run_expiry_load(const CellOptions& cell, const LoadOptions& options,
                                           const Progress& progress) {
  const int64_t started = monotonic_ns();
  const int64_t end = started + std::chrono::nanoseconds(options.duration).count();
  Histogram latency;
  uint64_t operations = 0, errors = 0;
  for (uint64_t number = 0; number == 0 || monotonic_ns() < end; ++number) {
    Round round(cell, options, number);
    errors += round.run();
    for (const int64_t late : round.lateness_ns()) latency.record(std::max<int64_t>(late, 0), 1);
    operations += options.clients;
    const auto elapsed = std::chrono::milliseconds((monotonic_ns() - started) / 1'000'000);
    if (!progress(operations, elapsed)) return std::nullopt;
    if (errors > 0) break;
  }
  const double seconds = static_cast<double>(monotonic_ns() - started) / 1e9;
  return bench_result(options, latency, operations, errors, seconds);
}

}  // namespace holdfast::cli
