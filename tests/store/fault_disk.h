// A disk of the tests' own, in memory, under SQLite and under the files that the store touches
// itself (DESIGN 11). It counts operations and fails, tears or shortens the n-th; a DiskImage of it
// tells what a crash or a power failure leaves.
//
// One thread, and one connection per database at a time: its locks always say yes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "lockcore/store/file_system.h"
#include "tests/store/disk_image.h"

namespace holdfast::store_test {

class FaultDisk final : public store::FileSystem {
 public:
  enum class Fault {
    kOnce,       // operation n fails, later ones don't. What a failed sync left out stays out
    kForever,    // it and all later ones fail
    kTorn,       // the n-th write is written in part, in whole sectors; then as kForever
    kFull,       // from operation n on nothing more can be made or grow
    kShortRead,  // the n-th read brings half of what it should, once
  };

  FaultDisk();
  explicit FaultDisk(DiskImage image);
  ~FaultDisk() override;
  FaultDisk(const FaultDisk&) = delete;
  FaultDisk& operator=(const FaultDisk&) = delete;

  // Counts from now on what this fault concerns: operations, writes or reads.
  void fail_at(uint64_t n, Fault fault);
  void fail_never();
  bool has_failed() const { return has_failed_; }  // since fail_at()
  // Called before every operation that changes the disk or what of it is durable: what a crash at
  // this moment leaves is image().
  void before_change(std::function<void()> call) { before_change_ = std::move(call); }

  DiskImage& image() { return image_; }
  Inode& file(const std::string& path);
  void flip(const std::string& path, uint64_t offset, int bit);

  // What SQLite's files do, too: 0 or an errno. `size` is changed to what was read.
  int read(size_t inode, uint64_t offset, void* into, size_t& size);
  int write(size_t inode, uint64_t offset, std::string_view bytes);
  int resize(size_t inode, uint64_t size);
  int sync(size_t inode);
  int open(const std::string& path, bool may_create, bool must_create, size_t& inode);
  int unlink(const std::string& path);
  int access(const std::string& path, bool& exists);
  int last_errno() const { return last_errno_; }

  const char* sqlite_vfs() const override { return vfs_name_.c_str(); }
  std::unique_ptr<store::DirectoryHold> hold(const std::string& dir) override;
  std::unique_ptr<store::File> open(const std::string& path) override;
  std::unique_ptr<store::File> create(const std::string& path) override;
  bool exists(const std::string& path) override;
  uint64_t bytes(const std::string& path) override;
  std::vector<std::string> list(const std::string& dir) override;
  void remove(const std::string& path) override;
  void rename(const std::string& from, const std::string& to) override;
  void sync_directory(const std::string& dir) override;

 private:
  friend class HeldDirectory;
  enum class Operation { kRead, kWrite, kGrow, kChange, kLook };
  int fails(Operation operation);
  bool counts(Operation operation) const;
  size_t add_inode(const std::string& path);

  DiskImage image_;
  std::set<std::string> held_;
  std::function<void()> before_change_;
  uint64_t countdown_ = 0;  // 0: no fault to come
  Fault fault_ = Fault::kOnce;
  bool has_failed_ = false;
  bool is_cut_now_ = false;  // the operation at hand is to be torn or short
  int last_errno_ = 0;
  const std::string vfs_name_;
  struct Vfs;
  std::unique_ptr<Vfs> vfs_;
};

}  // namespace holdfast::store_test
