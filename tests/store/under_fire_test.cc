// SQLite under fire (DESIGN 11): whichever operation on the disk fails, is torn or comes short,
// wherever the process is killed or the power fails, a restart finds all that was acknowledged, and
// nothing is used after an error (P11).
//
// Every n is tried, except under the sanitizers, where that takes minutes: there every seventh
// fault and every third moment of a power failure, unless HOLDFAST_LONG is set (`./dev test
// --long`).
#include <doctest/doctest.h>

#include <cstdlib>

#include "lockcore/store/store_error.h"
#include "tests/store/samples.h"
#include "tests/store/scripted_life.h"

using namespace holdfast;
using namespace holdfast::store_test;
using Fault = FaultDisk::Fault;

namespace {

#ifdef __SANITIZE_ADDRESS__
constexpr bool kIsSlow = true;
#else
constexpr bool kIsSlow = false;
#endif

bool is_long() {
  return std::getenv("HOLDFAST_LONG") != nullptr;
}
bool tries_all() {
  static const bool kTriesAll = !kIsSlow || is_long();
  return kTriesAll;
}

// A restart without faults: all is found, or an explanation. If the power fails right after it, the
// next one finds the same: what a node was shown must not have been the page cache's alone.
std::string restart(DiskImage image, Expected expected) {
  try {
    {
      FaultDisk disk(std::move(image));
      std::string wrong = check_restart(disk, expected);
      if (!wrong.empty()) return wrong;
      image = disk.image();
    }
    base::Random random(1);
    image.lose_power(Keep::kNothing, random);
    FaultDisk disk(std::move(image));
    std::string wrong = check_restart(disk, expected);
    return wrong.empty() ? "" : "shown at a restart, then lost: " + wrong;
  } catch (const store::StoreError& error) {
    return std::string("refuses to start: ") + error.what();
  }
}

// A moment of a life: what the disk looks like, and what was acknowledged by then.
struct Moment {
  DiskImage image;
  Expected expected;
};

// Lives the whole script once, on a disk without faults, and keeps the moment before every change.
std::vector<Moment> moments_of_life() {
  std::vector<Moment> moments;
  FaultDisk disk;
  Expected expected;
  disk.before_change([&] { moments.push_back({disk.image(), expected}); });
  const Ended ended = live(disk, script(), expected);
  REQUIRE_FALSE_MESSAGE(ended.has_failed, ended.step << ": " << ended.message);
  return moments;
}

// The power fails before every change of the script, and `keep` of what was not synced survives.
void lose_power_at_every_moment(const std::function<Keep(const std::string& path)>& keep) {
  base::Random random(11);
  const std::vector<Moment> moments = moments_of_life();
  for (size_t i = 0; i < moments.size(); i += tries_all() ? 1 : 3) {
    DiskImage image = moments[i].image;
    image.lose_power(keep, random);
    const std::string wrong = restart(std::move(image), moments[i].expected);
    CHECK_MESSAGE(wrong.empty(), "before change " << i << ": " << wrong);
  }
}

bool is_of_log(const std::string& path) {
  return path.find("/log.db") != std::string::npos;
}

// Lives the script again and again, each time with a later operation failing, until one life gets
// through; checks a restart after each.
void fail_each_operation(Fault fault, uint64_t usual_stride = 1) {
  const uint64_t stride = tries_all() ? usual_stride : 7;
  uint64_t failures = 0;
  for (uint64_t n = 1;; n += stride) {
    CAPTURE(n);
    FaultDisk disk;
    Expected expected;
    disk.fail_at(n, fault);
    const Ended ended = live(disk, script(), expected);
    const bool is_over = !disk.has_failed();
    CAPTURE(ended.step);
    // No failure is passed over, nor anything told that didn't happen.
    if (fault != Fault::kShortRead) CHECK(ended.has_failed == !is_over);
    if (ended.has_failed) CHECK_MESSAGE(ended.message.starts_with("/node"), ended.message);
    disk.fail_never();
    const std::string wrong = restart(disk.image(), expected);
    CHECK_MESSAGE(wrong.empty(), ended.message << "; then: " << wrong);
    if (is_over) break;
    ++failures;
  }
  CHECK(failures * stride > 100);
}

}  // namespace

TEST_CASE("under fire: killed before any change of the disk, a node finds all that it had said") {
  const std::vector<Moment> moments = moments_of_life();
  CHECK(moments.size() > 300);
  for (size_t i = 0; i < moments.size(); i += tries_all() ? 1 : 3) {
    const std::string wrong = restart(moments[i].image, moments[i].expected);
    CHECK_MESSAGE(wrong.empty(), "before change " << i << ": " << wrong);
  }
}

TEST_CASE("under fire: the power fails before any change, taking all that was not synced") {
  lose_power_at_every_moment([](const std::string&) { return Keep::kNothing; });
}

TEST_CASE("under fire: the power fails, and each sector of 512 bytes survives or not") {
  lose_power_at_every_moment([](const std::string&) { return Keep::kSectors; });
}

TEST_CASE("under fire: the power fails, and each block of 4096 bytes survives or not") {
  lose_power_at_every_moment([](const std::string&) { return Keep::kBlocks; });
}

TEST_CASE("under fire: the power fails, and one database keeps all of it, the other nothing") {
  // Each is behind the other in turn.
  lose_power_at_every_moment(
      [](const std::string& path) { return is_of_log(path) ? Keep::kEverything : Keep::kNothing; });
  lose_power_at_every_moment(
      [](const std::string& path) { return is_of_log(path) ? Keep::kNothing : Keep::kEverything; });
  lose_power_at_every_moment(
      [](const std::string& path) { return is_of_log(path) ? Keep::kSectors : Keep::kNothing; });
  lose_power_at_every_moment(
      [](const std::string& path) { return is_of_log(path) ? Keep::kNothing : Keep::kSectors; });
}

TEST_CASE("under fire: any operation fails once, and the disk works again") {
  // Ext4 reports a failed writeback once; the next fsync says yes.
  fail_each_operation(Fault::kOnce);
}

TEST_CASE("under fire: from any operation on all fail") {
  // What this leaves on the disk, killing it there left too, for every n.
  fail_each_operation(Fault::kForever, is_long() ? 1 : 5);
}

TEST_CASE("under fire: any write is torn, and nothing works after it") {
  fail_each_operation(Fault::kTorn);
}

TEST_CASE("under fire: from any operation on the disk is full") {
  fail_each_operation(Fault::kFull);
}

TEST_CASE("under fire: any read comes short, once") {
  fail_each_operation(Fault::kShortRead);
}
