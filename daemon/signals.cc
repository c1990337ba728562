#include "daemon/signals.h"

#include <csignal>

#include "lockcore/base/assert.h"

namespace holdfast::daemon {

struct Signals::Handles {
  uv_signal_t terminate, interrupt, hang_up;
  std::function<void()> stop, reload;
  int open = 3;

  static void on_signal(uv_signal_t* handle, int number) {
    auto& self = *static_cast<Handles*>(handle->data);
    if (number == SIGHUP) {
      self.reload();
      return;
    }
    // Back to what they do by default: a second one doesn't wait for the loop's next turn.
    uv_signal_stop(&self.terminate);
    uv_signal_stop(&self.interrupt);
    self.stop();
  }
  static void on_close(uv_handle_t* handle) {
    auto* self = static_cast<Handles*>(handle->data);
    if (--self->open == 0) delete self;
  }
  void start(uv_loop_t& loop, uv_signal_t& handle, int number) {
    HF_ASSERT(uv_signal_init(&loop, &handle) == 0);
    handle.data = this;
    HF_ASSERT(uv_signal_start(&handle, on_signal, number) == 0);
    uv_unref(reinterpret_cast<uv_handle_t*>(&handle));
  }
};

Signals::Signals(uv_loop_t& loop, std::function<void()> stop, std::function<void()> reload)
    : handles_(new Handles) {
  std::signal(SIGPIPE, SIG_IGN);
  handles_->stop = std::move(stop);
  handles_->reload = std::move(reload);
  handles_->start(loop, handles_->terminate, SIGTERM);
  handles_->start(loop, handles_->interrupt, SIGINT);
  handles_->start(loop, handles_->hang_up, SIGHUP);
}

Signals::~Signals() {
  for (uv_signal_t* handle : {&handles_->terminate, &handles_->interrupt, &handles_->hang_up}) {
    uv_close(reinterpret_cast<uv_handle_t*>(handle), Handles::on_close);
  }
}

}  // namespace holdfast::daemon
