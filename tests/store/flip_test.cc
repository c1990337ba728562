// Single bits that flip in each file while the node is down: detected before they are used, or
// harmless. Shown for every page of both databases and every frame of both WALs.
//
// A bit of log.db's WAL is detected even in its last transaction; one of state.db's may cost the
// last write there, which is harmless: the log has what it was made of.
//
// A bit of every byte of each header is tried, and of six bytes of the rest of each page; with
// HOLDFAST_LONG=1 (`./dev test --long`) of every eighth byte.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>

#include "lockcore/store/store_error.h"
#include "tests/store/samples.h"
#include "tests/store/scripted_life.h"

using namespace holdfast;
using namespace holdfast::store_test;

namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kWalHeader = 32;
constexpr uint64_t kFrameHeader = 24;
constexpr uint64_t kFrame = kFrameHeader + kPage;

// What a node left behind that had lived the script.
struct Left {
  DiskImage image;
  Expected expected;
};

Left leave() {
  FaultDisk disk;
  Left left;
  const Ended ended = live(disk, script(), left.expected);
  REQUIRE_FALSE_MESSAGE(ended.has_failed, ended.message);
  left.expected.may_state_lag = true;
  left.image = disk.image();
  return left;
}

// The same with all of it in the main files, so that what flips there is read.
Left leave_without_wals() {
  Left left = leave();
  FaultDisk disk(left.image);
  const Ended ended = live(disk,
                           {{"start", [](ScriptedNode& node) { node.start(); }},
                            {"log", [](ScriptedNode& node) { node.checkpoint_log(); }},
                            {"state", [](ScriptedNode& node) { node.checkpoint_state(); }}},
                           left.expected);
  REQUIRE_FALSE_MESSAGE(ended.has_failed, ended.message);
  left.image = disk.image();
  left.image.names.erase("/node/log.db-wal");
  left.image.names.erase(std::string(kStateFile) + "-wal");
  return left;
}

struct Tally {
  uint64_t detected = 0;
  uint64_t harmless = 0;
};

// Starts a node on this disk; if it starts, lets it go on and start again. Returns what was lost
// without a word, or used although it was wrong.
std::string try_out(const DiskImage& image, const Left& left, Tally& tally) {
  try {
    FaultDisk looked_at(image);
    Expected expected = left.expected;
    if (std::string wrong = check_restart(looked_at, expected); !wrong.empty()) return wrong;
    FaultDisk used(image);
    expected = left.expected;
    const Ended ended = live(used, sequel(), expected);
    if (ended.has_failed && !ended.is_damage) return ended.step + ": " + ended.message;
    if (ended.has_failed) {
      ++tally.detected;
      return "";
    }
    std::string wrong = check_restart(used, expected);
    if (!wrong.empty()) return "after it went on: " + wrong;
    ++tally.harmless;
  } catch (const store::StoreError& error) {
    const std::string message = error.what();
    // It is named: by the file, and as what it is.
    const bool is_io = error.kind == store::StoreError::Kind::kIo;
    if (!message.starts_with("/node/") || is_io) return message;
    ++tally.detected;
  }
  return "";
}

std::string try_flip(const Left& left, const std::string& path, uint64_t offset, int bit,
                     Tally& tally) {
  FaultDisk disk(left.image);
  disk.flip(path, offset, bit);
  return try_out(disk.image(), left, tally);
}

// Without a flipped bit all is well, so it is the bit that is detected.
void check_unharmed(const Left& left) {
  Tally tally;
  const std::string wrong = try_out(left.image, left, tally);
  CHECK_MESSAGE(wrong.empty(), wrong);
  REQUIRE(tally.harmless == 1);
}

// Which offsets of a page of `size` bytes to try: all of the first `dense`, and some others.
std::vector<uint64_t> offsets_in(uint64_t size, uint64_t dense, base::Random& random) {
  std::vector<uint64_t> offsets;
  const uint64_t one_in =
      std::getenv("HOLDFAST_LONG") != nullptr ? 8 : std::max<uint64_t>(size / 6, 1);
  for (uint64_t at = 0; at < size; ++at) {
    if (at < dense || random.below(one_in) == 0) offsets.push_back(at);
  }
  if (offsets.size() == dense && dense < size) offsets.push_back(size - 1);
  return offsets;
}

void flip_part(const Left& left, const std::string& path, uint64_t begin, uint64_t size,
               uint64_t dense, base::Random& random, Tally& tally) {
  for (const uint64_t at : offsets_in(size, dense, random)) {
    const int bit = static_cast<int>(random.below(8));
    const std::string wrong = try_flip(left, path, begin + at, bit, tally);
    CHECK_MESSAGE(wrong.empty(),
                  path << ", byte " << begin + at << ", bit " << bit << ": " << wrong);
  }
}

Tally flip_pages(const Left& left, const std::string& path) {
  check_unharmed(left);
  Tally tally;
  base::Random random(5);
  DiskImage image = left.image;
  const uint64_t size = image.inodes[image.names.at(path)].cache.size();
  REQUIRE(size % kPage == 0);
  REQUIRE(size > 2 * kPage);
  // A page begins with the header of its tree, the first with that of the file.
  for (uint64_t at = 0; at < size; at += kPage) {
    flip_part(left, path, at, kPage, at == 0 ? 108 : 8, random, tally);
  }
  return tally;
}

Tally flip_frames(const Left& left, const std::string& path, uint64_t& frames) {
  check_unharmed(left);
  Tally tally;
  base::Random random(6);
  DiskImage image = left.image;
  const Content& wal = image.inodes[image.names.at(path)].cache;
  const std::string bytes = wal.all();
  flip_part(left, path, 0, kWalHeader, kWalHeader, random, tally);
  // Those of its present life, and the first behind them.
  for (frames = 0; kWalHeader + (frames + 1) * kFrame <= bytes.size(); ++frames) {
    const uint64_t at = kWalHeader + frames * kFrame;
    flip_part(left, path, at, kFrame, kFrameHeader, random, tally);
    if (bytes.compare(at + 8, 8, bytes, 16, 8) != 0) break;
  }
  return tally;
}

}  // namespace

TEST_CASE("flipped bits: in every page of log.db they are detected, or harmless") {
  const Tally tally = flip_pages(leave_without_wals(), "/node/log.db");
  CHECK(tally.detected > 100);
  CHECK(tally.harmless > 0);
}

TEST_CASE("flipped bits: in every page of state.db they are detected, or harmless") {
  const Tally tally = flip_pages(leave_without_wals(), kStateFile);
  CHECK(tally.detected > 100);
  CHECK(tally.harmless > 0);
}

TEST_CASE("flipped bits: in every frame of log.db-wal they are detected, or harmless") {
  uint64_t frames = 0;
  const Tally tally = flip_frames(leave(), "/node/log.db-wal", frames);
  CHECK(frames > 5);
  CHECK(tally.detected > 30);
}

TEST_CASE("flipped bits: in log.db-mark they are harmless") {
  const Left left = leave();
  check_unharmed(left);
  Tally tally;
  base::Random random(7);
  flip_part(left, "/node/log.db-mark", 0, 24, 24, random, tally);
  CHECK(tally.detected == 0);
}

TEST_CASE("flipped bits: in every frame of state.db-wal they are detected, or harmless") {
  uint64_t frames = 0;
  const Tally tally = flip_frames(leave(), std::string(kStateFile) + "-wal", frames);
  CHECK(frames > 5);
  CHECK(tally.detected > 30);
}
