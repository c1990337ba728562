#include "bindings/cli/guard.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

namespace holdfast::cli {
namespace {

constexpr int64_t kNever = INT64_MAX;
constexpr int64_t kSecondNs = 1'000'000'000;
constexpr int kLookMs = 10;  // between looks whether an orphaned group is gone

// What the guard says to lockctl.
constexpr char kReady = 'r';
constexpr char kEnding = 'e';

enum class Kind : int32_t { watch, times, ending, done };

struct Message {
  Kind kind;
  pid_t group;
  EndTimes times;
};

// -- in the guard process -------------------------------------------------------------------------

class GuardProcess {
 public:
  GuardProcess(int socket, int64_t grace_ns) : socket_(socket), grace_ns_(grace_ns) {
    timer_ = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
  }

  void run() {
    // Without a timer it could not keep its word. Going shows lockctl that there is no guard.
    if (timer_ < 0) return;
    say(kReady);
    while (!done_) {
      wait();
      // All messages first: a renewal that has arrived must count before times are looked at.
      drain();
      if (!done_) act(boottime_ns());
    }
  }

 private:
  void wait() {
    pollfd events[] = {{orphaned_ ? -1 : socket_, POLLIN, 0}, {timer_, POLLIN, 0}};
    poll(events, 2, orphaned_ ? kLookMs : -1);
    uint64_t expirations = 0;
    [[maybe_unused]] const ssize_t got = read(timer_, &expirations, sizeof expirations);
  }

  void drain() {
    Message message{};
    while (!orphaned_ && !done_) {
      const ssize_t got = recv(socket_, &message, sizeof message, MSG_DONTWAIT);
      if (got == static_cast<ssize_t>(sizeof message)) {
        take(message);
      } else if (got < 0 && errno == EINTR) {
        continue;
      } else if (got < 0 && errno == EAGAIN) {
        return;
      } else {
        orphaned_ = true;
      }
    }
  }

  void take(const Message& message) {
    switch (message.kind) {
      case Kind::watch: group_ = ProcessGroup::of(message.group); return;
      case Kind::times:
        // Once ending, always ending: the group has had its TERM.
        if (!ending_) times_ = message.times;
        return;
      case Kind::ending:
        ending_ = true;
        times_ = message.times;
        return;
      case Kind::done: done_ = true; return;
    }
  }

  void act(int64_t now) {
    if (orphaned_ && !group_.alive()) {
      done_ = true;
      return;
    }
    if (!group_) return;
    if (!ending_ && (orphaned_ || now >= times_.term_at)) begin_ending(now);
    if (ending_ && now >= times_.kill_at) group_.signal(SIGKILL);
    // What a KILL did not end within a second (a zombie that nobody reaps, a dead disk) won't end.
    if (orphaned_ && now >= times_.kill_at + kSecondNs) done_ = true;
    arm(ending_ ? times_.kill_at : times_.term_at, now);
  }

  void begin_ending(int64_t now) {
    ending_ = true;
    times_.kill_at = std::min(times_.kill_at, now + grace_ns_);
    if (!orphaned_) say(kEnding);
    group_.terminate();
  }

  void say(char word) { send(socket_, &word, 1, MSG_DONTWAIT | MSG_NOSIGNAL); }

  void arm(int64_t at, int64_t now) {
    itimerspec when{};
    // Past instants are handled already; 0 disarms.
    if (at > now && at != kNever) {
      when.it_value = {static_cast<time_t>(at / kSecondNs), static_cast<long>(at % kSecondNs)};
    }
    timerfd_settime(timer_, TFD_TIMER_ABSTIME, &when, nullptr);
  }

  const int socket_;
  const int64_t grace_ns_;
  int timer_ = -1;
  ProcessGroup group_;
  EndTimes times_{kNever, kNever};
  bool ending_ = false;    // the group had its TERM; KILL follows at times_.kill_at
  bool orphaned_ = false;  // lockctl is gone
  bool done_ = false;
};

// Its own name, so that `killall lockctl` and `pkill -f lockctl` leave the guard to its duty, and
// `ps` shows what it is.
void rename_process(const Inherited& inherited) {
  constexpr char kName[] = "holdfast-guard";
  prctl(PR_SET_NAME, kName);
  if (inherited.arguments_size < sizeof kName) return;
  memset(inherited.arguments, 0, inherited.arguments_size);
  memcpy(inherited.arguments, kName, sizeof kName);
}

[[noreturn]] void guard_main(const Inherited& inherited, int socket, int64_t grace_ns) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  setsid();
  // Whoever reads our stdout must see its end when CMD has ended, and file systems stay
  // unmountable.
  [[maybe_unused]] const int moved = chdir("/");
  if (socket > 0) close_range(0, static_cast<unsigned>(socket) - 1, 0);
  close_range(static_cast<unsigned>(socket) + 1, UINT_MAX, 0);
  rename_process(inherited);
  GuardProcess(socket, grace_ns).run();
  _exit(0);
}

void post(int socket, const Message& message) {
  // Never blocks: if the guard is stopped, its times stay those that it knows, which is safe.
  send(socket, &message, sizeof message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

}  // namespace

// -- in lockctl -----------------------------------------------------------------------------------

Guard::Guard(const Inherited& inherited, int64_t grace_ns) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    throw_system_error("socketpair");
  }
  socket_ = UniqueFd(ends[0]);
  UniqueFd theirs(ends[1]);
  pid_ = fork();
  if (pid_ < 0) throw_system_error("fork");
  if (pid_ == 0) guard_main(inherited, theirs.get(), grace_ns);
  theirs.reset();  // or its death would not be seen
  // Until it has left our session, a `kill -9` of our process group would hit it too.
  char word = 0;
  ssize_t got = 0;
  do {
    got = recv(socket_.get(), &word, 1, 0);
  } while (got < 0 && errno == EINTR);
  if (got != 1) throw Failure(kExitLimit, "resourceExhausted", "the guard process did not start");
}

Guard::~Guard() {
  post(socket_.get(), {Kind::done, 0, {}});
}

void Guard::watch(const ProcessGroup& group) {
  post(socket_.get(), {Kind::watch, group.id(), {}});
}
void Guard::set_times(const EndTimes& times) {
  post(socket_.get(), {Kind::times, 0, times});
}
void Guard::note_ending(const EndTimes& times) {
  post(socket_.get(), {Kind::ending, 0, times});
}

Guard::Word Guard::read_word() {
  char word = 0;
  const ssize_t got = recv(socket_.get(), &word, 1, MSG_DONTWAIT);
  if (got == 1) return Word::ending;
  return got < 0 && (errno == EAGAIN || errno == EINTR) ? Word::none : Word::dead;
}

}  // namespace holdfast::cli
