#include "rpc/fd_watcher.h"

#include <kj/debug.h>

#include <utility>

namespace holdfast::rpc {

struct FdWatcher::Handle {
  uv_poll_t poll;
  FdWatcher* owner;  // null once the watcher is gone
  Callback callback;
};

FdWatcher::FdWatcher(uv_loop_t& loop, int fd, Callback callback)
    : handle_(new Handle{{}, this, std::move(callback)}) {
  const int error = uv_poll_init(&loop, &handle_->poll, fd);
  if (error != 0) {
    delete handle_;
    KJ_FAIL_REQUIRE("can't watch a descriptor", uv_strerror(error));
  }
  handle_->poll.data = handle_;
}

FdWatcher::~FdWatcher() {
  handle_->owner = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_->poll),
           [](uv_handle_t* closed) { delete static_cast<Handle*>(closed->data); });
}

void FdWatcher::watch(int events) {
  if (events == events_) return;
  events_ = events;
  const int error = events == 0 ? uv_poll_stop(&handle_->poll)
                                : uv_poll_start(&handle_->poll, events, &FdWatcher::on_event);
  KJ_REQUIRE(error == 0, uv_strerror(error));
}

void FdWatcher::on_event(uv_poll_t* poll, int status, int events) {
  auto* handle = static_cast<Handle*>(poll->data);
  if (handle->owner == nullptr) return;
  if (status < 0) handle->owner->events_ = 0;
  handle->callback(status, events);
}

}  // namespace holdfast::rpc
