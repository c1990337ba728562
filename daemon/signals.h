// Signals, delivered on the loop: TERM and INT ask for an end, HUP for a reread configuration.
#pragma once

#include <uv.h>

#include <functional>
#include <memory>

namespace holdfast::daemon {

class Signals {
 public:
  // Ignores SIGPIPE: a peer that went away is an error of its write, not our end. `stop` is called
  // for the first TERM or INT; a second one ends the process at once, as if nobody had asked for
  // signals.
  Signals(uv_loop_t& loop, std::function<void()> stop, std::function<void()> reload);
  ~Signals();

 private:
  struct Handles;
  Handles* handles_;  // freed by libuv's close callbacks, which may come after this object's end
};

}  // namespace holdfast::daemon
