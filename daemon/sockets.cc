#include "daemon/sockets.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>

namespace holdfast::daemon {

void make_socket_directory(const std::string& path) {
  std::filesystem::path directory = std::filesystem::path(path).parent_path();
  std::error_code error;
  if (directory.empty() || std::filesystem::is_directory(directory, error)) return;
  std::filesystem::create_directories(directory.parent_path(), error);
  if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    throw ListenError(fmt::format("the directory {} for the socket can't be made: {}",
                                  directory.native(), std::strerror(errno)));
  }
}

void open_socket_to_group(const std::string& path) {
  if (chmod(path.c_str(), 0660) != 0) {
    throw ListenError(fmt::format("{}: can't set the permissions: {}", path, std::strerror(errno)));
  }
}

}  // namespace holdfast::daemon
