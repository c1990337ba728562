#include "lockcore/store/file_system.h"

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
#include <utility>

#include "lockcore/store/store_error.h"

namespace holdfast::store {
namespace {

using Kind = StoreError::Kind;
namespace fs = std::filesystem;

class Descriptor {
 public:
  explicit Descriptor(int open_fd) : fd(open_fd) {}
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  const int fd;
};

class RealFile final : public File {
 public:
  RealFile(std::string path, int fd) : path_(std::move(path)), file_(fd) {}

  size_t read(uint64_t offset, void* into, size_t size) override {
    for (;;) {
      const ssize_t n = ::pread(file_.fd, into, size, static_cast<off_t>(offset));
      if (n >= 0) return static_cast<size_t>(n);
      if (errno != EINTR) fail_io(path_, "can't read it", errno);
    }
  }
  void write(uint64_t offset, std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = ::pwrite(file_.fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) fail_io(path_, "can't write it", errno);
      bytes.remove_prefix(static_cast<size_t>(n));
      offset += static_cast<uint64_t>(n);
    }
  }
  void sync() override {
    if (::fsync(file_.fd) != 0) fail_io(path_, "can't sync it", errno);
  }
  void drop_cache() override {
    const int error = ::posix_fadvise(file_.fd, 0, 0, POSIX_FADV_DONTNEED);
    if (error != 0) fail_io(path_, "can't drop its cached pages", error);
  }
  uint64_t size() override {
    struct stat status {};
    if (::fstat(file_.fd, &status) != 0) fail_io(path_, "can't read its size", errno);
    return static_cast<uint64_t>(status.st_size);
  }

 private:
  const std::string path_;
  const Descriptor file_;
};

void sync_dir(const std::string& dir) {
  const Descriptor directory(::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.fd < 0) fail_io(dir, "can't open the directory", errno);
  if (::fsync(directory.fd) != 0) fail_io(dir, "can't sync the directory", errno);
}

// Makes it, and what is missing above it, and each of them durable where it stands: what is synced
// in a directory is lost with it.
void create_directory(const fs::path& dir, mode_t mode) {
  const fs::path parent = dir.parent_path();
  std::error_code error;
  if (!fs::exists(parent, error)) create_directory(parent, 0777);
  if (::mkdir(dir.c_str(), mode) != 0 && errno != EEXIST) {
    fail_io(dir, "can't create the directory", errno);
  }
  sync_dir(parent);
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

// By a lock on `<dir>/lock`.
class RealHold final : public DirectoryHold {
 public:
  explicit RealHold(const std::string& dir) : file_(open_lock_file(dir)) {
    const std::string path = dir + "/lock";
    if (::flock(file_.fd, LOCK_EX | LOCK_NB) != 0) {
      const int error = errno;
      if (error != EWOULDBLOCK) fail_io(path, "can't lock it", error);
      char pid[32] = {};
      const ssize_t n = ::pread(file_.fd, pid, sizeof pid - 1, 0);
      const std::string holder = n > 0 ? std::string("process ") + std::to_string(std::atol(pid))
                                       : std::string("another process");
      throw StoreError(Kind::kInUse, dir + ": is in use by " + holder +
                                         "; one node has one directory and one process");
    }
    // For people and for the message above; that it isn't durable does no harm.
    const std::string pid = std::to_string(::getpid()) + "\n";
    if (::ftruncate(file_.fd, 0) != 0 || ::pwrite(file_.fd, pid.data(), pid.size(), 0) < 0) {
      fail_io(path, "can't write it", errno);
    }
  }

 private:
  static int open_lock_file(const std::string& dir) {
    ensure_directory(dir);
    const int fd = ::open((dir + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) fail_io(dir, "can't write in the directory", errno);
    return fd;
  }

  const Descriptor file_;
};

class RealFileSystem final : public FileSystem {
 public:
  const char* sqlite_vfs() const override { return nullptr; }

  std::unique_ptr<DirectoryHold> hold(const std::string& dir) override {
    return std::make_unique<RealHold>(dir);
  }
  std::unique_ptr<File> open(const std::string& path) override {
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return nullptr;
    if (fd < 0) fail_io(path, "can't open it", errno);
    return std::make_unique<RealFile>(path, fd);
  }
  std::unique_ptr<File> create(const std::string& path) override {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) fail_io(path, "can't create it", errno);
    return std::make_unique<RealFile>(path, fd);
  }
  bool exists(const std::string& path) override {
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0) return true;
    if (errno != ENOENT) fail_io(path, "can't look at it", errno);
    return false;
  }
  uint64_t bytes(const std::string& path) override {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 ? static_cast<uint64_t>(status.st_size) : 0;
  }
  std::vector<std::string> list(const std::string& dir) override {
    std::vector<std::string> names;
    std::error_code error;
    for (const fs::directory_entry& entry : fs::directory_iterator(dir, error)) {
      names.push_back(entry.path().filename().string());
    }
    if (error) fail_io(dir, "can't list the directory", error.value());
    return names;
  }
  void remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) fail_io(path, "can't remove it", errno);
  }
  void rename(const std::string& from, const std::string& to) override {
    if (std::rename(from.c_str(), to.c_str()) != 0) fail_io(to, "can't create it", errno);
  }
  void sync_directory(const std::string& dir) override { sync_dir(dir); }
};

}  // namespace

size_t File::read_all(uint64_t offset, void* into, size_t size) {
  size_t done = 0;
  while (done < size) {
    const size_t n = read(offset + done, static_cast<char*>(into) + done, size - done);
    if (n == 0) break;
    done += n;
  }
  return done;
}

FileSystem& FileSystem::real() {
  static RealFileSystem files;
  return files;
}

void fail_io(const std::string& path, const std::string& what, int error) {
  const Kind kind = error == ENOSPC || error == EDQUOT ? Kind::kFull : Kind::kIo;
  const bool is_permission = error == EACCES || error == EPERM || error == EROFS;
  const char* advice = kind == Kind::kFull ? "free some space and start the node again"
                       : is_permission     ? "give the node a directory that its user owns and "
                                             "may write (--data-dir)"
                                           : "check the disk and the kernel's log";
  throw StoreError(kind, path + ": " + what + ": " + std::strerror(error) + "; " + advice);
}

}  // namespace holdfast::store
