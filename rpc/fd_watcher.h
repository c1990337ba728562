// Watches one descriptor on a libuv loop: a uv_poll_t with the lifetime of a C++ object.
#pragma once

#include <uv.h>

#include <functional>

namespace holdfast::rpc {

class FdWatcher {
 public:
  // `status` below 0: libuv has stopped watching because of an error (ask the socket which);
  // else `events` is a mask of UV_READABLE and UV_WRITABLE. May destroy the watcher.
  using Callback = std::function<void(int status, int events)>;

  // Makes the descriptor non-blocking. It stays the caller's and must be open until after this.
  FdWatcher(uv_loop_t& loop, int fd, Callback callback);
  ~FdWatcher();
  FdWatcher(const FdWatcher&) = delete;
  FdWatcher& operator=(const FdWatcher&) = delete;

  // What to watch for; 0: nothing. Costs something only if it changes, since libuv takes the
  // descriptor out and puts it in again.
  void watch(int events);

 private:
  struct Handle;
  static void on_event(uv_poll_t* poll, int status, int events);

  Handle* handle_;  // freed in its close callback
  int events_ = 0;
};

}  // namespace holdfast::rpc
