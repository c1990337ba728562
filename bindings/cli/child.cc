#include "bindings/cli/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

struct Pipe {
  UniqueFd read_end, write_end;
  Pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) throw_system_error("pipe");
    read_end = UniqueFd(ends[0]);
    write_end = UniqueFd(ends[1]);
  }
};

// Pointers for exec, prepared before the fork: behind it, with the library's thread gone in the
// middle of anything, nothing may allocate.
struct ExecArguments {
  std::vector<std::string> environment_text;
  std::vector<char*> arguments;
  std::vector<char*> environment;

  ExecArguments(const std::vector<std::string>& command,
                const std::vector<std::pair<std::string, std::string>>& extra) {
    for (const std::string& argument : command) {
      arguments.push_back(const_cast<char*>(argument.c_str()));
    }
    arguments.push_back(nullptr);
    for (const auto& [name, value] : extra) environment_text.push_back(name + "=" + value);
    for (char** entry = environ; *entry != nullptr; ++entry) {
      if (!is_extra(*entry, extra)) environment.push_back(*entry);
    }
    for (std::string& entry : environment_text) environment.push_back(entry.data());
    environment.push_back(nullptr);
  }

  // What a surrounding `lockctl run` set doesn't reach CMD twice.
  static bool is_extra(std::string_view entry,
                       const std::vector<std::pair<std::string, std::string>>& extra) {
    for (const auto& [name, value] : extra) {
      if (entry.starts_with(name) && entry.substr(name.size()).starts_with('=')) return true;
    }
    return false;
  }
};

void restore_signals(const Inherited& inherited) {
  signal(SIGPIPE, inherited.pipe_ignored ? SIG_IGN : SIG_DFL);
  signal(SIGCHLD, inherited.child_ignored ? SIG_IGN : SIG_DFL);
  sigprocmask(SIG_SETMASK, &inherited.mask, nullptr);
}

bool wait_for_go(int fd) {
  char word = 0;
  ssize_t got = 0;
  do {
    got = read(fd, &word, 1);
  } while (got < 0 && errno == EINTR);
  return got == 1;
}

}  // namespace

Child::Child(const std::vector<std::string>& command,
             const std::vector<std::pair<std::string, std::string>>& environment,
             const Inherited& inherited) {
  const ExecArguments exec(command, environment);
  Pipe go, exec_error;
  pid_ = fork();
  if (pid_ < 0) throw_system_error("fork");
  if (pid_ == 0) {
    setpgid(0, 0);
    close(go.write_end.get());  // or it would wait for itself
    if (!wait_for_go(go.read_end.get())) _exit(kExitCannotRun);
    restore_signals(inherited);
    execvpe(exec.arguments[0], exec.arguments.data(), exec.environment.data());
    const int error = errno;
    [[maybe_unused]] const ssize_t written =
        write(exec_error.write_end.get(), &error, sizeof error);
    _exit(kExitCannotRun);
  }
  // In both processes: whoever is first, it is done before anyone relies on it.
  setpgid(pid_, pid_);
  go_ = std::move(go.write_end);
  exec_error_ = std::move(exec_error.read_end);
}

int Child::start() {
  const char word = 'g';
  [[maybe_unused]] const ssize_t written = write(go_.get(), &word, 1);
  go_.reset();
  int error = 0;
  ssize_t got = 0;
  do {
    got = read(exec_error_.get(), &error, sizeof error);
  } while (got < 0 && errno == EINTR);
  exec_error_.reset();
  return got == static_cast<ssize_t>(sizeof error) ? error : 0;
}

}  // namespace holdfast::cli
