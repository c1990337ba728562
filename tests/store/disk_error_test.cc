// Disks that are full and writes that fail: the error says so, and the database is not used again.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstring>

#include "tests/store/samples.h"
#include "tests/store/temp_dir.h"

using namespace holdfast;
using namespace holdfast::store_test;
using Kind = store::StoreError::Kind;

namespace {

// A small filesystem of a test's own, if this user may mount one.
class SmallDisk {
 public:
  explicit SmallDisk(const char* size) {
    const std::string options = std::string("size=") + size;
    is_mounted_ = ::mount("tmpfs", dir_.path().c_str(), "tmpfs", 0, options.c_str()) == 0;
    if (!is_mounted_) MESSAGE("not run: can't mount a tmpfs: " << std::strerror(errno));
  }
  ~SmallDisk() {
    if (is_mounted_) ::umount2(dir_.path().c_str(), MNT_DETACH);
  }
  bool is_mounted() const { return is_mounted_; }
  std::string data() const { return dir_.data(); }

 private:
  TempDir dir_;
  bool is_mounted_ = false;
};

// No file may grow beyond `bytes` while it lives. Works without root.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limited{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limited);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, SIG_DFL);
  }

 private:
  rlimit before_{};
};

// Writes 64 KiB entries from `first` on until one is refused; returns how many were written.
uint64_t fill(store::LogDb& log, uint64_t first, Refused& refused) {
  for (uint64_t slot = first; slot < first + 1000; ++slot) {
    refused = refusal_of([&] { write_one(log, entry_write(slot, std::string(65536, 'f'))); });
    if (refused.thrown) return slot - first;
  }
  return 1000;
}

}  // namespace

TEST_CASE("full disk: a log write says so, and all before it is there once there is space again") {
  SmallDisk disk("12m");
  if (!disk.is_mounted()) return;
  auto log = open_log(disk.data());
  store::StateDb state(disk.data(), "state.db", kIncarnation);
  Refused refused;
  const uint64_t written = fill(*log, 1, refused);
  CHECK(written > 50);
  CHECK(refused.kind == Kind::kFull);
  CHECK(refused.says(disk.data() + "/log.db: "));
  CHECK(refused.says("free some space and start the node again"));
  // P11: no second try, even if there were space now.
  CHECK(refusal_of([&] { write_one(*log, entry_write(5000, "small")); }).says("not used any more"));
  CHECK(refusal_of([&] { log->read({1}, {2}, 100); }).says("not used any more"));

  log.reset();
  const std::string copy = disk.data() + "/../../" + "moved-" + std::to_string(::getpid());
  copy_directory(disk.data(), copy);
  CHECK(open_log(copy)->recover({}).last_slot == base::Slot{written});
  std::filesystem::remove_all(copy);
}

TEST_CASE("full disk: a first start says so, and a later one begins afresh") {
  SmallDisk disk("64k");
  if (!disk.is_mounted()) return;
  const Refused refused = refusal_of([&] { open_log(disk.data()); });
  CHECK(refused.kind == Kind::kFull);
  CHECK(refused.says(disk.data()));
}

TEST_CASE("full disk: a state write says so") {
  SmallDisk disk("7m");
  if (!disk.is_mounted()) return;
  const auto log = open_log(disk.data());
  store::StateDb state(disk.data(), "state.db", kIncarnation);
  base::StateWrite write;
  write.meta.applied = {1};
  for (uint64_t i = 1; i <= 1000; ++i)
    write.answers.put.push_back({{{1}, i}, std::string(8192, 'a')});
  const Refused refused = refusal_of([&] { state.write(write); });
  CHECK(refused.kind == Kind::kFull);
  CHECK(refused.says("/state.db: "));
  CHECK(refusal_of([&] { state.write({}); }).says("not used any more"));
  CHECK(refusal_of([&] { state.load(); }).says("not used any more"));
}

TEST_CASE("failed write: the error names file and cause, and what was written before is kept") {
  TempDir dir;
  uint64_t written = 0;
  {
    const auto log = open_log(dir.data());
    store::StateDb state(dir.data(), "state.db", kIncarnation);
    const FileSizeLimit limit(8 * 1024 * 1024);
    Refused refused;
    written = fill(*log, 1, refused);
    CHECK(refused.kind == Kind::kIo);
    CHECK(refused.says("/log.db: disk I/O error"));
    CHECK_MESSAGE(refused.says(std::strerror(EFBIG)), refused.message);
    CHECK(refused.says("start the node again"));
    CHECK(refusal_of([&] { log->checkpoint(); }).says("not used any more"));
  }
  CHECK(written > 50);
  CHECK(open_log(dir.data())->recover({}).last_slot == base::Slot{written});
}
