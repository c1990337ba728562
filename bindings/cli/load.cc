#include "bindings/cli/load.h"

#include <poll.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <random>
#include <vector>

#include "bindings/cli/histogram.h"
#include "bindings/cli/load_clock.h"

namespace holdfast::cli {
namespace {

// Leases outlive the run: renewals in the background are not what is measured.
constexpr std::chrono::milliseconds kSessionTtl{60'000};
constexpr std::chrono::milliseconds kProgressStep{250};

enum class Phase { warming, measuring, stopping };

// What all clients share.
struct Run {
  const LoadOptions& options;
  std::atomic<Phase> phase{Phase::warming};
  // handoff: when the holder let go. Holders of one lock take turns, so there is one at a time.
  std::atomic<int64_t> released_at{0};

  std::mutex mutex;
  std::condition_variable changed;
  uint64_t ready = 0;              // sessions opened
  uint64_t running = 0;            // clients whose last operation hasn't ended
  std::unique_ptr<Error> failure;  // of opening a session
};

// One connection's share. Written by its cell's thread only.
struct Lane {
  explicit Lane(Cell connection) : cell(std::move(connection)) {}
  Cell cell;
  uint64_t clients = 0;
  Histogram latency;
  std::atomic<uint64_t> operations{0};
  std::atomic<uint64_t> errors{0};
};

class Client {
 public:
  Client(Run& run, Lane& lane, uint64_t number) : run_(run), lane_(lane), random_(number) {
    if (run.options.workload == "handoff") {
      names_ = {run.options.prefix + "handoff"};
    } else if (run.options.locks == 0) {
      names_ = {run.options.prefix + std::to_string(number)};
    } else {
      for (uint64_t i = 0; i < run.options.locks; ++i) {
        names_.push_back(run.options.prefix + std::to_string(i));
      }
    }
  }
  virtual ~Client() = default;

  void open() {
    lane_.cell.open_session_async({.ttl = kSessionTtl, .reason = "bench"},
                                  [this](std::optional<Session> session, const Error* error) {
                                    const std::scoped_lock guard(run_.mutex);
                                    session_ = std::move(session);
                                    if (!session_ && !run_.failure)
                                      run_.failure = std::make_unique<Error>(*error);
                                    ++run_.ready;
                                    run_.changed.notify_one();
                                  });
  }
  // Starts one operation, from the main thread first and from callbacks then.
  void next() {
    if (run_.phase.load(std::memory_order_relaxed) == Phase::stopping) return end();
    started_ = monotonic_ns();
    begin();
  }

 protected:
  virtual void begin() = 0;

  void succeeded(int64_t since, uint64_t operations = 1) {
    if (run_.phase.load(std::memory_order_relaxed) == Phase::measuring) {
      lane_.latency.record(monotonic_ns() - since, operations);
    }
    lane_.operations.fetch_add(operations, std::memory_order_relaxed);
  }
  void failed() {
    lane_.errors.fetch_add(1, std::memory_order_relaxed);
    // A client without a lease has nothing more to do; another error may pass.
    session_->alive() ? next() : end();
  }
  void end() {
    const std::scoped_lock guard(run_.mutex);
    --run_.running;
    run_.changed.notify_one();
  }
  Lock& pick_lock() {
    if (!lock_ || names_.size() > 1) {
      lock_ = session_->lock(names_[names_.size() == 1 ? 0 : random_() % names_.size()]);
    }
    return *lock_;
  }

  Run& run_;
  Lane& lane_;
  std::optional<Session> session_;
  std::optional<Lock> lock_;
  std::optional<Grant> grant_;
  int64_t started_ = 0;

 private:
  std::minstd_rand random_;
  std::vector<std::string> names_;
};

// An operation: one acquire plus one release of a lock, free unless --locks makes clients meet.
class PairsClient : public Client {
 public:
  using Client::Client;

 protected:
  void begin() override {
    pick_lock().acquire_async(std::nullopt, [this](std::optional<Grant> grant, const Error*) {
      if (!grant) return failed();
      grant_ = std::move(grant);
      release();
    });
  }
  void release() {
    grant_->release_async([this](const Error* error) {
      if (error != nullptr) return failed();
      succeeded(started_);
      next();
    });
  }
};

// An operation: one holder lets go, and the next one in the queue knows that it holds the lock.
class HandoffClient : public Client {
  using Client::Client;
  void begin() override {
    pick_lock().acquire_async(std::nullopt, [this](std::optional<Grant> grant, const Error*) {
      if (!grant) return failed();
      grant_ = std::move(grant);
      if (const int64_t since = run_.released_at.load(); since != 0) succeeded(since);
      run_.released_at.store(monotonic_ns());
      grant_->release_async([this](const Error* error) { error != nullptr ? failed() : next(); });
    });
  }
};

// An operation: of ten, seven are pairs as above, two are pairs in mode shared, one is a renewal.
class MixedClient : public PairsClient {
 public:
  MixedClient(Run& run, Lane& lane, uint64_t number)
      : PairsClient(run, lane, number), dice_(number + 1) {}

 private:
  void begin() override {
    const auto roll = dice_() % 10;
    if (roll < 7) return PairsClient::begin();
    if (roll < 9) return begin_shared();
    session_->renew_async([this](const Error* error) {
      if (error != nullptr) return failed();
      succeeded(started_);
      next();
    });
  }
  void begin_shared() {
    Lock lock = session_->shared_lock(pick_lock().name());
    lock.acquire_async(std::nullopt, [this](std::optional<Grant> grant, const Error*) {
      if (!grant) return failed();
      grant_ = std::move(grant);
      release();
    });
  }

  std::minstd_rand dice_;
};

// An operation: one lease renewed.
class RenewClient : public Client {
  using Client::Client;
  void begin() override {
    session_->renew_async([this](const Error* error) {
      if (error != nullptr) return failed();
      succeeded(started_);
      next();
    });
  }
};

// As above, but with all others of its connection by one call, which the first of them makes.
class BatchRenewClient : public Client {
 public:
  BatchRenewClient(Run& run, Lane& lane, uint64_t number)
      : Client(run, lane, number), calls_(lane.clients == 1) {}

 private:
  void begin() override {
    if (!calls_) return end();
    lane_.cell.renew_async([this](const Error* error) {
      if (error != nullptr) return failed();
      succeeded(started_, std::min(lane_.clients, kMostPerCall));
      next();
    });
  }

  static constexpr uint64_t kMostPerCall = 10'000;  // Cell::renew_async
  const bool calls_;
};

std::unique_ptr<Client> make_client(Run& run, Lane& lane, uint64_t number) {
  ++lane.clients;
  const LoadOptions& options = run.options;
  if (options.workload == "handoff") return std::make_unique<HandoffClient>(run, lane, number);
  if (options.workload == "renew" && options.batch) {
    return std::make_unique<BatchRenewClient>(run, lane, number);
  }
  if (options.workload == "renew") return std::make_unique<RenewClient>(run, lane, number);
  if (options.workload == "mixed") return std::make_unique<MixedClient>(run, lane, number);
  return std::make_unique<PairsClient>(run, lane, number);
}

uint64_t sum(const std::vector<std::unique_ptr<Lane>>& lanes,
             std::atomic<uint64_t> Lane::*counter) {
  uint64_t total = 0;
  for (const auto& lane : lanes) total += (lane.get()->*counter).load(std::memory_order_relaxed);
  return total;
}

class Load {
 public:
  Load(const CellOptions& cell, const LoadOptions& options)
      : run_{.options = options}, request_timeout_(cell.request_timeout) {
    for (uint64_t i = 0; i < options.connections; ++i) {
      lanes_.push_back(std::make_unique<Lane>(Cell::connect(cell)));
    }
    for (uint64_t i = 0; i < options.clients; ++i) {
      clients_.push_back(make_client(run_, *lanes_[i % lanes_.size()], i));
    }
  }

  ~Load() {
    run_.phase = Phase::stopping;
    // Ends the threads, and with them all callbacks, before the clients go.
    for (auto& lane : lanes_) lane->cell.close();
  }

  std::optional<BenchResult> run(const Progress& progress) {
    started_ = monotonic_ns();
    if (!open(progress)) return std::nullopt;
    for (auto& client : clients_) client->next();
    if (!spend(run_.options.warm_up, progress)) return std::nullopt;

    const uint64_t before = sum(lanes_, &Lane::operations);
    const int64_t from = monotonic_ns();
    run_.phase = Phase::measuring;
    if (!spend(run_.options.duration, progress)) return std::nullopt;
    run_.phase = Phase::stopping;
    const double seconds = static_cast<double>(monotonic_ns() - from) / 1e9;
    const uint64_t operations = sum(lanes_, &Lane::operations) - before;
    const uint64_t unfinished = end();
    return result(operations, unfinished, seconds);
  }

 private:
  bool goes_on(const Progress& progress) {
    return progress(sum(lanes_, &Lane::operations),
                    std::chrono::milliseconds((monotonic_ns() - started_) / 1'000'000));
  }

  bool open(const Progress& progress) {
    for (auto& client : clients_) client->open();
    std::unique_lock guard(run_.mutex);
    const auto ready = [this] { return run_.ready == clients_.size(); };
    while (!run_.changed.wait_for(guard, kProgressStep, ready)) {
      guard.unlock();
      if (!goes_on(progress)) return false;
      guard.lock();
    }
    if (run_.failure) throw Error(*run_.failure);
    run_.running = clients_.size();
    return true;
  }

  bool spend(std::chrono::milliseconds time, const Progress& progress) {
    const int64_t end = monotonic_ns() + std::chrono::nanoseconds(time).count();
    for (int64_t now = monotonic_ns(); now < end; now = monotonic_ns()) {
      const int64_t left_ms = (end - now) / 1'000'000 + 1;
      poll(nullptr, 0, static_cast<int>(std::min<int64_t>(left_ms, kProgressStep.count())));
      if (!goes_on(progress)) return false;
    }
    return true;
  }

  // Waits for the last operations; returns how many the cell left unanswered.
  uint64_t end() {
    std::unique_lock guard(run_.mutex);
    run_.changed.wait_for(guard, request_timeout_, [this] { return run_.running == 0; });
    return run_.running;
  }

  BenchResult result(uint64_t operations, uint64_t unfinished, double seconds) {
    Histogram latency;
    for (const auto& lane : lanes_) latency.add(lane->latency);
    return bench_result(run_.options, latency, operations, sum(lanes_, &Lane::errors) + unfinished,
                        seconds);
  }

  Run run_;
  const std::chrono::milliseconds request_timeout_;
  int64_t started_ = 0;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<std::unique_ptr<Client>> clients_;
};

}  // namespace

BenchResult bench_result(const LoadOptions& options, const Histogram& latency, uint64_t operations,
                         uint64_t errors, double seconds) {
  const auto us = [&](double share) {
    return static_cast<double>(latency.quantile_ns(share)) / 1000;
  };
  return {.workload = options.workload,
          .clients = options.clients,
          .connections = options.connections,
          .seconds = seconds,
          .operations = operations,
          .ops_per_second = static_cast<double>(operations) / seconds,
          .p50_us = us(0.5),
          .p90_us = us(0.9),
          .p99_us = us(0.99),
          .p999_us = us(0.999),
          .max_us = static_cast<double>(latency.max_ns()) / 1000,
          .errors = errors};
}

std::optional<BenchResult> run_load(const CellOptions& cell, const LoadOptions& options,
                                    const Progress& progress) {
  if (options.workload == "watch") return run_watch_load(cell, options, progress);
  if (options.workload == "expiry") return run_expiry_load(cell, options, progress);
  return std::make_unique<Load>(cell, options)->run(progress);
}

}  // namespace holdfast::cli
