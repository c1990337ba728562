// A new cell from what an old one left: all leases end, no token comes again, and a backup that is
// damaged is no backup.
#include <doctest/doctest.h>

#include "lockcore/store/new_cell.h"
#include "tests/store/samples.h"
#include "tests/store/temp_dir.h"

using namespace holdfast;
using namespace holdfast::store_test;
using Kind = store::StoreError::Kind;

namespace {

// What `snapshot save` writes: a state database without its WAL.
std::string make_backup(const TempDir& dir) {
  const std::string from = dir.data();
  std::filesystem::create_directories(from);
  {
    store::StateDb state(from, "state.db", base::Incarnation{99});
    base::StateWrite write;
    write.meta.applied = {70};
    write.meta.revision = {500};
    write.meta.cell_time_ms = 12'345;
    write.locks.put = {{"lock", {400}, 0}};
    write.leases.put = {{{300}, {1}, 1000, 0, std::string(16, 's'), nullptr, 5}};
    write.holds.put = {{{400}, "lock", {300}, {1}, {2}, base::Mode::kExclusive, 1, 5, 5, 3, "why"}};
    write.clients.put = {{{1}, 3, {}, 5, 60'000}};
    write.answers.put = {{{{1}, 3}, "an answer"}};
    write.events = std::make_shared<const base::EventRows>(
        base::EventRows{{{500}, base::EventType::kGrant, "lock", {400}, {300}, nullptr, "", 5, 5}});
    state.write(write);
    state.checkpoint();
  }
  std::filesystem::rename(from + "/state.db", from + "/backup");
  std::filesystem::remove(from + "/state.db-wal");
  return from + "/backup";
}

store::NewCell cell_of_two(base::Slot applied) {
  store::NewCell cell;
  cell.config = {{55}, {1}, {{{1}, {101}, "a:1", true}, {{2}, {102}, "b:1", true}}};
  cell.applied = applied;
  cell.revision = {9'000'000};
  cell.wall_ms = 777;
  cell.note = "restored";
  return cell;
}

}  // namespace

TEST_CASE("backup: looking at it tells what is in it, and changes nothing") {
  TempDir dir;
  const std::string path = make_backup(dir);
  const std::string before = read_file(path);
  const store::BackupInfo info = store::inspect_backup(path);
  CHECK(info.meta.applied == base::Slot{70});
  CHECK(info.leases == 1);
  CHECK(info.holds == 1);
  CHECK(info.events == 1);
  CHECK(info.bytes == before.size());
  CHECK(read_file(path) == before);
  CHECK_FALSE(std::filesystem::exists(path + "-wal"));
}

TEST_CASE("backup: a flipped bit, a missing end and another file are refused") {
  TempDir dir;
  const std::string path = make_backup(dir);
  const std::string whole = read_file(path);
  const size_t at = whole.find("an answer");
  REQUIRE(at != std::string::npos);
  flip(path, at);
  CHECK(refusal_of([&] { store::inspect_backup(path); }).says("table `answer`"));
  write_file(path, whole.substr(0, whole.size() - 4096));
  CHECK(refusal_of([&] { store::inspect_backup(path); }).kind == Kind::kDamaged);
  write_file(path, "something else altogether");
  CHECK(refusal_of([&] { store::inspect_backup(path); }).kind == Kind::kForeign);
}

TEST_CASE("restore: every lease has ended, and revisions go on far above") {
  TempDir dir;
  const std::string path = make_backup(dir);
  const std::string to = dir.data() + "/restored";
  store::restore_backup(path, to, {2}, cell_of_two({71}));
  const store::LogDb log(to, {2}, base::Incarnation{1}, "boot");
  CHECK(log.incarnation() == base::Incarnation{102});
  store::StateDb state(to, log.state_file(), log.incarnation());
  const base::StateRows rows = state.load();
  CHECK(rows.leases.empty());
  CHECK(rows.locks.empty());
  CHECK(rows.holds.empty());
  CHECK(rows.clients.empty());
  CHECK(rows.answers.empty());
  CHECK(rows.meta.revision.value == 9'000'000);
  CHECK(rows.meta.cell_time_ms == 12'345);
  CHECK(rows.meta.applied == base::Slot{71});
}

TEST_CASE("restore: the node is a member of a founded cell, and has promised nothing") {
  TempDir dir;
  const std::string path = make_backup(dir);
  const std::string to = dir.data() + "/restored";
  store::restore_backup(path, to, {1}, cell_of_two({71}));
  store::LogDb log(to, {1}, base::Incarnation{1}, "boot");
  const base::RecoveredLog recovered = log.recover({71});
  CHECK(recovered.founding == base::FoundingState::kFounded);
  CHECK(recovered.config == cell_of_two({71}).config);
  CHECK(recovered.promised == base::Ballot{});
  CHECK(recovered.first_retained == base::Slot{72});
  CHECK(recovered.entries.empty());
}

TEST_CASE("restore: a directory that is there is left alone") {
  TempDir dir;
  const std::string path = make_backup(dir);
  make_used_directory(dir.data() + "/used", 3);
  const Refused refused = refusal_of(
      [&] { store::restore_backup(path, dir.data() + "/used", {1}, cell_of_two({71})); });
  CHECK(refused.says("exists already"));
}

TEST_CASE("new cell: rows that the old one accepted above its record are gone") {
  // They were proposed in the old cell's ballots: dug up again, they would end new leases.
  TempDir dir;
  make_used_directory(dir.data(), 9, 6);
  {
    const auto log = open_log(dir.data());
    open_state(dir.data())->checkpoint();
    store::NewCell cell = cell_of_two({10});
    cell.config.members = {{{1}, kIncarnation, "a:1", true}};
    store::found_from(dir.data() + "/state.db", dir.data(), *log, cell);
  }
  const auto log = open_log(dir.data());
  CHECK(log->state_file() == "state-10.db");
  CHECK(log->read({1}, {100}, SIZE_MAX).empty());
  CHECK(log->recover({10}).config.members.size() == 1);
}

TEST_CASE("new cell: revisions are ahead of the backup, of the clock and of what is asked for") {
  constexpr uint64_t kAhead = uint64_t{1} << 40;
  CHECK(store::revision_of_new_cell({5}, 1, {}).value == kAhead + 5);
  // Restored a second time a millisecond later: no token of the first time comes again, unless it
  // gave out more than a million in that millisecond.
  const uint64_t now_ms = 1'800'000'000'000;
  CHECK(store::revision_of_new_cell({5}, now_ms, {}).value == now_ms << 20);
  CHECK(store::revision_of_new_cell({5}, now_ms, {now_ms << 21}).value == now_ms << 21);
}
