// Going on without a state.db that is damaged (P11): another one takes its place, whenever the
// process is killed meanwhile, and log.db keeps its promises.
#include <doctest/doctest.h>

#include "lockcore/store/mend_state.h"
#include "tests/store/fault_disk.h"
#include "tests/store/samples.h"
#include "tests/store/temp_dir.h"

using namespace holdfast;
using namespace holdfast::store_test;
using Kind = store::StoreError::Kind;

namespace {

constexpr const char* kDir = "/node";

std::unique_ptr<store::LogDb> open_log_on(FaultDisk& disk) {
  return std::make_unique<store::LogDb>(kDir, base::NodeId{1}, kIncarnation, "", disk);
}

std::unique_ptr<store::StateDb> open_state_on(FaultDisk& disk, const store::LogDb& log) {
  return std::make_unique<store::StateDb>(kDir, log.state_file(), kIncarnation, disk);
}

// Slots 1 to 9 are accepted, 6 are recorded, and the log begins with slot 5.
void live_a_while(FaultDisk& disk) {
  const auto log = open_log_on(disk);
  const auto state = open_state_on(disk, *log);
  base::LogWrite promise;
  promise.promised = base::Ballot{7, {2}};
  write_one(*log, promise);
  for (uint64_t slot = 1; slot <= 9; ++slot) write_one(*log, entry_write(slot, "v"));
  base::StateWrite record;
  record.meta.applied = {6};
  state->write(record);
  state->checkpoint();
  base::LogWrite trim;
  trim.first_retained = base::Slot{5};
  write_one(*log, trim);
}

void damage_state(FaultDisk& disk, const std::string& file) {
  // All of it is in the main file, but would be read from the WAL.
  disk.remove(std::string(kDir) + "/" + file + "-wal");
  disk.sync_directory(kDir);
  disk.flip(std::string(kDir) + "/" + file, 4096, 3);  // of the second page, what kind it is
  static_cast<store::FileSystem&>(disk).open(std::string(kDir) + "/" + file)->sync();
}

// What a start does. The slot through which the record goes.
base::Slot start(FaultDisk& disk) {
  const auto log = open_log_on(disk);
  std::unique_ptr<store::StateDb> state;
  try {
    state = open_state_on(disk, *log);
    state->load();
  } catch (const store::StoreError& error) {
    REQUIRE(error.kind == Kind::kDamaged);
    state.reset();
    state = store::begin_state_anew(kDir, *log, disk);
  }
  const base::Slot applied = state->load().meta.applied;
  const base::RecoveredLog recovered = log->recover(applied);
  CHECK(recovered.promised == base::Ballot{7, {2}});
  CHECK(recovered.first_retained == base::Slot{5});
  CHECK(recovered.last_slot == base::Slot{9});
  CHECK(recovered.damage.empty() == (applied == base::Slot{6}));
  return applied;
}

}  // namespace

TEST_CASE("state.db: a damaged one is put aside, and what is missing then is told") {
  FaultDisk disk;
  live_a_while(disk);
  CHECK(start(disk) == base::Slot{6});
  damage_state(disk, "state.db");
  CHECK(start(disk) == base::Slot{0});
  const auto log = open_log_on(disk);
  CHECK(log->state_file() == "state-0.db");
  CHECK(disk.exists(std::string(kDir) + "/" + store::kDamagedStateFile));
  CHECK_FALSE(disk.exists(std::string(kDir) + "/state.db"));
  CHECK(log->recover({}).damage ==
        "/node/state-0.db: ends at slot 0, but /node/log.db begins at slot 5");
  CHECK(log->recover({}).entries.size() == 5);
}

TEST_CASE("state.db: the one that took a damaged one's place may be damaged as well") {
  FaultDisk disk;
  live_a_while(disk);
  damage_state(disk, "state.db");
  CHECK(start(disk) == base::Slot{0});
  damage_state(disk, "state-0.db");
  CHECK(start(disk) == base::Slot{0});
  CHECK(open_log_on(disk)->state_file() == "state.db");
}

TEST_CASE("state.db: killed at any moment of putting it aside, the next start does it") {
  FaultDisk first;
  live_a_while(first);
  damage_state(first, "state.db");
  std::vector<DiskImage> moments;
  first.before_change([&] { moments.push_back(first.image()); });
  start(first);
  CHECK(moments.size() > 20);
  base::Random random(3);
  for (DiskImage& moment : moments) {
    {
      FaultDisk disk(moment);
      CHECK(start(disk) == base::Slot{0});
    }
    moment.lose_power(Keep::kNothing, random);
    FaultDisk disk(moment);
    CHECK(start(disk) == base::Slot{0});
  }
}
