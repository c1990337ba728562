#include "lockcore/store/writer_thread.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <iterator>
#include <mutex>
#include <span>
#include <thread>
#include <utility>

#include "lockcore/store/state_keeper.h"

namespace holdfast::store {
namespace {

using Clock = std::chrono::steady_clock;

// log.db's WAL is copied back when nothing waits, at the latest at LogDb::kWalBytes: a checkpoint
// holds up commits for as long as it takes to write that much.
constexpr uint64_t kIdleCheckpointBytes = 256 * 1024;
constexpr auto kIdleTime = std::chrono::milliseconds(50);
// While rows of the log are looked at: between two slices, none of which holds up a commit by much.
constexpr auto kVerifyPause = std::chrono::milliseconds(1);

struct ReadRequest {
  uint64_t id = 0;
  base::Slot from;
  base::Slot to;
  size_t max_bytes = 0;
};

struct LogWork {
  std::vector<base::LogWrite> writes;
  std::vector<ReadRequest> reads;
  std::optional<base::Slot> verify_through;

  bool empty() const { return writes.empty() && reads.empty() && !verify_through; }
  void clear() {
    writes.clear();
    reads.clear();
    verify_through.reset();
  }
};

struct StateWork {
  std::vector<std::function<void()>> tasks;  // in order

  bool empty() const { return tasks.empty(); }
  void clear() { tasks.clear(); }
};

// What one thread is to do. take() hands over all that came since the last time.
template <class Work>
class Queue {
 public:
  template <class Add>
  void push(Add add) {
    {
      const std::lock_guard lock(mutex_);
      add(work_);
    }
    arrived_.notify_one();
  }
  void close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    arrived_.notify_one();
  }
  enum class Taken { kWork, kIdle, kClosed };
  // Swaps the queued work into `work`, which must be empty: both sides keep their buffers.
  Taken take(Work& work, std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    const auto is_due = [this] { return !work_.empty() || closed_; };
    if (patience == patience.zero()) {
      arrived_.wait(lock, is_due);
    } else if (!arrived_.wait_for(lock, patience, is_due)) {
      return Taken::kIdle;
    }
    if (work_.empty()) return Taken::kClosed;  // only when closed: the queue is finished first
    std::swap(work, work_);
    return Taken::kWork;
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  Work work_;
  bool closed_ = false;
};

// The vector itself was made by the other thread too, so it goes back as it is.
template <class Write>
void give_back(std::vector<Write>& writes, std::vector<Write>& spent) {
  if (spent.empty()) {
    spent.swap(writes);
  } else {
    std::move(writes.begin(), writes.end(), std::back_inserter(spent));
  }
}

// What the threads report, and the one wake per drain().
class Outbox {
 public:
  explicit Outbox(std::function<void()> wake) : wake_(std::move(wake)) {}

  // P11: once anything failed, nothing more is reported as written.
  template <class Add>
  void report(Add add) {
    bool must_wake = false;
    {
      const std::lock_guard lock(mutex_);
      if (has_failed_) return;
      add(finished_);
      has_failed_ = finished_.failed.has_value();
      must_wake = !std::exchange(is_woken_, true);
    }
    if (must_wake) wake_();
  }
  Finished drain() {
    const std::lock_guard lock(mutex_);
    is_woken_ = false;
    return std::exchange(finished_, {});
  }

 private:
  const std::function<void()> wake_;
  std::mutex mutex_;
  Finished finished_;
  bool is_woken_ = false;  // woken since the last drain
  bool has_failed_ = false;
};

}  // namespace

struct WriterThreads::Impl {
  Impl(const std::string& dir, std::unique_ptr<LogDb> log_db, std::unique_ptr<StateDb> state_db,
       std::function<void()> wake, FileSystem& files)
      : log(std::move(log_db)), outbox(std::move(wake)) {
    keeper.emplace(files, dir, log->incarnation(), log->state_file(), std::move(state_db));
    StateDb* const state = &keeper->state();
    log_bytes = log->bytes();
    state_bytes = state->bytes();
    log_thread = std::thread([this] { guarded([this] { serve_log(); }); });
    state_thread = std::thread([this] { guarded([this] { serve_state(); }); });
  }

  ~Impl() {
    log_queue.close();
    state_queue.close();
    log_thread.join();
    state_thread.join();
  }

  // A thread that fails reports why and ends; nothing is retried (P11).
  template <class Serve>
  void guarded(Serve serve) {
    try {
      serve();
    } catch (const std::exception& error) {
      outbox.report([&](Finished& finished) { finished.failed = error.what(); });
    }
  }

  void serve_log() {
    using Taken = Queue<LogWork>::Taken;
    LogWork work;
    for (;;) {
      const bool wants_checkpoint = log->wal_bytes() >= kIdleCheckpointBytes;
      const auto patience = verify_through     ? kVerifyPause
                            : wants_checkpoint ? kIdleTime
                                               : kIdleTime.zero();
      const Taken taken = log_queue.take(work, patience);
      if (taken == Taken::kClosed) return;
      if (taken == Taken::kWork) do_log_work(work);
      if (verify_through) {
        verify_some();
        if (log->wal_bytes() < LogDb::kWalBytes) continue;
      }
      if (taken != Taken::kIdle && log->wal_bytes() < LogDb::kWalBytes) continue;
      log->checkpoint();
      // Not after each transaction: since Linux 6.13 a file whose times were looked at has its
      // inode changed by the next write, and with that fdatasync writes one block more.
      log_bytes = log->bytes();
    }
  }

  void do_log_work(LogWork& work) {
    if (!work.writes.empty()) {
      const auto start = Clock::now();
      log->write(work.writes);
      const auto took =
          std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start).count();
      outbox.report([&](Finished& finished) {
        finished.written = work.writes.back().id;
        finished.last_fsync_us = static_cast<uint64_t>(took);
        give_back(work.writes, finished.spent_log);
      });
    }
    for (const ReadRequest& read : work.reads) {
      std::optional<base::Slot> damaged;
      LogReadResult result{read.id, log->read(read.from, read.to, read.max_bytes, &damaged)};
      outbox.report([&](Finished& finished) {
        finished.reads.push_back(std::move(result));
        if (damaged) finished.damaged.push_back(*damaged);
      });
    }
    if (work.verify_through) {
      verify_next = {};
      log_damage.reset();
      verify_through = work.verify_through;
    }
    work.clear();
  }

  void verify_some() {
    const LogDb::VerifiedSlice slice = log->verify_slice(verify_next, *verify_through);
    verify_next = slice.next;
    if (!log_damage) log_damage = slice.damage;
    if (slice.damaged) {
      outbox.report([&](Finished& finished) { finished.damaged.push_back(*slice.damaged); });
    }
    const bool goes_on = slice.damaged || (!slice.damage && !slice.is_last);
    if (goes_on) return;
    verify_through.reset();
    report_verified({false, log_damage});
  }

  void serve_state() {
    StateWork work;
    while (state_queue.take(work, std::chrono::milliseconds::zero()) ==
           Queue<StateWork>::Taken::kWork) {
      for (const auto& task : work.tasks) task();
      work.clear();
      keeper->checkpoint_if_due();
      state_bytes = keeper->state().bytes();
    }
  }

  // -- what the state thread does ----------------------------------------------------------------
  void write_state(base::StateWrite& write) {
    keeper->state().write(write);
    outbox.report([&](Finished& finished) {
      finished.recorded = write.meta.applied;
      finished.spent_state.push_back(std::move(write));
    });
  }
  void read_snapshot(base::NodeId peer, base::SnapshotId asked, uint64_t offset, size_t max_bytes,
                     base::Slot at_least) {
    SnapshotReadResult result{peer, asked, keeper->read(asked, offset, max_bytes, at_least)};
    outbox.report(
        [&](Finished& finished) { finished.snapshot_reads.push_back(std::move(result)); });
  }
  void write_snapshot(const base::SnapshotPart& part) {
    const std::optional<uint64_t> upto = keeper->write(part);
    if (!upto) return;
    outbox.report([&](Finished& finished) {
      finished.snapshot_stored.push_back({part.id, *upto});
    });
  }
  void check_snapshot(base::SnapshotId id, const LoadRows& load) {
    SnapshotChecked checked = keeper->check(id, load);
    outbox.report([&](Finished& finished) { finished.snapshot_checked = std::move(checked); });
  }

  void compare_state(base::Slot slot, const DigestOf& digest_of) {
    // Damage is told of by a verification, and is no digest.
    uint64_t digest = 0;
    if (!keeper->state().verify()) digest = digest_of(keeper->state().load());
    outbox.report([&](Finished& finished) { finished.compared = StateCompared{slot, digest}; });
  }
  void report_verified(Verified verified) {
    outbox.report([&](Finished& finished) { finished.verified.push_back(std::move(verified)); });
  }

  template <class Task>
  void queue_state(Task task) {
    state_queue.push([&](StateWork& work) { work.tasks.emplace_back(std::move(task)); });
  }

  // Used by log_thread only.
  const std::unique_ptr<LogDb> log;
  std::optional<base::Slot> verify_through;  // while its rows are looked at
  base::Slot verify_next;
  std::optional<std::string> log_damage;  // that it has found so far
  std::optional<StateKeeper> keeper;      // used by state_thread only
  Outbox outbox;
  Queue<LogWork> log_queue;
  Queue<StateWork> state_queue;
  std::atomic<uint64_t> log_bytes{0};
  std::atomic<uint64_t> state_bytes{0};
  std::thread log_thread;
  std::thread state_thread;
};

WriterThreads::WriterThreads(const std::string& dir, std::unique_ptr<LogDb> log,
                             std::unique_ptr<StateDb> state, std::function<void()> wake,
                             FileSystem& files)
    : impl_(std::make_unique<Impl>(dir, std::move(log), std::move(state), std::move(wake), files)) {
}

WriterThreads::~WriterThreads() = default;

void WriterThreads::write_log(base::LogWrite write) {
  impl_->log_queue.push([&](LogWork& work) { work.writes.push_back(std::move(write)); });
}

void WriterThreads::read_log(uint64_t id, base::Slot from, base::Slot to, size_t max_bytes) {
  impl_->log_queue.push([&](LogWork& work) { work.reads.push_back({id, from, to, max_bytes}); });
}

void WriterThreads::write_state(base::StateWrite write) {
  impl_->queue_state(
      [impl = impl_.get(), write = std::move(write)]() mutable { impl->write_state(write); });
}

void WriterThreads::read_snapshot(base::NodeId peer, base::SnapshotId asked, uint64_t offset,
                                  size_t max_bytes, base::Slot at_least) {
  impl_->queue_state([impl = impl_.get(), peer, asked, offset, max_bytes, at_least] {
    impl->read_snapshot(peer, asked, offset, max_bytes, at_least);
  });
}

void WriterThreads::write_snapshot(base::SnapshotPart part) {
  impl_->queue_state([impl = impl_.get(), part = std::move(part)] { impl->write_snapshot(part); });
}

void WriterThreads::check_snapshot(base::SnapshotId id, LoadRows load) {
  impl_->queue_state(
      [impl = impl_.get(), id, load = std::move(load)] { impl->check_snapshot(id, load); });
}

void WriterThreads::compare_state(base::Slot slot, DigestOf digest_of) {
  impl_->queue_state([impl = impl_.get(), slot, digest_of = std::move(digest_of)] {
    impl->compare_state(slot, digest_of);
  });
}

void WriterThreads::verify(base::Slot recorded) {
  impl_->queue_state([impl = impl_.get()] {
    impl->report_verified({true, impl->keeper->state().verify()});
  });
  impl_->log_queue.push([recorded](LogWork& work) { work.verify_through = recorded; });
}

void WriterThreads::switch_state() {
  impl_->queue_state([impl = impl_.get()] { impl->keeper->switch_state(); });
}

Finished WriterThreads::drain() {
  return impl_->outbox.drain();
}

uint64_t WriterThreads::log_bytes() const {
  return impl_->log_bytes;
}

uint64_t WriterThreads::state_bytes() const {
  return impl_->state_bytes;
}

}  // namespace holdfast::store
