#include "bindings/cli/stdin_text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "bindings/cli/exit_codes.h"
#include "bindings/cli/unique_fd.h"

namespace holdfast::cli {

std::string read_all(const std::string& path, size_t most) {
  const bool is_stdin = path == "-";
  const std::string name = is_stdin ? "stdin" : path;
  const auto fail = [&name](int error) {
    throw Failure(kExitIo, "internal", "cannot read " + name + ": " + strerror(error));
  };
  UniqueFd opened(is_stdin ? -1 : open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!is_stdin && opened.get() < 0) fail(errno);
  const int fd = is_stdin ? STDIN_FILENO : opened.get();
  std::string text;
  char buffer[64 * 1024];
  for (;;) {
    const ssize_t size = read(fd, buffer, sizeof buffer);
    if (size == 0) return text;
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) fail(errno);
    text.append(buffer, static_cast<size_t>(size));
    if (text.size() > most) {
      throw UsageError(name + " has more than " + std::to_string(most) + " bytes");
    }
  }
}

}  // namespace holdfast::cli
