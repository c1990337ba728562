// A process that is killed at random moments never loses what it had acknowledged.
#include <doctest/doctest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>

#include "lockcore/base/random.h"
#include "lockcore/store/writer_thread.h"
#include "tests/store/samples.h"
#include "tests/store/temp_dir.h"

using namespace holdfast;
using namespace holdfast::store_test;

namespace {

std::string value_of(uint64_t slot) {
  return std::string(1 + slot % 9000, static_cast<char>('a' + slot % 26));
}

// The child: writes entry after entry, a few under way at a time, records what is written, and
// prints the number of each write once it is told that it is durable.
[[noreturn]] void write_until_killed(const std::string& dir, int channel) {
  std::mutex mutex;
  std::condition_variable woken;
  bool is_woken = false;
  auto log = open_log(dir);
  auto state = open_state(dir);
  uint64_t next = log->recover(state->load().meta.applied).last_slot.value + 1;
  store::WriterThreads threads(dir, std::move(log), std::move(state), [&] {
    const std::lock_guard lock(mutex);
    is_woken = true;
    woken.notify_one();
  });
  for (uint64_t written = next - 1;;) {
    for (; next <= written + 8; ++next) threads.write_log(entry_write(next, value_of(next)));
    {
      std::unique_lock lock(mutex);
      woken.wait(lock, [&] { return std::exchange(is_woken, false); });
    }
    const store::Finished finished = threads.drain();
    if (!finished.written) continue;
    written = finished.written.value;
    if (::write(channel, &written, sizeof written) != sizeof written) ::_exit(1);
    base::StateWrite record;
    record.meta.applied = {written};
    record.locks.put = {{"lock", {written}, 0}};
    threads.write_state(record);
  }
}

// Lets a child run until it has acknowledged `wanted` more writes and a moment longer; kills it;
// returns the last write that it acknowledged.
uint64_t run_and_kill(const std::string& dir, uint64_t wanted, base::Random& random) {
  int channel[2];
  REQUIRE(::pipe(channel) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(channel[0]);
    write_until_killed(dir, channel[1]);
  }
  ::close(channel[1]);
  uint64_t last = 0;
  for (uint64_t seen = 0; seen < wanted; ++seen) {
    pollfd ready{channel[0], POLLIN, 0};
    REQUIRE(::poll(&ready, 1, 20'000) == 1);
    REQUIRE(::read(channel[0], &last, sizeof last) == sizeof last);
  }
  pollfd quiet{-1, 0, 0};
  ::poll(&quiet, 1, static_cast<int>(random.below(3)));
  ::kill(child, SIGKILL);
  // What still comes out of the pipe was acknowledged as well.
  for (uint64_t id = 0; ::read(channel[0], &id, sizeof id) == sizeof id;) last = id;
  ::close(channel[0]);
  ::waitpid(child, nullptr, 0);
  return last;
}

}  // namespace

TEST_CASE("kill -9 at random moments: every acknowledged write is found again") {
  TempDir dir;
  base::Random random(7);
  for (uint64_t round = 1; round <= 25; ++round) {
    const uint64_t acknowledged = run_and_kill(dir.data(), random.between(1, 60), random);
    const auto log = open_log(dir.data());
    store::StateDb state(dir.data(), log->state_file(), kIncarnation);
    const base::StateRows rows = state.load();
    const base::RecoveredLog recovered = log->recover(rows.meta.applied);
    CHECK(recovered.start_count == 2 * round);
    CHECK(recovered.last_slot.value >= acknowledged);
    CHECK(rows.meta.applied <= recovered.last_slot);
    if (rows.meta.applied) CHECK(rows.locks.at(0).revision.value == rows.meta.applied.value);
    uint64_t slot = 0;
    while (slot < recovered.last_slot.value) {
      for (const base::Entry& row : log->read({slot + 1}, recovered.last_slot, 1 << 20)) {
        REQUIRE(row.slot.value == slot + 1);
        REQUIRE(*row.value == value_of(row.slot.value));
        slot = row.slot.value;
      }
    }
  }
}
