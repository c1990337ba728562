#include "bindings/cli/wait_for_lock.h"

#include <poll.h>

namespace holdfast::cli {

std::optional<int> wait_or_signal(Signals& signals, int fd) {
  for (;;) {
    pollfd events[] = {{fd, POLLIN, 0}, {signals.fd(), POLLIN, 0}};
    poll(events, 2, -1);
    while (const auto signal_number = signals.next()) {
      if (Signals::ends(*signal_number)) return signal_number;
      if (*signal_number == SIGTSTP) signals.stop_self(false);
    }
    if ((events[0].revents & POLLIN) != 0) return std::nullopt;
  }
}

void wait_for_lock(Context& context, Signals& signals, Cell& cell, Acquisition& acquisition) {
  for (;;) {
    if (const auto interrupted = wait_or_signal(signals, acquisition.fd())) {
      context.verbose("interrupted: leaving the queue");
      // The cell may be out of reach and closing take its time; a second signal doesn't wait for
      // it.
      pthread_sigmask(SIG_SETMASK, &context.inherited.mask, nullptr);
      cell.close();
      die_by(*interrupted);
    }
    acquisition.clear_fd();
    acquisition.rethrow();
    if (acquisition.answered()) return;
  }
}

}  // namespace holdfast::cli
