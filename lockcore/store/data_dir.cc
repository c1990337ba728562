#include "lockcore/store/data_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <vector>

#include "lockcore/store/sqlite.h"
#include "lockcore/store/store_error.h"
#include "lockcore/store/wal_scan.h"

namespace holdfast::store {
namespace {

using Kind = StoreError::Kind;
namespace fs = std::filesystem;

[[noreturn]] void fail_io(const std::string& path, const std::string& what, int error) {
  const Kind kind = error == ENOSPC || error == EDQUOT ? Kind::kFull : Kind::kIo;
  const bool is_permission = error == EACCES || error == EPERM || error == EROFS;
  const char* advice = kind == Kind::kFull ? "free some space and start the node again"
                       : is_permission     ? "give the node a directory that its user owns and "
                                             "may write (--data-dir)"
                                           : "check the disk and the kernel's log";
  throw StoreError(kind, path + ": " + what + ": " + std::strerror(error) + "; " + advice);
}

class Descriptor {
 public:
  Descriptor(const std::string& path, int flags, mode_t mode = 0)
      : fd(::open(path.c_str(), flags | O_CLOEXEC, mode)) {}
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  const int fd;
};

// Makes it, and what is missing above it, and each of them durable where it stands: what is synced
// in a directory is lost with it.
void create_directory(const fs::path& dir, mode_t mode) {
  const fs::path parent = dir.parent_path();
  std::error_code error;
  if (!fs::exists(parent, error)) create_directory(parent, 0777);
  if (::mkdir(dir.c_str(), mode) != 0 && errno != EEXIST) {
    fail_io(dir, "can't create the directory", errno);
  }
  sync_directory(parent);
}

void ensure_directory(const std::string& dir) {
  std::error_code error;
  const fs::file_status status = fs::status(dir, error);
  if (fs::is_directory(status)) return;
  if (fs::exists(status)) {
    throw StoreError(Kind::kIo, dir +
                                    ": is not a directory; give the node a directory of its own "
                                    "(--data-dir)");
  }
  const fs::path path = fs::absolute(dir).lexically_normal();
  // Nobody else has any business here: leases' secrets are in it.
  create_directory(path.has_filename() ? path : path.parent_path(), 0700);
}

void sync_and_drop(const std::string& path) {
  const Descriptor file(path, O_RDWR);
  if (file.fd < 0 && errno == ENOENT) return;
  if (file.fd < 0) fail_io(path, "can't open it", errno);
  if (::fsync(file.fd) != 0) fail_io(path, "can't sync it", errno);
  // Only clean pages are dropped, hence the sync before.
  if (const int error = ::posix_fadvise(file.fd, 0, 0, POSIX_FADV_DONTNEED); error != 0) {
    fail_io(path, "can't drop its cached pages", error);
  }
}

// Reads it from end to end, into the page cache. The checks that follow walk through whole tables
// from their last page to their first, for which a disk takes ten times as long.
void read_through(const std::string& path) {
  const Descriptor file(path, O_RDONLY);
  if (file.fd < 0) fail_io(path, "can't open it", errno);
  std::vector<char> buffer(1 << 20);
  for (;;) {
    const ssize_t n = ::read(file.fd, buffer.data(), buffer.size());
    if (n == 0) return;
    if (n < 0 && errno != EINTR) fail_io(path, "can't read it", errno);
  }
}

uint32_t big_endian(const unsigned char* bytes) {
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
}

// Reads SQLite's header (sqlite.org/fileformat2.html, 1.3) without SQLite, which might start to
// recover another program's database. Ours never changes after create_database().
void check_header(const std::string& path, const FileFormat& format) {
  unsigned char header[100];
  const Descriptor file(path, O_RDONLY);
  if (file.fd < 0) fail_io(path, "can't open it", errno);
  const ssize_t n = ::pread(file.fd, header, sizeof header, 0);
  if (n < 0) fail_io(path, "can't read it", errno);
  if (n == 0) {
    throw StoreError(Kind::kDamaged, path +
                                         ": is empty, which Holdfast never leaves behind: the "
                                         "file is damaged; " +
                                         kReplaceAdvice);
  }
  const bool is_sqlite = n == sizeof header && std::memcmp(header, "SQLite format 3", 16) == 0;
  if (!is_sqlite) {
    throw StoreError(Kind::kForeign,
                     path +
                         ": is not an SQLite database. If it is another program's file, give "
                         "the node a directory of its own (--data-dir); if it was Holdfast's " +
                         format.name + ", it is damaged: " + kReplaceAdvice);
  }
  if (big_endian(header + 68) != format.application_id) {
    throw StoreError(Kind::kForeign, path + ": is an SQLite database, but not Holdfast's " +
                                         format.name +
                                         "; give the node a directory of its own "
                                         "(--data-dir)");
  }
  const uint32_t version = big_endian(header + 60);
  if (version != format.version) {
    throw StoreError(Kind::kForeign, path + ": has format " + std::to_string(version) +
                                         ", this program knows " + std::to_string(format.version) +
                                         "; start the version of holdfastd that wrote it");
  }
}

}  // namespace

DirectoryLock::DirectoryLock(const std::string& dir) {
  ensure_directory(dir);
  const std::string path = dir + "/lock";
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd_ < 0) fail_io(dir, "can't write in the directory", errno);
  if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    const int error = errno;
    char pid[32] = {};
    const ssize_t n = ::pread(fd_, pid, sizeof pid - 1, 0);
    ::close(fd_);
    if (error != EWOULDBLOCK) fail_io(path, "can't lock it", error);
    std::string holder = n > 0 ? std::string("process ") + std::to_string(std::atol(pid))
                               : std::string("another process");
    throw StoreError(Kind::kInUse, dir + ": is in use by " + holder +
                                       "; one node has one directory and one process");
  }
  // For people and for the message above; that it isn't durable does no harm.
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd_, 0) != 0 || ::pwrite(fd_, pid.data(), pid.size(), 0) < 0) {
    const int error = errno;
    ::close(fd_);
    fail_io(path, "can't write it", error);
  }
}

DirectoryLock::~DirectoryLock() {
  ::close(fd_);
}

void sync_directory(const std::string& dir) {
  const Descriptor directory(dir, O_RDONLY | O_DIRECTORY);
  if (directory.fd < 0) fail_io(dir, "can't open the directory", errno);
  if (::fsync(directory.fd) != 0) fail_io(dir, "can't sync the directory", errno);
}

bool file_exists(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) return true;
  if (errno != ENOENT) fail_io(path, "can't look at it", errno);
  return false;
}

uint64_t file_bytes(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? static_cast<uint64_t>(status.st_size) : 0;
}

bool has_state_file(const std::string& dir) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(dir, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("state") && name.ends_with(".db")) return true;
  }
  if (error) fail_io(dir, "can't list the directory", error.value());
  return false;
}

void examine_database(const std::string& path, const FileFormat& format) {
  sync_and_drop(path);
  sync_and_drop(path + "-wal");
  check_header(path, format);
  if (const auto damage = scan_wal(path + "-wal")) {
    throw StoreError(Kind::kDamaged, path + "-wal: " + damage->what +
                                         ": acknowledged transactions are lost; " + kReplaceAdvice);
  }
  read_through(path);
}

void create_database(const std::string& dir, const std::string& file, const FileFormat& format,
                     const std::function<void(Connection&)>& fill) {
  const std::string path = dir + "/" + file;
  const std::string draft = path + ".new";
  for (const char* suffix : {"", "-wal", "-shm"}) {
    if (::unlink((draft + suffix).c_str()) != 0 && errno != ENOENT) {
      fail_io(draft + suffix, "can't remove what an interrupted start left", errno);
    }
  }
  // An old WAL beside a new database would be taken for its own.
  if (::unlink((path + "-wal").c_str()) != 0 && errno != ENOENT) {
    fail_io(path + "-wal", "can't remove it", errno);
  }
  {
    const Descriptor made(draft, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (made.fd < 0) fail_io(draft, "can't create it", errno);
  }
  {
    Connection draft_db(draft, {.exclusive = true});
    draft_db.exec("BEGIN");
    draft_db.exec(("PRAGMA application_id=" + std::to_string(format.application_id)).c_str());
    draft_db.exec(("PRAGMA user_version=" + std::to_string(format.version)).c_str());
    fill(draft_db);
    draft_db.exec("COMMIT");
    draft_db.checkpoint();
  }
  if (::unlink((draft + "-wal").c_str()) != 0) fail_io(draft + "-wal", "can't remove it", errno);
  sync_and_drop(draft);
  if (std::rename(draft.c_str(), path.c_str()) != 0) fail_io(path, "can't create it", errno);
  sync_directory(dir);
}

}  // namespace holdfast::store
