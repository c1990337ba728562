#include "rpc/dial.h"

#include <kj/debug.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "rpc/fd_watcher.h"
#include "rpc/socket.h"

namespace holdfast::rpc {

namespace {

// A connect() under way: fulfilled with the error it ended with, 0 for none.
class Connecting {
 public:
  Connecting(kj::PromiseFulfiller<int>& fulfiller, UvEventPort& port, int fd)
      : fulfiller_(fulfiller), fd_(fd), watcher_(port.uv(), fd, [this](int, int) { done(); }) {
    watcher_.watch(UV_WRITABLE);
  }

 private:
  void done() {
    watcher_.watch(0);
    int error = 0;
    socklen_t length = sizeof error;
    if (::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
    fulfiller_.fulfill(kj::mv(error));
  }

  kj::PromiseFulfiller<int>& fulfiller_;
  const int fd_;
  FdWatcher watcher_;
};

kj::Promise<kj::Own<BufferedStream>> connect_to(UvEventPort& port, const SocketAddress& address) {
  const int fd = ::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return socket_error("making a socket", errno);
  kj::AutoCloseFd owned(fd);
  kj::Promise<int> outcome = 0;
  if (::connect(fd, address.get(), address.length) != 0) {
    if (errno != EINPROGRESS) return socket_error(address.text().c_str(), errno);
    outcome = kj::newAdaptedPromise<int, Connecting>(port, fd);
  }
  // The watcher of the connect is gone when the continuation runs; the descriptor goes last.
  return outcome.then([&port, address, owned = kj::mv(owned)](int error) mutable {
    if (error != 0) kj::throwFatalException(socket_error(address.text().c_str(), error));
    return kj::heap<BufferedStream>(port, kj::mv(owned));
  });
}

// Tries them in order; what it fails with is the last one's error.
kj::Promise<kj::Own<BufferedStream>> connect_to_one(UvEventPort& port,
                                                    kj::Array<SocketAddress> addresses,
                                                    size_t next) {
  auto attempt = connect_to(port, addresses[next]);
  if (next + 1 == addresses.size()) return attempt;
  return attempt.catch_([&port, addresses = kj::mv(addresses), next](kj::Exception&&) mutable {
    return connect_to_one(port, kj::mv(addresses), next + 1);
  });
}

}  // namespace

kj::Promise<kj::Own<BufferedStream>> dial(UvEventPort& port, const Address& address) {
  return resolve(port, address).then([&port](kj::Array<SocketAddress> addresses) {
    return connect_to_one(port, kj::mv(addresses), 0);
  });
}

}  // namespace holdfast::rpc
