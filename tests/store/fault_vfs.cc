#include "tests/store/fault_vfs.h"

#include <sqlite3.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "lockcore/base/assert.h"

namespace holdfast::store_test {
namespace {

// How to take back one write or truncation: what stood there before.
struct Undo {
  uint64_t offset = 0;
  std::string bytes;  // shorter than the write where the file ended
  uint64_t file_size = 0;
  uint64_t written_size = 0;  // 0: a truncation
  bool is_given_up = false;   // a sync of it failed: later ones don't write it any more
};

// Disks write sectors whole. SQLite relies on it, and so does the check of the WAL's header.
constexpr int kSectorBytes = 512;

// What the callbacks below share; there is one FaultVfs at a time.
struct Disk {
  sqlite3_vfs* real = nullptr;
  uint64_t countdown = 0;  // 0: no fault to come
  FaultVfs::Fault fault = FaultVfs::Fault::kOnce;
  bool has_failed = false;
  std::map<std::string, std::vector<Undo>> unsynced;  // by path, oldest first

  // Counts one operation; true: it must fail.
  bool fails() {
    if (has_failed) return fault != FaultVfs::Fault::kOnce;
    if (countdown == 0 || --countdown != 0) return false;
    has_failed = true;
    return true;
  }
};
Disk* g_disk = nullptr;

struct FaultFile {
  sqlite3_file base;
  std::vector<Undo>* unsynced;  // in Disk::unsynced; null for temporary files
  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

FaultFile* ours(sqlite3_file* file) {
  return reinterpret_cast<FaultFile*>(file);
}
sqlite3_file* real_of(sqlite3_file* file) {
  return ours(file)->real();
}

int close_file(sqlite3_file* file) {
  return real_of(file)->pMethods->xClose(real_of(file));
}

int read_file_at(sqlite3_file* file, void* into, int size, sqlite3_int64 offset) {
  if (g_disk->fails()) return SQLITE_IOERR_READ;
  return real_of(file)->pMethods->xRead(real_of(file), into, size, offset);
}

// Remembers what stands where `size` bytes are about to be written, or (0) all from `offset` on.
void remember(sqlite3_file* file, uint64_t offset, uint64_t size) {
  if (!ours(file)->unsynced) return;
  sqlite3_int64 file_size = 0;
  real_of(file)->pMethods->xFileSize(real_of(file), &file_size);
  Undo undo{offset, {}, static_cast<uint64_t>(file_size), size};
  if (offset < undo.file_size) {
    const uint64_t rest = undo.file_size - offset;
    undo.bytes.resize(size == 0 ? rest : std::min(size, rest));
    real_of(file)->pMethods->xRead(real_of(file), undo.bytes.data(),
                                   static_cast<int>(undo.bytes.size()),
                                   static_cast<sqlite3_int64>(offset));
  }
  ours(file)->unsynced->push_back(std::move(undo));
}

int write_file_at(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 offset) {
  const bool had_failed = g_disk->has_failed;
  const bool fails = g_disk->fails();
  const bool tears = fails && !had_failed && g_disk->fault == FaultVfs::Fault::kTorn;
  if (!fails || tears) remember(file, static_cast<uint64_t>(offset), static_cast<uint64_t>(size));
  if (fails) {
    const int half = size / 2 / kSectorBytes * kSectorBytes;
    if (tears) real_of(file)->pMethods->xWrite(real_of(file), bytes, half, offset);
    return SQLITE_IOERR_WRITE;
  }
  return real_of(file)->pMethods->xWrite(real_of(file), bytes, size, offset);
}

int truncate_file(sqlite3_file* file, sqlite3_int64 size) {
  if (g_disk->fails()) return SQLITE_IOERR_TRUNCATE;
  remember(file, static_cast<uint64_t>(size), 0);
  return real_of(file)->pMethods->xTruncate(real_of(file), size);
}

int sync_file(sqlite3_file* file, int flags) {
  std::vector<Undo> none;
  std::vector<Undo>& unsynced = ours(file)->unsynced ? *ours(file)->unsynced : none;
  if (g_disk->fails()) {
    for (Undo& undo : unsynced) undo.is_given_up = true;
    return SQLITE_IOERR_FSYNC;
  }
  const int code = real_of(file)->pMethods->xSync(real_of(file), flags);
  if (code == SQLITE_OK) std::erase_if(unsynced, [](const Undo& u) { return !u.is_given_up; });
  return code;
}

int file_size(sqlite3_file* file, sqlite3_int64* size) {
  return real_of(file)->pMethods->xFileSize(real_of(file), size);
}
int lock_file(sqlite3_file* file, int level) {
  return real_of(file)->pMethods->xLock(real_of(file), level);
}
int unlock_file(sqlite3_file* file, int level) {
  return real_of(file)->pMethods->xUnlock(real_of(file), level);
}
int check_lock(sqlite3_file* file, int* is_reserved) {
  return real_of(file)->pMethods->xCheckReservedLock(real_of(file), is_reserved);
}
int control_file(sqlite3_file* file, int operation, void* argument) {
  return real_of(file)->pMethods->xFileControl(real_of(file), operation, argument);
}
int sector_size(sqlite3_file* file) {
  return real_of(file)->pMethods->xSectorSize(real_of(file));
}
int characteristics(sqlite3_file* file) {
  return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}
int map_shm(sqlite3_file* file, int page, int size, int extend, void volatile** address) {
  if (g_disk->fails()) return SQLITE_IOERR_SHMMAP;
  return real_of(file)->pMethods->xShmMap(real_of(file), page, size, extend, address);
}
int lock_shm(sqlite3_file* file, int offset, int count, int flags) {
  return real_of(file)->pMethods->xShmLock(real_of(file), offset, count, flags);
}
void barrier_shm(sqlite3_file* file) {
  real_of(file)->pMethods->xShmBarrier(real_of(file));
}
int unmap_shm(sqlite3_file* file, int remove) {
  return real_of(file)->pMethods->xShmUnmap(real_of(file), remove);
}

constexpr sqlite3_io_methods kMethods{
    .iVersion = 2,
    .xClose = close_file,
    .xRead = read_file_at,
    .xWrite = write_file_at,
    .xTruncate = truncate_file,
    .xSync = sync_file,
    .xFileSize = file_size,
    .xLock = lock_file,
    .xUnlock = unlock_file,
    .xCheckReservedLock = check_lock,
    .xFileControl = control_file,
    .xSectorSize = sector_size,
    .xDeviceCharacteristics = characteristics,
    .xShmMap = map_shm,
    .xShmLock = lock_shm,
    .xShmBarrier = barrier_shm,
    .xShmUnmap = unmap_shm,
    .xFetch = nullptr,
    .xUnfetch = nullptr,
};

int open_file(sqlite3_vfs*, const char* path, sqlite3_file* file, int flags, int* out_flags) {
  file->pMethods = nullptr;
  if (g_disk->fails()) return SQLITE_CANTOPEN;
  const int code = g_disk->real->xOpen(g_disk->real, path, real_of(file), flags, out_flags);
  if (code != SQLITE_OK) return code;
  ours(file)->unsynced = path ? &g_disk->unsynced[path] : nullptr;
  file->pMethods = &kMethods;
  return SQLITE_OK;
}

int delete_file(sqlite3_vfs*, const char* path, int sync_directory) {
  if (g_disk->fails()) return SQLITE_IOERR_DELETE;
  return g_disk->real->xDelete(g_disk->real, path, sync_directory);
}

int access_file(sqlite3_vfs*, const char* path, int flags, int* result) {
  if (g_disk->fails()) return SQLITE_IOERR_ACCESS;
  return g_disk->real->xAccess(g_disk->real, path, flags, result);
}

void overwrite(const std::string& path, uint64_t offset, const std::string& bytes) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(static_cast<std::streamoff>(offset));
  file << bytes;
}

}  // namespace

struct FaultVfs::Impl {
  Disk disk;
  sqlite3_vfs vfs{};
};

FaultVfs::FaultVfs() : impl_(std::make_unique<Impl>()) {
  HF_ASSERT(g_disk == nullptr);
  g_disk = &impl_->disk;
  g_disk->real = sqlite3_vfs_find(nullptr);
  impl_->vfs = *g_disk->real;  // its other functions take no file of ours
  impl_->vfs.zName = "fault";
  impl_->vfs.szOsFile = static_cast<int>(sizeof(FaultFile)) + g_disk->real->szOsFile;
  impl_->vfs.xOpen = open_file;
  impl_->vfs.xDelete = delete_file;
  impl_->vfs.xAccess = access_file;
  sqlite3_vfs_register(&impl_->vfs, 1);
}

FaultVfs::~FaultVfs() {
  sqlite3_vfs_unregister(&impl_->vfs);
  sqlite3_vfs_register(impl_->disk.real, 1);
  g_disk = nullptr;
}

void FaultVfs::fail_at(uint64_t n, Fault fault) {
  impl_->disk.countdown = n;
  impl_->disk.fault = fault;
  impl_->disk.has_failed = false;
}

void FaultVfs::fail_never() {
  fail_at(0, Fault::kOnce);
}

bool FaultVfs::has_failed() const {
  return impl_->disk.has_failed;
}

void FaultVfs::lose_power() {
  for (const auto& [path, writes] : impl_->disk.unsynced) {
    if (!std::filesystem::exists(path)) continue;
    for (auto undo = writes.rbegin(); undo != writes.rend(); ++undo) {
      overwrite(path, undo->offset, undo->bytes);
      std::filesystem::resize_file(path, undo->file_size);
    }
  }
  keep_power();
}

void FaultVfs::lose_power_in_disorder(base::Random& random) {
  for (auto& [path, writes] : impl_->disk.unsynced) {
    if (!std::filesystem::exists(path)) continue;
    for (auto undo = writes.rbegin(); undo != writes.rend(); ++undo) {
      if (undo->written_size == 0 || (!undo->is_given_up && random.chance(0.5))) continue;
      // The file's size may be on the disk before the bytes are: then these are zero.
      undo->bytes.resize(undo->written_size);
      overwrite(path, undo->offset, undo->bytes);
    }
  }
  keep_power();
}

void FaultVfs::keep_power() {
  for (auto& [path, writes] : impl_->disk.unsynced) writes.clear();
}

}  // namespace holdfast::store_test
