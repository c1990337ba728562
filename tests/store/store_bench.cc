// What the two databases cost: microseconds per log transaction, per event row, per loaded row.
// Run by hand: `build/dev/tests/store/store_bench`.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <vector>

#include "lockcore/store/log_db.h"
#include "lockcore/store/state_db.h"
#include "lockcore/store/writer_thread.h"
#include "tests/store/temp_dir.h"

using namespace holdfast;
using Clock = std::chrono::steady_clock;

namespace {

double micros_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

void print_percentiles(const char* name, std::vector<double>& samples) {
  std::sort(samples.begin(), samples.end());
  const auto at = [&](double share) {
    return samples[static_cast<size_t>(share * static_cast<double>(samples.size() - 1))];
  };
  std::printf("%-46s p50 %7.1f  p90 %7.1f  p99 %7.1f  max %8.1f us\n", name, at(0.5), at(0.9),
              at(0.99), samples.back());
}

base::LogWrite one_entry(uint64_t slot, size_t bytes) {
  base::LogWrite write;
  write.id = {slot};
  write.entries.push_back({{slot},
                           {1, {1}},
                           base::EntryKind::kCommands,
                           std::make_shared<const std::string>(bytes, 'v')});
  return write;
}

void bench_log(const char* name, size_t bytes, int transactions) {
  store_test::TempDir dir;
  store::LogDb log(dir.data(), {1}, {1}, "");
  std::vector<double> samples, checkpoints;
  for (int i = 1; i <= transactions; ++i) {
    const base::LogWrite write = one_entry(static_cast<uint64_t>(i), bytes);
    const auto start = Clock::now();
    log.write({&write, 1});
    samples.push_back(micros_since(start));
    if (log.wal_bytes() < 4 * 1024 * 1024) continue;
    const auto checkpoint = Clock::now();
    log.checkpoint();
    checkpoints.push_back(micros_since(checkpoint));
  }
  print_percentiles(name, samples);
  if (!checkpoints.empty()) print_percentiles("  its checkpoints at 4 MiB of WAL", checkpoints);
}

// One write at a time through the threads: what a lone command's commit waits for.
void bench_thread_round_trip(int rounds) {
  store_test::TempDir dir;
  std::mutex mutex;
  std::condition_variable woken;
  bool is_woken = false;
  auto log = std::make_unique<store::LogDb>(dir.data(), base::NodeId{1}, base::Incarnation{1}, "");
  auto state =
      std::make_unique<store::StateDb>(dir.data(), log->state_file(), base::Incarnation{1});
  store::WriterThreads threads(dir.data(), std::move(log), std::move(state), [&] {
    const std::lock_guard lock(mutex);
    is_woken = true;
    woken.notify_one();
  });
  std::vector<double> samples, disk;
  for (int i = 1; i <= rounds; ++i) {
    const auto start = Clock::now();
    threads.write_log(one_entry(static_cast<uint64_t>(i), 200));
    for (bool is_written = false; !is_written;) {
      std::unique_lock lock(mutex);
      woken.wait(lock, [&] { return std::exchange(is_woken, false); });
      lock.unlock();
      const store::Finished finished = threads.drain();
      is_written = finished.written.value == static_cast<uint64_t>(i);
      if (is_written) disk.push_back(static_cast<double>(finished.last_fsync_us));
    }
    samples.push_back(micros_since(start));
  }
  print_percentiles("200 B through the thread and back", samples);
  print_percentiles("  its transactions", disk);
}

void bench_events(int batches, int events_per_batch) {
  store_test::TempDir dir;
  store::LogDb log(dir.data(), {1}, {1}, "");
  store::StateDb state(dir.data(), "state.db", {1});
  std::vector<std::shared_ptr<const base::Owner>> owners;
  for (uint64_t i = 0; i < 64; ++i) {
    owners.push_back(std::make_shared<const base::Owner>(
        base::Owner{"host-17.example", 4000 + i, "", "worker", "deploy", "", "0.1.0", 0}));
  }
  std::vector<double> samples, checkpoints;
  uint64_t revision = 0;
  for (int batch = 1; batch <= batches; ++batch) {
    base::StateWrite write;
    write.meta.applied = {static_cast<uint64_t>(batch)};
    base::EventRows events;
    for (int i = 0; i < events_per_batch; ++i) {
      ++revision;
      const bool is_grant = i % 2 == 0;
      base::EventRow event{{revision},
                           is_grant ? base::EventType::kGrant : base::EventType::kRelease,
                           "bench/lock-" + std::to_string(i / 2 % 64),
                           {revision},
                           {static_cast<uint64_t>(1000 + i % 64)},
                           owners[static_cast<size_t>(i / 2 % 64)],
                           is_grant ? "acquired" : "released",
                           1790000000000 + revision,
                           100000 + revision};
      events.push_back(std::move(event));
    }
    write.events = std::make_shared<const base::EventRows>(std::move(events));
    const auto start = Clock::now();
    state.write(write);
    samples.push_back(micros_since(start) / events_per_batch);
    if (state.wal_bytes() < 4 * 1024 * 1024) continue;
    const auto checkpoint = Clock::now();
    state.checkpoint();
    checkpoints.push_back(micros_since(checkpoint));
  }
  char name[96];
  std::snprintf(name, sizeof name, "%d events a write, per event", events_per_batch);
  print_percentiles(name, samples);
  print_percentiles("  its checkpoints at 4 MiB of WAL", checkpoints);
  std::printf("  %.0f bytes an event\n",
              static_cast<double>(state.bytes()) / static_cast<double>(revision));
}

void bench_load(uint64_t count) {
  store_test::TempDir dir;
  store::LogDb log(dir.data(), {1}, {1}, "");
  const auto owner = std::make_shared<const base::Owner>(
      base::Owner{"host-17.example", 4711, "b00t", "worker", "deploy", "", "0.1.0", 0});
  {
    store::StateDb state(dir.data(), "state.db", {1});
    base::StateWrite write;
    write.meta.applied = {1};
    for (uint64_t i = 1; i <= count; ++i) {
      const std::string name = "bench/lock-" + std::to_string(i);
      write.leases.put.push_back({{i}, {1}, 10000, 0, std::string(16, 's'), owner, 1790000000000});
      write.locks.put.push_back({name, {count + i}, 0});
      write.holds.put.push_back(
          {{count + i}, name, {i}, {1}, {1}, base::Mode::kExclusive, 1, 1790000000000, 5, i, ""});
    }
    const auto start = Clock::now();
    state.write(write);
    std::printf("write of %lu leases, locks, holds: %.0f ms\n", count, micros_since(start) / 1000);
  }
  const auto start = Clock::now();
  store::StateDb state(dir.data(), "state.db", {1});
  const double opened = micros_since(start) / 1000;
  const base::StateRows rows = state.load();
  std::printf("open %.0f ms (WAL of the write above), load %.0f ms: %zu leases\n", opened,
              micros_since(start) / 1000 - opened, rows.leases.size());
}

// What a full history costs a start: each of its rows is verified.
void bench_history(uint64_t count) {
  store_test::TempDir dir;
  const store::LogDb log(dir.data(), {1}, {1}, "");
  {
    store::StateDb state(dir.data(), "state.db", {1});
    for (uint64_t revision = 1; revision <= count;) {
      base::StateWrite write;
      base::EventRows events;
      for (int i = 0; i < 10'000 && revision <= count; ++i, ++revision) {
        events.push_back({{revision},
                          base::EventType::kGrant,
                          "bench/lock-17",
                          {revision},
                          {revision / 3},
                          nullptr,
                          "",
                          1790000000000,
                          revision});
      }
      write.events = std::make_shared<const base::EventRows>(std::move(events));
      state.write(write);
    }
    state.checkpoint();
  }
  const auto start = Clock::now();
  store::StateDb(dir.data(), "state.db", {1}).load();
  std::printf("open and load with %lu events: %.0f ms\n", count, micros_since(start) / 1000);
}

}  // namespace

int main() {
  bench_log("log transaction, one 200 B row", 200, 10000);
  bench_log("log transaction, one 12 KiB row", 12 * 1024, 3000);
  bench_thread_round_trip(5000);
  bench_events(40, 8000);
  bench_events(400, 400);
  bench_load(100'000);
  bench_history(1'000'000);
}
