#include "tests/store/fault_disk.h"

#include <cerrno>
#include <utility>

#include "lockcore/base/assert.h"
#include "lockcore/store/store_error.h"
#include "tests/store/fault_vfs.h"

namespace holdfast::store_test {
namespace {

constexpr uint64_t kSectorBytes = 512;

// A name of its own for each disk: several may live at a time.
std::string new_vfs_name() {
  static int count = 0;
  return "fault-" + std::to_string(++count);
}

class FaultFile final : public store::File {
 public:
  FaultFile(FaultDisk& disk, std::string path, size_t inode)
      : disk_(disk), path_(std::move(path)), inode_(inode) {}

  size_t read(uint64_t offset, void* into, size_t size) override {
    require(disk_.read(inode_, offset, into, size), "can't read it");
    return size;
  }
  void write(uint64_t offset, std::string_view bytes) override {
    require(disk_.write(inode_, offset, bytes), "can't write it");
  }
  void sync() override { require(disk_.sync(inode_), "can't sync it"); }
  void drop_cache() override { drop_clean(disk_.image().inodes[inode_]); }
  uint64_t size() override { return disk_.image().inodes[inode_].cache.size(); }

 private:
  void require(int error, const char* what) {
    if (error != 0) store::fail_io(path_, what, error);
  }
  FaultDisk& disk_;
  const std::string path_;
  const size_t inode_;
};

}  // namespace

struct FaultDisk::Vfs {
  explicit Vfs(FaultDisk& disk, const char* name) : registered(disk, name) {}
  RegisteredVfs registered;
};

class HeldDirectory final : public store::DirectoryHold {
 public:
  HeldDirectory(FaultDisk& disk, std::string dir) : disk_(disk), dir_(std::move(dir)) {
    if (disk_.held_.insert(dir_).second) return;
    throw store::StoreError(store::StoreError::Kind::kInUse, dir_ + ": is in use");
  }
  ~HeldDirectory() override { disk_.held_.erase(dir_); }

 private:
  FaultDisk& disk_;
  const std::string dir_;
};

FaultDisk::FaultDisk() : FaultDisk(DiskImage{}) {}

FaultDisk::FaultDisk(DiskImage image)
    : image_(std::move(image)),
      vfs_name_(new_vfs_name()),
      vfs_(std::make_unique<Vfs>(*this, vfs_name_.c_str())) {}

FaultDisk::~FaultDisk() = default;

// -- faults ------------------------------------------------------------------------------------

void FaultDisk::fail_at(uint64_t n, Fault fault) {
  countdown_ = n;
  fault_ = fault;
  has_failed_ = false;
  is_cut_now_ = false;
  last_errno_ = 0;
}

void FaultDisk::fail_never() {
  fail_at(0, Fault::kOnce);
}

bool FaultDisk::counts(Operation operation) const {
  if (fault_ == Fault::kTorn)
    return operation == Operation::kWrite || operation == Operation::kGrow;
  if (fault_ == Fault::kShortRead) return operation == Operation::kRead;
  return true;
}

// Counts one operation; returns the error with which it must fail, or 0.
int FaultDisk::fails(Operation operation) {
  is_cut_now_ = false;
  if (operation != Operation::kRead && operation != Operation::kLook && before_change_) {
    before_change_();
  }
  const bool is_now = countdown_ != 0 && counts(operation) && --countdown_ == 0;
  const bool was = has_failed_ || (fault_ == Fault::kFull && last_errno_ == ENOSPC);
  if (!is_now && !was) return 0;
  int error = 0;
  switch (fault_) {
    case Fault::kOnce: error = is_now ? EIO : 0; break;
    case Fault::kForever: error = EIO; break;
    case Fault::kTorn:
      is_cut_now_ = is_now;
      error = EIO;
      break;
    case Fault::kFull:
      last_errno_ = ENOSPC;  // from now on, but only what grows is told
      error = operation == Operation::kGrow ? ENOSPC : 0;
      has_failed_ |= error != 0;
      return error;
    case Fault::kShortRead:
      is_cut_now_ = is_now;
      has_failed_ = true;
      return 0;
  }
  has_failed_ = true;
  if (error != 0) last_errno_ = error;
  return error;
}

// -- operations ----------------------------------------------------------------------------------

int FaultDisk::read(size_t inode, uint64_t offset, void* into, size_t& size) {
  if (const int error = fails(Operation::kRead)) return error;
  const size_t n = image_.inodes[inode].cache.read(offset, into, size);
  size = is_cut_now_ ? (n + 1) / 2 : n;
  return 0;
}

int FaultDisk::write(size_t inode, uint64_t offset, std::string_view bytes) {
  Inode& file = image_.inodes[inode];
  const bool grows = offset + bytes.size() > file.cache.size();
  const int error = fails(grows ? Operation::kGrow : Operation::kWrite);
  if (error != 0) {
    // The part that ends where a sector of the disk ends.
    const uint64_t end = (offset + bytes.size() / 2) / kSectorBytes * kSectorBytes;
    if (!is_cut_now_ || end <= offset) return error;
    bytes = bytes.substr(0, end - offset);
  }
  file.cache.write(offset, bytes);
  file.pending.push_back({offset, std::make_shared<const std::string>(bytes)});
  return error;
}

int FaultDisk::resize(size_t inode, uint64_t size) {
  Inode& file = image_.inodes[inode];
  const bool grows = size > file.cache.size();
  if (const int error = fails(grows ? Operation::kGrow : Operation::kChange)) return error;
  file.cache.resize(size);
  file.pending.push_back({size, nullptr});
  return 0;
}

int FaultDisk::sync(size_t inode) {
  const int error = fails(Operation::kChange);
  if (error != 0) {
    give_up(image_.inodes[inode]);
  } else {
    store_test::sync(image_.inodes[inode]);
  }
  return error;
}

size_t FaultDisk::add_inode(const std::string& path) {
  image_.inodes.emplace_back();
  const size_t inode = image_.inodes.size() - 1;
  if (!path.empty()) image_.change_name({"", path, inode});
  return inode;
}

int FaultDisk::open(const std::string& path, bool may_create, bool must_create, size_t& inode) {
  const auto found = image_.names.find(path);
  const bool is_there = found != image_.names.end();
  const bool creates = !is_there && may_create;
  if (const int error = fails(creates ? Operation::kGrow : Operation::kLook)) return error;
  if (is_there && must_create) return EEXIST;
  if (!is_there && !may_create) return ENOENT;
  inode = is_there ? found->second : add_inode(path);
  return 0;
}

int FaultDisk::unlink(const std::string& path) {
  if (const int error = fails(Operation::kChange)) return error;
  if (!image_.names.contains(path)) return ENOENT;
  image_.change_name({path, "", 0});
  return 0;
}

int FaultDisk::access(const std::string& path, bool& exists) {
  if (const int error = fails(Operation::kLook)) return error;
  exists = image_.names.contains(path);
  return 0;
}

// -- for the store -------------------------------------------------------------------------------

Inode& FaultDisk::file(const std::string& path) {
  HF_ASSERT(image_.names.contains(path));
  return image_.inodes[image_.names[path]];
}

void FaultDisk::flip(const std::string& path, uint64_t offset, int bit) {
  Inode& inode = file(path);
  char byte = 0;
  HF_ASSERT(inode.cache.read(offset, &byte, 1) == 1);
  byte = static_cast<char>(byte ^ (1 << bit));
  inode.cache.write(offset, {&byte, 1});
  inode.durable.write(offset, {&byte, 1});
}

std::unique_ptr<store::DirectoryHold> FaultDisk::hold(const std::string& dir) {
  if (const int error = fails(Operation::kLook)) store::fail_io(dir, "can't lock it", error);
  return std::make_unique<HeldDirectory>(*this, dir);
}

std::unique_ptr<store::File> FaultDisk::open(const std::string& path) {
  size_t inode = 0;
  const int error = open(path, false, false, inode);
  if (error == ENOENT) return nullptr;
  if (error != 0) store::fail_io(path, "can't open it", error);
  return std::make_unique<FaultFile>(*this, path, inode);
}

std::unique_ptr<store::File> FaultDisk::create(const std::string& path) {
  size_t inode = 0;
  if (const int error = open(path, true, true, inode)) {
    store::fail_io(path, "can't create it", error);
  }
  return std::make_unique<FaultFile>(*this, path, inode);
}

bool FaultDisk::exists(const std::string& path) {
  bool exists = false;
  if (const int error = access(path, exists)) store::fail_io(path, "can't look at it", error);
  return exists;
}

uint64_t FaultDisk::bytes(const std::string& path) {
  return image_.names.contains(path) ? file(path).cache.size() : 0;
}

std::vector<std::string> FaultDisk::list(const std::string& dir) {
  if (const int error = fails(Operation::kLook)) store::fail_io(dir, "can't list it", error);
  std::vector<std::string> names;
  for (const auto& [path, inode] : image_.names) {
    if (path.starts_with(dir + "/")) names.push_back(path.substr(dir.size() + 1));
  }
  return names;
}

void FaultDisk::remove(const std::string& path) {
  const int error = unlink(path);
  if (error != 0 && error != ENOENT) store::fail_io(path, "can't remove it", error);
}

void FaultDisk::rename(const std::string& from, const std::string& to) {
  if (const int error = fails(Operation::kChange)) store::fail_io(to, "can't create it", error);
  HF_ASSERT(image_.names.contains(from));
  image_.change_name({from, to, image_.names[from]});
}

void FaultDisk::sync_directory(const std::string& dir) {
  if (const int error = fails(Operation::kChange)) {
    store::fail_io(dir, "can't sync the directory", error);
  }
  image_.sync_names();
}

}  // namespace holdfast::store_test
