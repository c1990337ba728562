#include "daemon/sockets.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>

#include "lockcore/base/assert.h"

namespace holdfast::daemon {
namespace {

void make_private_directory(const std::filesystem::path& directory) {
  std::error_code error;
  if (directory.empty() || std::filesystem::is_directory(directory, error)) return;
  if (directory.has_parent_path()) {
    std::filesystem::create_directories(directory.parent_path(), error);
  }
  if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    throw ListenError(fmt::format("the directory {} for the socket can't be made: {}",
                                  directory.native(), std::strerror(errno)));
  }
}

// errno of connecting to it; 0: somebody listens.
int try_connect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  HF_ASSERT(path.size() < sizeof(address.sun_path));
  std::memcpy(address.sun_path, path.data(), path.size());
  // Not blocking: a live daemon with a full backlog says EAGAIN, and is alive.
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return errno;
  int result =
      connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 ? 0 : errno;
  close(fd);
  return result;
}

}  // namespace

void prepare_unix_socket(const std::string& path) {
  make_private_directory(std::filesystem::path(path).parent_path());
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) return;  // nothing there: bind() will say what it thinks
  if (!S_ISSOCK(status.st_mode)) {
    throw ListenError(
        fmt::format("{} exists and is not a socket: remove it, or listen elsewhere", path));
  }
  int error = try_connect(path);
  if (error == 0 || error == EAGAIN) {
    throw ListenError(
        fmt::format("another process listens on unix:{}: stop it, or give this "
                    "daemon another --listen",
                    path));
  }
  if (error != ECONNREFUSED) {
    throw ListenError(fmt::format("unix:{} can't be looked at: {}", path, std::strerror(error)));
  }
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    throw ListenError(
        fmt::format("the dead socket {} can't be removed: {}", path, std::strerror(errno)));
  }
}

void open_unix_socket_to_group(const std::string& path) {
  if (chmod(path.c_str(), 0660) != 0) {
    throw ListenError(fmt::format("{}: can't set the permissions: {}", path, std::strerror(errno)));
  }
}

}  // namespace holdfast::daemon
