#include "bindings/cli/signals.h"

#include <sys/signalfd.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

constexpr int kForwarded[] = {SIGHUP,  SIGINT,  SIGQUIT,  SIGTERM, SIGUSR1,
                              SIGUSR2, SIGALRM, SIGWINCH, SIGTSTP, SIGCONT};

}  // namespace

Signals::Signals(const Inherited& inherited) : before_(inherited.mask) {
  sigset_t watched;
  sigemptyset(&watched);
  sigaddset(&watched, SIGCHLD);
  for (const int number : kForwarded) {
    struct sigaction action {};
    sigaction(number, nullptr, &action);
    // Blocked, an ignored signal would be queued all the same (signal(7)).
    if (action.sa_handler != SIG_IGN) sigaddset(&watched, number);
  }
  sigset_t blocked = watched;
  sigaddset(&blocked, SIGTTOU);  // handing over the terminal from the background must not stop us
  pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
  fd_ = UniqueFd(signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
  if (fd_.get() < 0) throw_system_error("signalfd");
}

Signals::~Signals() {
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

std::optional<int> Signals::next() {
  signalfd_siginfo info{};
  if (read(fd_.get(), &info, sizeof info) != static_cast<ssize_t>(sizeof info)) return std::nullopt;
  return static_cast<int>(info.ssi_signo);
}

bool Signals::ends(int number) {
  return number == SIGHUP || number == SIGINT || number == SIGQUIT || number == SIGTERM ||
         number == SIGUSR1 || number == SIGUSR2 || number == SIGALRM;
}

bool Signals::stop_self(bool whole_group) {
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTSTP);
  kill(whole_group ? 0 : getpid(), SIGTSTP);
  // Only here is it let through. An orphaned process group doesn't stop: nobody would continue it.
  pthread_sigmask(SIG_UNBLOCK, &stop, nullptr);
  pthread_sigmask(SIG_BLOCK, &stop, nullptr);
  sigset_t pending;
  sigpending(&pending);
  return sigismember(&pending, SIGCONT) == 1;
}

void die_by(int number) {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  sigaction(number, &action, nullptr);
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, number);
  pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
  raise(number);
  _exit(kExitSignalBase + number);  // the first process of a container survives its own signals
}

}  // namespace holdfast::cli
