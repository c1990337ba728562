#include "bindings/cli/terminal.h"

#include <fcntl.h>
#include <unistd.h>

namespace holdfast::cli {

Terminal::Terminal() : fd_(open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)) {}

bool Terminal::ours() const {
  return fd_.get() >= 0 && tcgetpgrp(fd_.get()) == getpgrp();
}

bool Terminal::interactive() const {
  return fd_.get() >= 0 && isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0;
}

void Terminal::give(pid_t group) {
  if (fd_.get() >= 0) tcsetpgrp(fd_.get(), group);
}

void Terminal::take_back(pid_t from) {
  if (fd_.get() >= 0 && tcgetpgrp(fd_.get()) == from) tcsetpgrp(fd_.get(), getpgrp());
}

}  // namespace holdfast::cli
