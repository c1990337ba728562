// SQLite under fire (DESIGN 11): whichever operation on the disk fails, and whether or not the
// power fails with it, nothing that was acknowledged is lost and nothing is used after the error
// (P11).
#include <doctest/doctest.h>

#include "tests/store/fault_vfs.h"
#include "tests/store/samples.h"
#include "tests/store/temp_dir.h"

using namespace holdfast;
using namespace holdfast::store_test;

namespace {

// What a run was told is durable.
struct Acknowledged {
  uint64_t slot = 0;
  uint64_t recorded = 0;
  base::Ballot promised;
};

// Values large and small, so that some transactions take one page and some many.
std::string value_of(uint64_t slot) {
  return std::string(slot % 3 == 0 ? 20'000 : 50, 'v');
}

base::StateWrite record_of(uint64_t slot) {
  base::StateWrite write;
  write.meta.applied = {slot};
  write.locks.put = {{"lock", {slot}, 0}};
  write.answers.put = {{{{1}, slot}, std::string(5000, 'a')}};
  return write;
}

// A short life of a node: writes, checkpoints, writes over the restarted WALs. Throws StoreError.
void live(const std::string& dir, uint64_t first, Acknowledged& acknowledged) {
  const auto log = open_log(dir);
  store::StateDb state(dir, log->state_file(), kIncarnation);
  state.load();
  for (uint64_t slot = first; slot < first + 8; ++slot) {
    base::LogWrite write = entry_write(slot, value_of(slot));
    write.promised = base::Ballot{slot, {1}};
    // What fails must refuse all that comes after, also when the disk would work again.
    try {
      write_one(*log, write);
    } catch (const store::StoreError&) {
      CHECK(refusal_of([&] { write_one(*log, write); }).says("not used any more"));
      throw;
    }
    acknowledged.slot = slot;
    acknowledged.promised = *write.promised;
    try {
      state.write(record_of(slot));
    } catch (const store::StoreError&) {
      CHECK(refusal_of([&] { state.write(record_of(slot)); }).says("not used any more"));
      throw;
    }
    acknowledged.recorded = slot;
    if (slot == first + 3) log->checkpoint();
    if (slot == first + 4) state.checkpoint();
  }
}

void check_nothing_lost(const std::string& dir, const Acknowledged& acknowledged) {
  const auto log = open_log(dir);
  store::StateDb state(dir, log->state_file(), kIncarnation);
  const base::StateRows rows = state.load();
  CHECK(rows.meta.applied.value >= acknowledged.recorded);
  if (rows.meta.applied) CHECK(rows.locks.at(0).revision.value == rows.meta.applied.value);
  CHECK(rows.answers.size() == rows.meta.applied.value);
  const base::RecoveredLog recovered = log->recover(rows.meta.applied);
  CHECK(recovered.last_slot.value >= acknowledged.slot);
  CHECK(recovered.promised >= acknowledged.promised);
  CHECK(recovered.promised.round == recovered.last_slot.value);
  const auto all = log->read({1}, recovered.last_slot, SIZE_MAX);
  REQUIRE(all.size() == recovered.last_slot.value);
  for (const base::Entry& row : all) CHECK(*row.value == value_of(row.slot.value));
}

// What happens to writes that were not synced.
enum class Power { kStays, kFails, kFailsInDisorder };

enum class Life { kFirst, kSecond };

// Runs a life of the node again and again, each time with the next operation failing, until one
// gets through; returns how many operations it had.
uint64_t fail_each_operation(Life life, FaultVfs::Fault fault, Power power) {
  FaultVfs disk;
  base::Random random(1);
  TempDir dir(TempDir::kInMemory);
  Acknowledged before;
  if (life == Life::kSecond) live(dir.data(), 1, before);
  for (uint64_t n = 1;; ++n) {
    CAPTURE(n);
    const std::string copy = dir.path() + "/run";
    if (life == Life::kSecond) copy_directory(dir.data(), copy);
    Acknowledged acknowledged = before;
    disk.fail_at(n, fault);
    const Refused refused = refusal_of([&] { live(copy, before.slot + 1, acknowledged); });
    const bool is_over = !disk.has_failed();
    disk.fail_never();
    CHECK(refused.thrown == !is_over);
    // It is what failed that is told, not what went wrong because of it.
    if (refused.thrown) CHECK_MESSAGE(refused.says("(SQLite "), refused.message);
    if (power == Power::kFails) disk.lose_power();
    if (power == Power::kFailsInDisorder) disk.lose_power_in_disorder(random);
    disk.keep_power();
    check_nothing_lost(copy, acknowledged);
    disk.keep_power();
    std::filesystem::remove_all(copy);
    if (is_over) return n;
  }
}

}  // namespace

TEST_CASE("under fire: one operation fails, and the disk works again") {
  // Ext4 reports a failed writeback once; the next fsync says yes.
  CHECK(fail_each_operation(Life::kSecond, FaultVfs::Fault::kOnce, Power::kStays) > 100);
}

TEST_CASE("under fire: one operation fails, and later the power, taking what was not synced") {
  // What a failed sync left out is not on the disk, whatever was synced since.
  CHECK(fail_each_operation(Life::kSecond, FaultVfs::Fault::kOnce, Power::kFails) > 100);
}

TEST_CASE("under fire: the power fails, taking all that was not synced") {
  CHECK(fail_each_operation(Life::kSecond, FaultVfs::Fault::kForever, Power::kFails) > 100);
}

TEST_CASE("under fire: the power fails, tearing a write and taking some that were not synced") {
  // What a crash tears must not pass for damage either.
  CHECK(fail_each_operation(Life::kSecond, FaultVfs::Fault::kTorn, Power::kFailsInDisorder) > 100);
}

TEST_CASE("under fire: a first start that fails anywhere can be repeated") {
  // Half of a database must not pass for a damaged one, nor a damaged one for a new one.
  CHECK(fail_each_operation(Life::kFirst, FaultVfs::Fault::kOnce, Power::kStays) > 100);
  CHECK(fail_each_operation(Life::kFirst, FaultVfs::Fault::kForever, Power::kFails) > 100);
  CHECK(fail_each_operation(Life::kFirst, FaultVfs::Fault::kTorn, Power::kFailsInDisorder) > 100);
}
