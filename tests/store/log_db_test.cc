// log.db: what was written is what the next start finds.
#include <doctest/doctest.h>

#include "tests/store/samples.h"
#include "tests/store/temp_dir.h"

using namespace holdfast;
using namespace holdfast::store_test;
using base::Slot;

TEST_CASE("log.db: a new directory is empty, and its node keeps its incarnation for ever") {
  // P10: the incarnation tells a wiped disk from this one; the start count an old copy.
  TempDir dir;
  for (uint64_t start = 1; start <= 3; ++start) {
    store::LogDb log(dir.data(), {1}, {76 + start}, "");
    const base::RecoveredLog recovered = log.recover({});
    CHECK(recovered.self == base::NodeId{1});
    CHECK(recovered.incarnation == base::Incarnation{77});
    CHECK(recovered.start_count == start);
    CHECK(recovered.founding == base::FoundingState::kEmpty);
    CHECK_FALSE(recovered.promised);
    CHECK(recovered.first_retained == Slot{1});
    CHECK(recovered.entries.empty());
    CHECK(recovered.last_slot == Slot{});
    CHECK(log.state_file() == "state.db");
  }
}

TEST_CASE("log.db: the directory is the node's alone") {
  // Leases' secrets are in it.
  TempDir dir;
  open_log(dir.data());
  using std::filesystem::perms;
  CHECK(std::filesystem::status(dir.data()).permissions() == perms::owner_all);
  for (const char* file : {"/log.db", "/log.db-wal", "/lock"}) {
    const perms mode = std::filesystem::status(dir.data() + file).permissions();
    CHECK(mode == (perms::owner_read | perms::owner_write));
  }
}

TEST_CASE("log.db: every part of a write comes back after a restart") {
  TempDir dir;
  base::LogWrite write;
  write.id = {1};
  write.promised = base::Ballot{9, {3}};
  write.entries = {entry(1, "one"), entry(2, "", 2), entry(5, std::string(100'000, 'x'), 9)};
  write.entries[1].kind = base::EntryKind::kNoOp;
  write.config = base::Config{{0xfedcba9876543210},
                              {1},
                              {{{1}, {77}, "127.0.0.1:1", true}, {{2}, {~0ull}, "[::1]:2", false}}};
  write.founding = base::FoundingState::kFounded;
  write.peers = {{{2}, 4, 0xffffffffffffffff, {8, {2}}, {17}}, {{3}, 1, 5, {}, {}}};
  {
    const auto log = open_log(dir.data());
    store::StateDb state(dir.data(), log->state_file(), kIncarnation);
    write_one(*log, write);
  }
  const base::RecoveredLog recovered = open_log(dir.data())->recover({});
  CHECK(recovered.promised == *write.promised);
  CHECK(recovered.config == *write.config);
  CHECK(recovered.founding == *write.founding);
  CHECK(recovered.peers == write.peers);
  CHECK(recovered.disk_lost.empty());
  CHECK(recovered.last_slot == Slot{5});
  REQUIRE(recovered.entries.size() == 3);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(base::entry_checksum(recovered.entries[i]) == base::entry_checksum(write.entries[i]));
  }
}

TEST_CASE("log.db: later writes replace slots, peers, members and the reason of a lost disk") {
  TempDir dir;
  {
    const auto log = open_log(dir.data());
    store::StateDb state(dir.data(), log->state_file(), kIncarnation);
    std::vector<base::LogWrite> writes(2);
    writes[0].entries = {entry(1, "old"), entry(2, "stays")};
    writes[0].peers = {{{2}, 1, 1, {}, {}}};
    writes[0].config = base::Config{{5}, {1}, {{{1}, {77}, "a:1"}, {{2}, {78}, "b:1"}}};
    writes[1].entries = {entry(1, "new", 2)};
    writes[1].peers = {{{2}, 2, 3, {}, {}}};
    writes[1].config = base::Config{{5}, {2}, {{{1}, {77}, "a:1"}}};
    writes[1].disk_lost = "restored from a copy";
    log->write(writes);
  }
  const base::RecoveredLog recovered = open_log(dir.data())->recover({});
  REQUIRE(recovered.entries.size() == 2);
  CHECK(*recovered.entries[0].value == "new");
  CHECK(recovered.entries[0].ballot == base::Ballot{2, {1}});
  CHECK(*recovered.entries[1].value == "stays");
  REQUIRE(recovered.peers.size() == 1);
  CHECK(recovered.peers[0].start_count == 2);
  CHECK(recovered.config.members.size() == 1);
  CHECK(recovered.config.version == base::ConfigVersion{2});
  CHECK(recovered.disk_lost == "restored from a copy");
}

TEST_CASE("log.db: recovery hands out only what lies above the applied slot") {
  TempDir dir;
  make_used_directory(dir.data(), 10, 7);
  const base::RecoveredLog recovered = open_log(dir.data())->recover({7});
  REQUIRE(recovered.entries.size() == 3);
  CHECK(recovered.entries.front().slot == Slot{8});
  CHECK(recovered.last_slot == Slot{10});
}

TEST_CASE("log.db: a read is bounded by bytes, skips gaps and returns at least one row") {
  // Catch-up reads what no longer is in memory; a gap is a slot that this node never accepted.
  TempDir dir;
  const auto log = open_log(dir.data());
  base::LogWrite write;
  for (const uint64_t slot : {1, 2, 5, 6})
    write.entries.push_back(entry(slot, std::string(1000, 'v')));
  write_one(*log, write);
  CHECK(log->read({1}, {6}, 1).size() == 1);
  CHECK(log->read({1}, {6}, 2000).size() == 2);
  const auto all = log->read({1}, {6}, 1'000'000);
  REQUIRE(all.size() == 4);
  CHECK(all[2].slot == Slot{5});
  CHECK(log->read({3}, {4}, 1000).empty());
  CHECK(log->read({2}, {5}, 1'000'000).size() == 2);
}

TEST_CASE("log.db: what a crash leaves at any moment holds every write that had returned") {
  // The files are copied as they are, with the WAL that no checkpoint has emptied or just did.
  TempDir dir;
  const auto log = open_log(dir.data());
  store::StateDb state(dir.data(), log->state_file(), kIncarnation);
  for (uint64_t slot = 1; slot <= 12; ++slot) {
    write_one(*log, entry_write(slot, std::string(slot * 700, 'a')));
    if (slot % 5 == 0) log->checkpoint();
    const std::string copy = dir.path() + "/copy-" + std::to_string(slot);
    copy_directory(dir.data(), copy);
    const base::RecoveredLog recovered = open_log(copy)->recover({});
    CHECK(recovered.entries.size() == slot);
    CHECK(recovered.last_slot == Slot{slot});
    CHECK(recovered.start_count == 2);
  }
}

TEST_CASE("log.db: a checkpoint empties the WAL, whose file keeps its size") {
  // Overwriting is what makes a commit cheap.
  TempDir dir;
  const auto log = open_log(dir.data());
  const auto wal_size = [&] { return std::filesystem::file_size(dir.data() + "/log.db-wal"); };
  const uint64_t preallocated = wal_size();
  CHECK(preallocated >= store::LogDb::kWalBytes);
  write_one(*log, entry_write(1, std::string(300'000, 'a')));
  CHECK(log->wal_bytes() >= 300'000);
  CHECK(log->wal_bytes() < store::LogDb::kWalBytes);
  log->checkpoint();
  CHECK(log->wal_bytes() == 0);
  CHECK(log->bytes() >= 300'000 + preallocated);
  write_one(*log, entry_write(2, "b"));
  CHECK(log->wal_bytes() < 50'000);
  CHECK(wal_size() == preallocated);
}
