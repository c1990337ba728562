#include "tests/store/fault_vfs.h"

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "tests/store/fault_disk.h"

namespace holdfast::store_test {
namespace {

// One open file. The WAL's index is shared by nobody, so it lives here.
struct OpenFile {
  sqlite3_file base;
  FaultDisk* disk;
  size_t inode;
  std::vector<std::unique_ptr<char[]>>* index_pages;
};

OpenFile& ours(sqlite3_file* file) {
  return *reinterpret_cast<OpenFile*>(file);
}

FaultDisk& disk_of(sqlite3_vfs* vfs) {
  return *static_cast<FaultDisk*>(vfs->pAppData);
}

int code_of(int error, int code) {
  return error == 0 ? SQLITE_OK : error == ENOSPC ? SQLITE_FULL : code;
}

int close_file(sqlite3_file* file) {
  delete ours(file).index_pages;
  return SQLITE_OK;
}

int read_file_at(sqlite3_file* file, void* into, int size, sqlite3_int64 offset) {
  size_t n = static_cast<size_t>(size);
  const int error = ours(file).disk->read(ours(file).inode, static_cast<uint64_t>(offset), into, n);
  if (error != 0) return SQLITE_IOERR_READ;
  if (n == static_cast<size_t>(size)) return SQLITE_OK;
  std::memset(static_cast<char*>(into) + n, 0, static_cast<size_t>(size) - n);
  return SQLITE_IOERR_SHORT_READ;
}

int write_file_at(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 offset) {
  const std::string_view view(static_cast<const char*>(bytes), static_cast<size_t>(size));
  const int error = ours(file).disk->write(ours(file).inode, static_cast<uint64_t>(offset), view);
  return code_of(error, SQLITE_IOERR_WRITE);
}

int truncate_file(sqlite3_file* file, sqlite3_int64 size) {
  return code_of(ours(file).disk->resize(ours(file).inode, static_cast<uint64_t>(size)),
                 SQLITE_IOERR_TRUNCATE);
}

int sync_file(sqlite3_file* file, int) {
  return code_of(ours(file).disk->sync(ours(file).inode), SQLITE_IOERR_FSYNC);
}

int file_size(sqlite3_file* file, sqlite3_int64* size) {
  *size =
      static_cast<sqlite3_int64>(ours(file).disk->image().inodes[ours(file).inode].cache.size());
  return SQLITE_OK;
}

int say_yes(sqlite3_file*, int) {
  return SQLITE_OK;
}

int check_lock(sqlite3_file*, int* is_reserved) {
  *is_reserved = 0;
  return SQLITE_OK;
}

int control_file(sqlite3_file* file, int operation, void* argument) {
  if (operation != SQLITE_FCNTL_LAST_ERRNO) return SQLITE_NOTFOUND;
  *static_cast<int*>(argument) = ours(file).disk->last_errno();
  return SQLITE_OK;
}

int sector_size(sqlite3_file*) {
  return 4096;
}

// As SQLite takes it of a real disk: bytes beside a write are safe.
int characteristics(sqlite3_file*) {
  return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

int map_index(sqlite3_file* file, int page, int size, int extend, void volatile** address) {
  auto& pages = *ours(file).index_pages;
  const size_t wanted = static_cast<size_t>(page) + 1;
  *address = nullptr;
  if (pages.size() < wanted && extend == 0) return SQLITE_OK;
  while (pages.size() < wanted) {
    pages.push_back(std::make_unique<char[]>(static_cast<size_t>(size)));
  }
  *address = pages[static_cast<size_t>(page)].get();
  return SQLITE_OK;
}

int lock_index(sqlite3_file*, int, int, int) {
  return SQLITE_OK;
}

void barrier(sqlite3_file*) {}

int unmap_index(sqlite3_file* file, int) {
  ours(file).index_pages->clear();
  return SQLITE_OK;
}

constexpr sqlite3_io_methods kMethods{
    .iVersion = 2,
    .xClose = close_file,
    .xRead = read_file_at,
    .xWrite = write_file_at,
    .xTruncate = truncate_file,
    .xSync = sync_file,
    .xFileSize = file_size,
    .xLock = say_yes,
    .xUnlock = say_yes,
    .xCheckReservedLock = check_lock,
    .xFileControl = control_file,
    .xSectorSize = sector_size,
    .xDeviceCharacteristics = characteristics,
    .xShmMap = map_index,
    .xShmLock = lock_index,
    .xShmBarrier = barrier,
    .xShmUnmap = unmap_index,
    .xFetch = nullptr,
    .xUnfetch = nullptr,
};

int open_file(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* out_flags) {
  OpenFile& open = ours(file);
  open.base.pMethods = nullptr;
  open.disk = &disk_of(vfs);
  const bool may_create = (flags & SQLITE_OPEN_CREATE) != 0;
  const bool must_create = (flags & SQLITE_OPEN_EXCLUSIVE) != 0;
  const int error = open.disk->open(path ? path : "", may_create, must_create, open.inode);
  if (error != 0) return code_of(error, SQLITE_CANTOPEN);
  open.index_pages = new std::vector<std::unique_ptr<char[]>>;
  open.base.pMethods = &kMethods;
  if (out_flags) *out_flags = flags;
  return SQLITE_OK;
}

int delete_file(sqlite3_vfs* vfs, const char* path, int sync_directory) {
  const int error = disk_of(vfs).unlink(path);
  if (error == ENOENT) return SQLITE_IOERR_DELETE_NOENT;
  if (error != 0) return SQLITE_IOERR_DELETE;
  if (sync_directory != 0) disk_of(vfs).image().sync_names();
  return SQLITE_OK;
}

int access_file(sqlite3_vfs* vfs, const char* path, int, int* result) {
  bool exists = false;
  if (disk_of(vfs).access(path, exists) != 0) return SQLITE_IOERR_ACCESS;
  *result = exists ? 1 : 0;
  return SQLITE_OK;
}

int full_pathname(sqlite3_vfs*, const char* path, int size, char* into) {
  sqlite3_snprintf(size, into, "%s", path);
  return SQLITE_OK;
}

}  // namespace

RegisteredVfs::RegisteredVfs(FaultDisk& disk, const char* name) {
  vfs_ = *sqlite3_vfs_find(nullptr);  // time and random numbers are the real one's
  vfs_.zName = name;
  vfs_.pAppData = &disk;
  vfs_.szOsFile = sizeof(OpenFile);
  vfs_.xOpen = open_file;
  vfs_.xDelete = delete_file;
  vfs_.xAccess = access_file;
  vfs_.xFullPathname = full_pathname;
  sqlite3_vfs_register(&vfs_, 0);
}

RegisteredVfs::~RegisteredVfs() {
  sqlite3_vfs_unregister(&vfs_);
}

}  // namespace holdfast::store_test
