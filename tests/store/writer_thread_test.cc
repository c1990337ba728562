// The writer threads: group commit, order, and silence after a failure.
#include <doctest/doctest.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>

#include "lockcore/store/writer_thread.h"
#include "tests/store/samples.h"
#include "tests/store/temp_dir.h"

using namespace holdfast;
using namespace holdfast::store_test;

namespace {

// The owner's side: a wake-up that can be waited for, and held back to keep the log thread busy.
class Owner {
 public:
  explicit Owner(const std::string& dir) {
    auto log = open_log(dir);
    auto state = open_state(dir);
    threads = std::make_unique<store::WriterThreads>(dir, std::move(log), std::move(state),
                                                     [this] { on_wake(); });
  }

  // Drains until `done(everything so far)`; false after ten seconds.
  template <class Done>
  bool wait(Done done) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!done()) {
      {
        std::unique_lock lock(mutex_);
        if (!changed_.wait_until(lock, deadline, [this] { return woken_; })) return false;
        woken_ = false;
      }
      take();
    }
    return true;
  }
  void take() {
    store::Finished finished = threads->drain();
    if (finished.written) {
      CHECK(finished.written > written);
      written = finished.written;
    }
    if (finished.recorded) recorded = finished.recorded;
    if (finished.failed) failed = finished.failed;
    for (auto& read : finished.reads) reads.push_back(std::move(read));
    for (const base::Slot slot : finished.damaged) damaged.push_back(slot);
    for (auto& each : finished.verified) verified.push_back(std::move(each));
  }
  // While held, the thread that calls wake stays in it.
  void hold() {
    const std::lock_guard lock(mutex_);
    held_ = true;
  }
  void let_go() {
    const std::lock_guard lock(mutex_);
    held_ = false;
    changed_.notify_all();
  }
  bool wait_until_stuck() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [this] { return stuck_; });
  }

  base::WriteId written;
  base::Slot recorded;
  std::optional<std::string> failed;
  std::vector<store::LogReadResult> reads;
  std::vector<base::Slot> damaged;
  std::vector<store::Verified> verified;
  std::unique_ptr<store::WriterThreads> threads;  // ends first: its threads call on_wake

 private:
  void on_wake() {
    std::unique_lock lock(mutex_);
    woken_ = true;
    stuck_ = held_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !held_; });
    stuck_ = false;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
  bool held_ = false;
  bool stuck_ = false;
};

}  // namespace

TEST_CASE("writer threads: what is reported as written is there after a restart, in order") {
  TempDir dir;
  {
    Owner owner(dir.data());
    for (uint64_t i = 1; i <= 200; ++i) owner.threads->write_log(entry_write(i, "v"));
    base::StateWrite state;
    state.meta.applied = {150};
    owner.threads->write_state(state);
    REQUIRE(owner.wait([&] { return owner.written.value == 200 && owner.recorded.value == 150; }));
    CHECK_FALSE(owner.failed);
    CHECK(owner.threads->log_bytes() > 0);
    CHECK(owner.threads->state_bytes() > 0);
  }
  CHECK(open_log(dir.data())->recover({150}).entries.size() == 50);
  CHECK(open_state(dir.data())->load().meta.applied == base::Slot{150});
}

TEST_CASE("writer threads: all that queues up during a transaction goes into the next one") {
  // Group commit (P12): one fsync for everybody who waits.
  TempDir dir;
  Owner owner(dir.data());
  owner.hold();
  owner.threads->write_log(entry_write(1, "first"));
  REQUIRE(owner.wait_until_stuck());  // the log thread is busy from here on
  for (uint64_t i = 2; i <= 100; ++i) owner.threads->write_log(entry_write(i, "v"));
  owner.take();
  CHECK(owner.written.value == 1);
  owner.let_go();
  std::set<uint64_t> reported;
  REQUIRE(owner.wait([&] {
    reported.insert(owner.written.value);
    return owner.written.value == 100;
  }));
  CHECK(reported == std::set<uint64_t>{1, 100});
}

TEST_CASE("writer threads: a read sees every write that was handed over before it") {
  TempDir dir;
  Owner owner(dir.data());
  for (uint64_t i = 1; i <= 20; ++i) {
    owner.threads->write_log(entry_write(i, "value " + std::to_string(i)));
    owner.threads->read_log(i, {1}, {i}, 1'000'000);
  }
  REQUIRE(owner.wait([&] { return owner.reads.size() == 20; }));
  for (uint64_t i = 1; i <= 20; ++i) {
    CHECK(owner.reads[i - 1].id == i);
    REQUIRE(owner.reads[i - 1].entries.size() == i);
    CHECK(*owner.reads[i - 1].entries.back().value == "value " + std::to_string(i));
  }
}

TEST_CASE("writer threads: the end waits for what is queued") {
  TempDir dir;
  {
    Owner owner(dir.data());
    for (uint64_t i = 1; i <= 50; ++i) owner.threads->write_log(entry_write(i, "v"));
  }
  CHECK(open_log(dir.data())->recover({}).last_slot == base::Slot{50});
}

TEST_CASE("writer threads: a damaged row is told of, by a reading and by a verification") {
  // Nothing ends: all that is in memory is whole, and what is written takes the row's place.
  TempDir dir;
  make_used_directory(dir.data(), 3, 3);
  empty_wals(dir.data());
  const std::string path = dir.data() + "/log.db";
  flip(path, read_file(path).find("value-of-slot-2;"));
  Owner owner(dir.data());
  owner.threads->read_log(1, {1}, {3}, 1'000'000);
  REQUIRE(owner.wait([&] { return owner.damaged.size() == 1; }));
  REQUIRE(owner.reads.size() == 1);
  CHECK(owner.reads[0].entries.size() == 1);
  owner.threads->verify({3});
  REQUIRE(owner.wait([&] { return owner.verified.size() == 2; }));
  CHECK(owner.damaged == std::vector<base::Slot>{{2}, {2}});
  for (const store::Verified& verified : owner.verified) {
    CHECK(verified.damage.has_value() == !verified.of_state);
  }
  owner.threads->write_log(entry_write(2, "mended"));
  owner.threads->verify({3});
  REQUIRE(owner.wait([&] { return owner.verified.size() == 4; }));
  CHECK_FALSE(owner.verified[2].damage);
  CHECK_FALSE(owner.verified[3].damage);
  CHECK_FALSE(owner.failed);
}

TEST_CASE("writer threads: after a failure they say why, and nothing more is reported") {
  // P11: what was under way may or may not be on the disk, and nothing after it counts.
  TempDir dir;
  make_used_directory(dir.data(), 3);
  empty_wals(dir.data());
  const std::string path = dir.data() + "/log.db";
  const size_t at = read_file(path).find("value-of-slot-2;");
  REQUIRE(at != std::string::npos);
  flip(path, at);
  flip(path, at - 2);  // not even its slot is certain
  Owner owner(dir.data());
  owner.threads->read_log(1, {1}, {3}, 1'000'000);
  REQUIRE(owner.wait([&] { return owner.failed.has_value(); }));
  CHECK(owner.failed->find("the row of slot 2 fails its checksum") != std::string::npos);
  owner.threads->write_log(entry_write(4, "v"));
  base::StateWrite state;
  state.meta.applied = {1};
  owner.threads->write_state(state);
  const std::string reason = *owner.failed;
  owner.threads.reset();  // waits for both threads
  CHECK(owner.failed == reason);
  CHECK(owner.written == base::WriteId{});
  CHECK(owner.recorded == base::Slot{});
  CHECK(owner.reads.empty());
}
