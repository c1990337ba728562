// Bits that flip while the node is down. A damaged row is named and never used, and damage in the
// middle of a WAL doesn't pass for the torn end that a crash leaves (P11).
#include <doctest/doctest.h>

#include "lockcore/base/random.h"
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

// Also in what a page that was split has left in its free space: only one of them is in use.
void flip_each(const std::string& path, const std::string& text) {
  const std::string bytes = read_file(path);
  size_t at = bytes.find(text);
  REQUIRE(at != std::string::npos);
  for (; at != std::string::npos; at = bytes.find(text, at + 1)) flip(path, at);
}

std::optional<store::WalDamage> scan(const std::string& wal) {
  const auto file = store::FileSystem::real().open(wal);
  REQUIRE(file);
  return store::scan_wal(*file).damage;
}

// A file that is nothing but its bytes.
struct BytesFile final : store::File {
  explicit BytesFile(std::string all) : bytes(std::move(all)) {}
  size_t read(uint64_t offset, void* into, size_t size) override {
    return offset < bytes.size() ? bytes.copy(static_cast<char*>(into), size, offset) : 0;
  }
  void write(uint64_t, std::string_view) override {}
  void sync() override {}
  void drop_cache() override {}
  uint64_t size() override { return bytes.size(); }
  std::string bytes;
};

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
  flip_text(dir.data() + "/log.db", "value-of-slot-20;");
  const auto log = open_log(dir.data());
  const base::RecoveredLog recovered = log->recover({});
  CHECK(recovered.damaged == std::vector<base::Slot>{{7}, {20}});
  CHECK(recovered.damage.ends_with(
      "/log.db: table `log`: the row of slot 7, the row of slot 20 fail their checksums"));
  CHECK(recovered.entries.size() == 18);
  CHECK(recovered.last_slot == base::Slot{20});  // it was accepted, whatever it was
  CHECK(recovered.promised == base::Ballot{1, {1}});
  // What others know to be chosen takes its place.
  write_one(*log, entry_write(7, "from another node"));
  write_one(*log, entry_write(20, "from another node"));
  CHECK(log->recover({}).damage.empty());
  CHECK(log->recover({}).entries.size() == 20);
}

TEST_CASE("log.db: a damaged row of which not even the slot is certain is refused") {
  // It may be a row that was at another slot, where none is missed now.
  TempDir dir;
  make_used_directory(dir.data(), 20);
  empty_wals(dir.data());
  const std::string path = dir.data() + "/log.db";
  flip_text(path, "value-of-slot-7;");
  flip(path, read_file(path).find("alue-of-slot-7;") - 3);  // the end of `slot_sum`
  const Refused refused = recovering(dir.data());
  CHECK(refused.kind == Kind::kDamaged);
  CHECK(refused.says("/log.db: table `log`: the row of slot 7 fails its checksum"));
  CHECK(refused.says("lockctl member replace"));
}

TEST_CASE("log.db: rubbish over a page of rows costs them all, and others mend that") {
  TempDir dir;
  make_used_directory(dir.data(), 200, 150);
  {
    const auto log = open_log(dir.data());
    base::LogWrite cell;
    cell.config = base::Config{{5}, {1}, {{{1}, {77}, "a:1", true}, {{2}, {78}, "b:1", true}}};
    cell.peers = {{{2}, 4, 9, {8, {2}}, {17}}};
    write_one(*log, cell);
  }
  empty_wals(dir.data());
  const std::string path = dir.data() + "/log.db";
  const size_t page = read_file(path).find("value-of-slot-100;") / 4096 * 4096;
  write_file(path, read_file(path).replace(page, 4096, 4096, '!'));
  // Slots 201 to 256 may have been accepted as well: the limit is raised 256 at a time.
  const base::RecoveredLog lost = open_log(dir.data())->recover({150});
  CHECK(lost.damaged == std::vector<base::Slot>{{256}});
  CHECK(lost.damage.ends_with("what was accepted through slot 256 is lost"));
  CHECK(lost.entries.empty());
  CHECK(lost.first_retained == base::Slot{151});
  CHECK(lost.last_slot == base::Slot{256});
  CHECK(lost.promised == base::Ballot{1, {1}});
  CHECK(lost.config.members.size() == 2);
  REQUIRE(lost.peers.size() == 1);
  CHECK(lost.peers[0].highest_accepted == base::Slot{17});
  CHECK(std::filesystem::exists(dir.data() + "/" + store::kDamagedLogFile));
  // Whatever comes from others, as long as something is missing through there.
  const auto log = open_log(dir.data());
  for (uint64_t slot = 151; slot <= 256; ++slot) {
    CHECK(log->recover({150}).damaged == std::vector<base::Slot>{{256}});
    write_one(*log, entry_write(slot, "from another node"));
  }
  CHECK(log->recover({150}).damage.empty());
  CHECK(log->recover({150}).entries.size() == 106);
  write_one(*log, entry_write(300, "a gap above"));
  CHECK(log->recover({150}).damage.empty());
}

TEST_CASE("log.db: in a cell of one, rubbish over a page of rows is refused, again and again") {
  TempDir dir;
  make_used_directory(dir.data(), 200, 150);
  empty_wals(dir.data());
  const std::string path = dir.data() + "/log.db";
  const size_t page = read_file(path).find("value-of-slot-100;") / 4096 * 4096;
  write_file(path, read_file(path).replace(page, 4096, 4096, '!'));
  const std::string before = read_file(path);
  for (int attempt = 1; attempt <= 2; ++attempt) {
    const Refused refused = recovering(dir.data());
    CHECK(refused.kind == Kind::kDamaged);
    CHECK_MESSAGE(refused.says("/log.db: table `log` is damaged"), refused.message);
  }
  CHECK(read_file(path) == before);
}

TEST_CASE("log.db: a look at all rows tells each damaged one, and goes on behind it") {
  TempDir dir;
  make_used_directory(dir.data(), 20, 20);
  empty_wals(dir.data());
  for (const char* row : {"value-of-slot-1;", "value-of-slot-7;", "value-of-slot-20;"}) {
    flip_text(dir.data() + "/log.db", row);
  }
  const auto log = open_log(dir.data());
  std::vector<base::Slot> damaged;
  store::LogDb::VerifiedSlice slice;
  while (!slice.is_last) {
    slice = log->verify_slice(slice.next, {20});
    CHECK(slice.damage.has_value() == slice.damaged.has_value());
    if (slice.damaged) damaged.push_back(*slice.damaged);
  }
  CHECK(damaged == std::vector<base::Slot>{{1}, {7}, {20}});
  std::optional<base::Slot> met;
  CHECK(log->read({2}, {20}, 1'000'000, &met).size() == 5);
  CHECK(met == base::Slot{7});
  write_one(*log, entry_write(21, "it is used on"));
}

TEST_CASE("log.db: a damaged row that is recorded is mended at start: the log begins behind it") {
  TempDir dir;
  make_used_directory(dir.data(), 20, 15);
  empty_wals(dir.data());
  flip_text(dir.data() + "/log.db", "value-of-slot-7;");
  flip_text(dir.data() + "/log.db", "value-of-slot-3;");
  const auto log = open_log(dir.data());
  const base::RecoveredLog recovered = log->recover({15});
  CHECK(recovered.first_retained == base::Slot{8});
  CHECK(recovered.entries.size() == 5);
  CHECK(log->read({1}, {20}, 1'000'000).size() == 13);
}

TEST_CASE("log.db: the last recorded row may be the damaged one") {
  TempDir dir;
  make_used_directory(dir.data(), 20, 20);
  empty_wals(dir.data());
  flip_text(dir.data() + "/log.db", "value-of-slot-20;");
  const base::RecoveredLog recovered = open_log(dir.data())->recover({20});
  CHECK(recovered.first_retained == base::Slot{21});
  CHECK(recovered.last_slot == base::Slot{20});
}

TEST_CASE("log.db: a damaged row met at run time is not handed out, and ends the database's use") {
  TempDir dir;
  make_used_directory(dir.data(), 20, 20);
  empty_wals(dir.data());
  flip_text(dir.data() + "/log.db", "value-of-slot-7;");
  const auto log = open_log(dir.data());
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
    store::StateDb state(dir.data(), log->state_file(), kIncarnation);
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

TEST_CASE("log.db: rows that vanish with a flipped bit of their page's header are missed") {
  // The log may have gaps, so nothing else would tell: phase 1 would be answered "nothing was
  // accepted here".
  TempDir dir;
  make_used_directory(dir.data(), 20);
  empty_wals(dir.data());
  const std::string path = dir.data() + "/log.db";
  const size_t row = read_file(path).find("value-of-slot-20;");
  REQUIRE(row != std::string::npos);
  const size_t page = row / 4096 * 4096;
  REQUIRE(read_file(path)[page] == 13);  // a leaf of a table
  flip(path, page + 4);                  // of its 20 rows it has 21 now
  CHECK(recovering(dir.data()).kind == Kind::kDamaged);
  flip(path, page + 4);
  write_file(path, [&] {
    std::string bytes = read_file(path);
    bytes[page + 4] = 19;
    return bytes;
  }());
  const Refused refused = recovering(dir.data());
  CHECK(refused.kind == Kind::kDamaged);
  CHECK_MESSAGE(refused.says("/log.db: table `log` is damaged"), refused.message);
  CHECK(refused.says("lockctl member replace"));
}

TEST_CASE("log.db, state.db: a flipped bit in the description of a table is damage") {
  for (const std::string file : {"/log.db", "/state.db"}) {
    TempDir dir;
    make_used_directory(dir.data(), 3, 2);
    empty_wals(dir.data());
    flip_each(dir.data() + file, file == "/log.db" ? "promised_round" : "ttl_ms");
    const Refused refused = refusal_of([&] {
      const auto log = open_log(dir.data());
      open_state(dir.data())->load();
      log->recover({2});
    });
    CHECK_MESSAGE(refused.kind == Kind::kDamaged, refused.message);
    CHECK(refused.says(file + ": "));
    CHECK(refused.says("lockctl member replace"));
  }
}

TEST_CASE("state.db: a flipped bit in a row is found at load, and table and key are named") {
  TempDir dir;
  {
    const auto log = open_log(dir.data());
    store::StateDb state(dir.data(), "state.db", kIncarnation);
    base::StateWrite write;
    write.meta.applied = {1};
    write.locks.put = {{"a", {1}, 0}, {"name-of-a-lock", {0x1122334455667788}, 0}, {"z", {3}, 0}};
    state.write(write);
  }
  empty_wals(dir.data());
  flip_text(dir.data() + "/state.db", "\x11\x22\x33\x44\x55\x66\x77\x88");
  const Refused refused = refusal_of([&] { open_state(dir.data())->load(); });
  CHECK(refused.kind == Kind::kDamaged);
  CHECK(refused.says("/state.db: table `lock`: the row with key name-of-a-lock"));
  CHECK(refused.says("lockctl member replace"));
}

TEST_CASE("state.db: a flipped bit in an event is found at load, and its revision is named") {
  TempDir dir;
  {
    const auto log = open_log(dir.data());
    const auto state = open_state(dir.data());
    base::StateWrite write;
    write.meta.applied = {1};
    base::EventRows events;
    for (uint64_t revision = 1; revision <= 3; ++revision) {
      events.push_back({{revision},
                        base::EventType::kGrant,
                        "name-of-a-lock",
                        {revision},
                        {9},
                        nullptr,
                        "released",
                        5,
                        0x1122334455667788 + revision});
    }
    write.events = std::make_shared<const base::EventRows>(std::move(events));
    state->write(write);
  }
  empty_wals(dir.data());
  const std::string path = dir.data() + "/state.db";
  const std::string before = read_file(path);
  flip_text(path, "\x11\x22\x33\x44\x55\x66\x77\x8a");
  const Refused refused = refusal_of([&] { open_state(dir.data())->load(); });
  CHECK(refused.kind == Kind::kDamaged);
  CHECK(refused.says("/state.db: table `event`: the row with key 2 fails its checksum"));
  CHECK(refused.says("lockctl member replace"));
  write_file(path, before);
  CHECK_FALSE(refusal_of([&] { open_state(dir.data())->load(); }).thrown);
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
      const auto damage = scan(wal);
      REQUIRE_MESSAGE(damage, "frame " << frame + 1 << ", byte " << offset);
      CHECK(damage->frame == frame + 1);
      flip(wal, at);
    }
  }
  CHECK_FALSE(scan(wal));
  flip(wal, kWalHeader + 5 * kFrame + 100);
  const Refused refused = recovering(copy);
  CHECK(refused.kind == Kind::kDamaged);
  CHECK(refused.says("/log.db-wal: frame 6 is unreadable"));
  CHECK(refused.says("acknowledged transactions are lost"));
  CHECK(refused.says("lockctl member replace"));
}

TEST_CASE("WAL: a flipped bit anywhere in the last transaction but one is refused as damage") {
  // It costs the last one, which was acknowledged as well.
  TempDir dir;
  make_used_directory(dir.data(), 12);
  const std::string wal = dir.data() + "/log.db-wal";
  const size_t frames = live_frames(wal);
  const size_t before_last = frames - 2;  // each slot was a transaction of one frame
  for (size_t offset = 0; offset < kFrame; ++offset) {
    if (offset >= 4 && offset < 8) continue;  // that it is the end of a transaction
    const size_t at = kWalHeader + before_last * kFrame + offset;
    flip(wal, at);
    const auto damage = scan(wal);
    REQUIRE_MESSAGE(damage, "byte " << offset);
    CHECK(damage->frame == before_last + 1);
    flip(wal, at);
  }
  CHECK_FALSE(scan(wal));
}

TEST_CASE("WAL: whichever sectors of the last transaction a crash leaves out, it is no damage") {
  // Its frames' headers lie across sectors: one may be half new and half of a frame of the WAL's
  // former life, which may have been the end of a transaction.
  TempDir dir;
  const auto log = open_log(dir.data());
  const std::string wal = dir.data() + "/log.db-wal";
  uint64_t slot = 0;
  while (live_frames(wal) < 120) write_one(*log, entry_write(++slot, "small"));
  log->checkpoint();
  // From frame 42 on, in which the boundary lies behind the field that says so.
  do write_one(*log, entry_write(++slot, "small"));
  while (live_frames(wal) < 38);
  const std::string before = read_file(wal);
  write_one(*log, entry_write(++slot, std::string(60'000, 'L')));
  const std::string after = read_file(wal);
  base::Random random(42);
#ifdef __SANITIZE_ADDRESS__
  constexpr int kRounds = 200;
#else
  constexpr int kRounds = 2000;
#endif
  for (int round = 0; round < kRounds; ++round) {
    BytesFile torn(after.substr(0, kWalHeader + 120 * kFrame));
    for (size_t at = 0; at < torn.bytes.size(); at += 512) {
      if (random.chance(0.5)) torn.bytes.replace(at, 512, before, at, 512);
    }
    torn.bytes.resize(kWalHeader + 120 * kFrame);
    REQUIRE_FALSE(store::scan_wal(torn).damage);
  }
}

TEST_CASE("WAL: a flipped bit in its header is refused as damage") {
  TempDir dir;
  make_used_directory(dir.data(), 3);
  for (size_t offset = 0; offset < kWalHeader; ++offset) {
    flip(dir.data() + "/log.db-wal", offset);
    const auto damage = scan(dir.data() + "/log.db-wal");
    REQUIRE_MESSAGE(damage, "byte " << offset);
    CHECK(damage->frame == 0);
    flip(dir.data() + "/log.db-wal", offset);
  }
  CHECK_FALSE(scan(dir.data() + "/log.db-wal"));
}

TEST_CASE("WAL: a flipped bit in the last transaction is damage, told by the mark") {
  // SQLite, and all that is in the WAL itself, take it for a torn write.
  TempDir dir;
  make_used_directory(dir.data(), 6);
  const size_t last = live_frames(dir.data() + "/log.db-wal") - 1;
  for (const size_t offset :
       {size_t{0}, size_t{5}, size_t{9}, size_t{17}, size_t{24}, kFrame - 1}) {
    const size_t at = kWalHeader + last * kFrame + offset;
    flip(dir.data() + "/log.db-wal", at);
    for (const char* boot_id : {"boot", "next boot", ""}) {
      const Refused refused = refusal_of([&] { open_log(dir.data(), boot_id); });
      CHECK(refused.kind == Kind::kDamaged);
      CHECK_MESSAGE(refused.says("/log.db-wal: frame " + std::to_string(last + 1) +
                                 " is unreadable, though its transaction was written and synced"),
                    refused.message);
      CHECK(refused.says("lockctl member replace"));
    }
    flip(dir.data() + "/log.db-wal", at);
  }
  CHECK(open_log(dir.data())->recover({}).last_slot == base::Slot{6});
}

TEST_CASE("WAL: without the mark, a bad last transaction is damage within one boot only") {
  for (const bool is_missing : {true, false}) {
    TempDir dir;
    make_used_directory(dir.data(), 6);
    const size_t last = live_frames(dir.data() + "/log.db-wal") - 1;
    flip(dir.data() + "/log.db-wal", kWalHeader + last * kFrame + 100);
    if (is_missing) {
      std::filesystem::remove(dir.data() + "/log.db-mark");
    } else {
      flip(dir.data() + "/log.db-mark", 9);
    }
    for (int attempt = 1; attempt <= 2; ++attempt) {
      // To have looked must not make the second attempt succeed.
      const Refused refused = refusal_of([&] { open_log(dir.data(), "boot"); });
      CHECK(refused.kind == Kind::kDamaged);
      CHECK_MESSAGE(refused.says("/log.db-mark, which would say"), refused.message);
    }
    CHECK(open_log(dir.data(), "next boot")->recover({}).last_slot == base::Slot{5});
  }
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
    // It isn't synced, so a power failure takes it along or leaves an older one.
    std::filesystem::remove(copy + "/log.db-mark");
    const base::RecoveredLog recovered = open_log(copy, "next boot")->recover({});
    CHECK(recovered.last_slot == base::Slot{6});
  }
}

TEST_CASE("WAL: frames of its former life are not mistaken for lost transactions") {
  // After a checkpoint the WAL is overwritten from the start; what lies behind is older.
  TempDir dir;
  {
    const auto log = open_log(dir.data());
    store::StateDb state(dir.data(), "state.db", kIncarnation);
    for (uint64_t slot = 1; slot <= 30; ++slot) write_one(*log, entry_write(slot, "first life"));
    log->checkpoint();
    for (uint64_t slot = 31; slot <= 33; ++slot) write_one(*log, entry_write(slot, "second"));
  }
  CHECK_FALSE(scan(dir.data() + "/log.db-wal"));
  CHECK(open_log(dir.data())->recover({}).entries.size() == 33);
}

TEST_CASE("WAL: an empty or never written one is no damage") {
  TempDir dir;
  write_file(dir.path() + "/empty", "");
  CHECK_FALSE(scan(dir.path() + "/empty"));
  write_file(dir.path() + "/zeros", std::string(200'000, '\0'));
  CHECK_FALSE(scan(dir.path() + "/zeros"));
}
