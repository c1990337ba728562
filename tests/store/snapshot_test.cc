// Snapshots: what is read between two checkpoints is the state of one slot, damage is found before
// it counts, and what is left of an interrupted installation goes.
#include <doctest/doctest.h>

#include "lockcore/store/new_cell.h"
#include "lockcore/store/state_keeper.h"
#include "tests/store/samples.h"
#include "tests/store/temp_dir.h"

using namespace holdfast;
using namespace holdfast::store_test;
namespace fs = std::filesystem;

namespace {

constexpr size_t kPartBytes = 10'000;

base::StateWrite record_of(uint64_t slot) {
  base::StateWrite write;
  write.meta.applied = {slot};
  write.meta.revision = {slot * 10};
  write.locks.put = {{"lock", {slot}, 0}};
  write.leases.put = {{{slot}, {1}, 1000, 0, std::string(16, 's'), nullptr, 5}};
  write.answers.put = {{{{1}, slot}, std::string(5000, 'a')}};
  return write;
}

std::unique_ptr<store::StateDb> state_through(const std::string& dir, uint64_t slots) {
  fs::create_directories(dir);
  auto state = std::make_unique<store::StateDb>(dir, "state.db", base::Incarnation{99});
  for (uint64_t slot = 1; slot <= slots; ++slot) state->write(record_of(slot));
  return state;
}

// Reads all of it, and calls `meanwhile` after each part.
template <class Meanwhile>
std::vector<base::SnapshotPart> parts_of(store::StateDb& state, Meanwhile meanwhile) {
  std::vector<base::SnapshotPart> parts{state.read_snapshot(0, 0, kPartBytes, true)};
  while (parts.back().id != 0 && !parts.back().is_last()) {
    meanwhile();
    parts.push_back(state.read_snapshot(parts[0].id, parts.back().end(), kPartBytes, false));
  }
  return parts;
}

struct Receiver {
  TempDir dir;
  std::unique_ptr<store::LogDb> log = open_log(dir.data());
  store::StateKeeper keeper{store::FileSystem::real(), dir.data(), kIncarnation, "state.db",
                            open_state(dir.data())};

  store::SnapshotChecked take(const std::vector<base::SnapshotPart>& parts) {
    for (const base::SnapshotPart& part : parts) CHECK(keeper.write(part) == part.end());
    return keeper.check(parts.back().id, [this](base::StateRows found) {
      rows = std::move(found);
      return std::optional<std::string>();
    });
  }
  base::StateRows rows;
};

}  // namespace

TEST_CASE("snapshot: what is recorded while it is read isn't in it") {
  TempDir dir;
  const auto state = state_through(dir.data(), 20);
  uint64_t slot = 20;
  const auto parts = parts_of(*state, [&] { state->write(record_of(++slot)); });
  CHECK(parts.size() > 5);
  Receiver receiver;
  const store::SnapshotChecked checked = receiver.take(parts);
  REQUIRE_FALSE(checked.refused);
  CHECK(checked.file == "state-20.db");
  CHECK(receiver.rows.meta.applied == base::Slot{20});
  CHECK(receiver.rows.leases.size() == 20);
}

TEST_CASE("snapshot: a checkpoint ends it, and whoever reads on is told so") {
  TempDir dir;
  const auto state = state_through(dir.data(), 20);
  const base::SnapshotPart first = state->read_snapshot(0, 0, kPartBytes, true);
  REQUIRE(first.id != 0);
  state->write(record_of(21));
  state->checkpoint();
  CHECK(state->read_snapshot(first.id, first.end(), kPartBytes, false).id == 0);
  const base::SnapshotPart next = state->read_snapshot(0, 0, kPartBytes, false);
  CHECK(next.slot == base::Slot{21});
  CHECK(next.id != first.id);
}

TEST_CASE("snapshot: where nothing was ever recorded there is none") {
  TempDir dir;
  CHECK(state_through(dir.data(), 0)->read_snapshot(0, 0, kPartBytes, true).id == 0);
}

TEST_CASE("snapshot: a damaged page of the sender's is found, and doesn't count") {
  TempDir dir;
  const auto state = state_through(dir.data(), 20);
  auto parts = parts_of(*state, [] {});
  // As it would come from a rotten disk: the part's own checksum was made afterwards.
  std::string bytes = *parts[3].bytes;
  const size_t at = bytes.find("aaaa");
  REQUIRE(at != std::string::npos);
  bytes[at] = 'b';
  parts[3].bytes = std::make_shared<const std::string>(bytes);
  Receiver receiver;
  const store::SnapshotChecked checked = receiver.take(parts);
  REQUIRE(checked.refused);
  CHECK(checked.refused->find("table `answer`: the row with key") != std::string::npos);
  CHECK_FALSE(fs::exists(receiver.dir.data() + "/state-20.db"));
  CHECK_FALSE(fs::exists(receiver.dir.data() + "/state-20.db.new"));
}

TEST_CASE("snapshot: parts that don't follow each other aren't stored") {
  TempDir dir;
  const auto state = state_through(dir.data(), 20);
  const auto parts = parts_of(*state, [] {});
  Receiver receiver;
  CHECK(receiver.keeper.write(parts[0]) == parts[0].end());
  CHECK_FALSE(receiver.keeper.write(parts[2]));
  CHECK(receiver.keeper.write(parts[1]) == parts[1].end());
  const auto nothing = [](const base::StateRows&) { return std::optional<std::string>(); };
  const store::SnapshotChecked checked = receiver.keeper.check(parts[0].id, nothing);
  REQUIRE(checked.refused);
  CHECK(checked.refused->find("not all of the snapshot was stored") != std::string::npos);
}

TEST_CASE("snapshot: a start removes every state file but the one that log.db names") {
  TempDir dir;
  make_used_directory(dir.data(), 3, 2);
  for (const char* name :
       {"state-9.db", "state-12.db.new", "state-12.db.new-wal", "state-9.db-shm"}) {
    write_file(dir.data() + "/" + name, "left behind");
  }
  write_file(dir.data() + "/state-old.db.bak", "an operator's");
  const auto log = open_log(dir.data());
  CHECK(open_state(dir.data())->load().meta.applied == base::Slot{2});
  std::vector<std::string> left;
  for (const auto& file : fs::directory_iterator(dir.data())) {
    const std::string name = file.path().filename();
    if (name.starts_with("state")) left.push_back(name);
  }
  std::sort(left.begin(), left.end());
  CHECK(left ==
        std::vector<std::string>{"state-old.db.bak", "state.db", "state.db-shm", "state.db-wal"});
}

TEST_CASE("log.db: trimmed rows are gone, and still count as accepted") {
  TempDir dir;
  make_used_directory(dir.data(), 10, 10);
  {
    const auto log = open_log(dir.data());
    base::LogWrite trim;
    trim.first_retained = base::Slot{11};
    write_one(*log, trim);
  }
  const auto log = open_log(dir.data());
  const base::RecoveredLog recovered = log->recover({10});
  CHECK(recovered.first_retained == base::Slot{11});
  CHECK(log->read({1}, {100}, SIZE_MAX).empty());
  // P10: peers remember that this node had accepted through slot 10.
  CHECK(recovered.last_slot == base::Slot{10});
}

TEST_CASE("log.db: how much lies where is told by the piece") {
  TempDir dir;
  make_used_directory(dir.data(), 200, 150);
  const base::RecoveredLog recovered = open_log(dir.data())->recover({150});
  uint64_t slots = 0;
  uint64_t bytes = 0;
  for (const base::LogPiece& piece : recovered.pieces) {
    slots += piece.slots;
    bytes += piece.bytes;
  }
  CHECK(slots == 150);
  CHECK(bytes > 150 * 32);
  REQUIRE(recovered.pieces.size() == 3);
  CHECK(recovered.pieces.back().last == base::Slot{150});
}
