// Bits that flip while the node is down. A damaged row is named and never used, and damage in the
// middle of a WAL doesn't pass for the torn end that a crash leaves (P11).
#include <doctest/doctest.h>

#include "lockcore/store/wal_scan.h"
#include "tests/store/samples.h"
#include "tests/store/temp_dir.h"

using namespace holdfast;
using namespace holdfast::store_test;
using Kind = store::StoreError::Kind;

namespace {

constexpr size_t kWalHeader = 32;
constexpr size_t kFrame = 24 + 4096;

void flip_text(const std::string& path, const std::string& text) {
  const size_t at = read_file(path).find(text);
  REQUIRE(at != std::string::npos);
  flip(path, at);
}

Refused recovering(const std::string& dir) {
  return refusal_of([&] { open_log(dir)->recover({}); });
}

// How many frames of the WAL belong to its present life.
size_t live_frames(const std::string& wal) {
  const std::string bytes = read_file(wal);
  size_t frames = 0;
  while (kWalHeader + (frames + 1) * kFrame <= bytes.size() &&
         bytes.compare(kWalHeader + frames * kFrame + 8, 8, bytes, 16, 8) == 0) {
    ++frames;
  }
  return frames;
}

}  // namespace

TEST_CASE("log.db: a flipped bit in a row is found at start, and the row's slot is named") {
  TempDir dir;
  make_used_directory(dir.data(), 20);
  empty_wals(dir.data());
  flip_text(dir.data() + "/log.db", "value-of-slot-7;");
  const Refused refused = recovering(dir.data());
  CHECK(refused.kind == Kind::kDamaged);
  CHECK(refused.says("/log.db: table `log`: the row of slot 7 fails its checksum"));
  CHECK(refused.says("lockctl member replace"));
}

TEST_CASE("log.db: a damaged row met at run time is not handed out, and ends the database's use") {
  TempDir dir;
  make_used_directory(dir.data(), 20, 20);
  empty_wals(dir.data());
  flip_text(dir.data() + "/log.db", "value-of-slot-7;");
  const auto log = open_log(dir.data());
  CHECK(log->recover({20}).entries.empty());
  CHECK(log->read({1}, {6}, 1'000'000).size() == 6);
  CHECK(refusal_of([&] { log->read({1}, {20}, 1'000'000); }).says("the row of slot 7"));
  CHECK(refusal_of([&] { write_one(*log, entry_write(21, "x")); }).says("not used any more"));
  CHECK(refusal_of([&] { log->read({1}, {2}, 1000); }).says("not used any more"));
  CHECK(refusal_of([&] { log->checkpoint(); }).says("not used any more"));
}

TEST_CASE("log.db: flipped bits in the promise, the members and the peers' marks are found") {
  // Each is what keeps a node from breaking its word.
  TempDir dir;
  {
    const auto log = open_log(dir.data());
    store::StateDb state(dir.data(), log->state_file());
    base::LogWrite write;
    write.promised = base::Ballot{0x1122334455667788, {1}};
    write.config = base::Config{{5}, {1}, {{{1}, {77}, "members-address:1"}}};
    write.peers = {{{2}, 4, 0x2233445566778899, {8, {2}}, {17}}};
    write_one(*log, write);
  }
  empty_wals(dir.data());
  const struct {
    const char* bytes;
    const char* complaint;
  } cases[] = {
      {"\x11\x22\x33\x44\x55\x66\x77\x88", "table `meta`: its row fails its checksum"},
      {"members-address:1", "table `member`: the row of node 1 fails its checksum"},
      {"\x22\x33\x44\x55\x66\x77\x88\x99", "table `peer`: the row of node 2 fails its checksum"},
  };
  int number = 0;
  for (const auto& flipped : cases) {
    const std::string copy = dir.path() + "/copy-" + std::to_string(++number);
    copy_directory(dir.data(), copy);
    flip_text(copy + "/log.db", flipped.bytes);
    const Refused refused = recovering(copy);
    CHECK(refused.kind == Kind::kDamaged);
    CHECK_MESSAGE(refused.says(flipped.complaint), refused.message);
  }
}

TEST_CASE("state.db: a flipped bit in a row is found at load, and table and key are named") {
  TempDir dir;
  {
    const auto log = open_log(dir.data());
    store::StateDb state(dir.data(), "state.db");
    base::StateWrite write;
    write.meta.applied = {1};
    write.locks.put = {{"a", {1}, 0}, {"name-of-a-lock", {0x1122334455667788}, 0}, {"z", {3}, 0}};
    state.write(write);
  }
  empty_wals(dir.data());
  flip_text(dir.data() + "/state.db", "\x11\x22\x33\x44\x55\x66\x77\x88");
  const Refused refused = refusal_of([&] { store::StateDb(dir.data(), "state.db").load(); });
  CHECK(refused.kind == Kind::kDamaged);
  CHECK(refused.says("/state.db: table `lock`: the row with key name-of-a-lock"));
  CHECK(refused.says("lockctl member replace"));
}

TEST_CASE("WAL: any flipped bit with two transactions behind it is refused as damage") {
  // SQLite would stop there and silently forget what was acknowledged since.
  TempDir dir;
  make_used_directory(dir.data(), 12);
  const size_t frames = live_frames(dir.data() + "/log.db-wal");
  REQUIRE(frames >= 14);  // each of the 14 transactions wrote at least one page
  const std::string copy = dir.path() + "/copy";
  copy_directory(dir.data(), copy);
  const std::string wal = copy + "/log.db-wal";
  for (size_t frame = 0; frame + 4 < frames; ++frame) {
    for (const size_t offset : {1, 5, 9, 17, 22, 24, 1000, 4100}) {  // each field of its header
      const size_t at = kWalHeader + frame * kFrame + offset;
      flip(wal, at);
      const auto damage = store::scan_wal(wal);
      REQUIRE_MESSAGE(damage, "frame " << frame + 1 << ", byte " << offset);
      CHECK(damage->frame == frame + 1);
      flip(wal, at);
    }
  }
  CHECK_FALSE(store::scan_wal(wal));
  flip(wal, kWalHeader + 5 * kFrame + 100);
  const Refused refused = recovering(copy);
  CHECK(refused.kind == Kind::kDamaged);
  CHECK(refused.says("/log.db-wal: frame 6 is unreadable"));
  CHECK(refused.says("acknowledged transactions are lost"));
  CHECK(refused.says("lockctl member replace"));
}

TEST_CASE("WAL: a flipped bit in its header is refused as damage") {
  TempDir dir;
  make_used_directory(dir.data(), 3);
  for (size_t offset = 0; offset < kWalHeader; ++offset) {
    flip(dir.data() + "/log.db-wal", offset);
    const auto damage = store::scan_wal(dir.data() + "/log.db-wal");
    REQUIRE_MESSAGE(damage, "byte " << offset);
    CHECK(damage->frame == 0);
    flip(dir.data() + "/log.db-wal", offset);
  }
  CHECK_FALSE(store::scan_wal(dir.data() + "/log.db-wal"));
}

TEST_CASE("WAL: an end that a crash tore is no damage: only what wasn't acknowledged is gone") {
  TempDir dir;
  make_used_directory(dir.data(), 6);
  const std::string whole = read_file(dir.data() + "/log.db-wal");
  size_t frames = live_frames(dir.data() + "/log.db-wal");
  const std::string large(40'000, 'L');  // a transaction of several frames
  {
    const auto log = open_log(dir.data());
    frames = live_frames(dir.data() + "/log.db-wal");
    write_one(*log, entry_write(7, large));
  }
  const size_t end = live_frames(dir.data() + "/log.db-wal");
  REQUIRE(end >= frames + 10);
  for (size_t torn = frames; torn < end; ++torn) {
    // The page cache writes in any order: one frame is missing, those around it are there.
    const std::string copy = dir.path() + "/copy-" + std::to_string(torn);
    copy_directory(dir.data(), copy);
    std::string wal = read_file(copy + "/log.db-wal");
    wal.replace(kWalHeader + torn * kFrame, kFrame, kFrame, '\0');
    write_file(copy + "/log.db-wal", wal);
    const base::RecoveredLog recovered = open_log(copy)->recover({});
    CHECK(recovered.last_slot == base::Slot{6});
  }
}

TEST_CASE("WAL: frames of its former life are not mistaken for lost transactions") {
  // After a checkpoint the WAL is overwritten from the start; what lies behind is older.
  TempDir dir;
  {
    const auto log = open_log(dir.data());
    store::StateDb state(dir.data(), "state.db");
    for (uint64_t slot = 1; slot <= 30; ++slot) write_one(*log, entry_write(slot, "first life"));
    log->checkpoint();
    for (uint64_t slot = 31; slot <= 33; ++slot) write_one(*log, entry_write(slot, "second"));
  }
  CHECK_FALSE(store::scan_wal(dir.data() + "/log.db-wal"));
  CHECK(open_log(dir.data())->recover({}).entries.size() == 33);
}

TEST_CASE("WAL: a missing, empty or never written one is no damage") {
  TempDir dir;
  CHECK_FALSE(store::scan_wal(dir.path() + "/none"));
  write_file(dir.path() + "/empty", "");
  CHECK_FALSE(store::scan_wal(dir.path() + "/empty"));
  write_file(dir.path() + "/zeros", std::string(200'000, '\0'));
  CHECK_FALSE(store::scan_wal(dir.path() + "/zeros"));
}
