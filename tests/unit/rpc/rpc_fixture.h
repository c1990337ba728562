// What the tests of rpc/ share: waiting for a condition with a deadline, socket pairs, addresses.
#pragma once

#include <kj/async.h>
#include <kj/debug.h>
#include <sys/socket.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <functional>
#include <string>

#include "rpc/address.h"
#include "rpc/buffered_stream.h"
#include "rpc/uv_event_port.h"

namespace holdfast::rpc {

// Turns the loop until `condition` holds. False: ten seconds passed.
inline bool run_until(EventLoop& loop, const std::function<bool()>& condition) {
  const auto deadline = boottime_now() + base::Duration::from_ms(10'000);
  while (!condition()) {
    if (boottime_now() > deadline) return false;
    loop.timer().afterDelay(1 * kj::MILLISECONDS).wait(loop.wait_scope());
  }
  return true;
}

// Two ends of a unix socket: the first as a stream, the second as a bare descriptor.
struct StreamAndFd {
  kj::Own<BufferedStream> stream;
  kj::AutoCloseFd fd;
};
inline StreamAndFd make_stream_and_fd(EventLoop& loop) {
  int fds[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
  return {kj::heap<BufferedStream>(loop.port(), kj::AutoCloseFd(fds[0])), kj::AutoCloseFd(fds[1])};
}

// A unix socket of this process's own; the file goes with the listener.
inline Address test_address(const std::string& name) {
  return {Address::Kind::kUnix,
          "/tmp/holdfast-rpc-" + std::to_string(::getpid()) + "-" + name + ".sock", 0};
}

}  // namespace holdfast::rpc
