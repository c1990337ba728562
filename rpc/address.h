// Where a node listens or is reached: HOST:PORT, [IPV6]:PORT or unix:PATH.
#pragma once

#include <kj/array.h>
#include <kj/async.h>
#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "rpc/uv_event_port.h"

namespace holdfast::rpc {

struct Address {
  enum class Kind { kTcp, kUnix } kind = Kind::kTcp;
  std::string host;  // without brackets; or the path
  uint16_t port = 0;

  // As it was written, in canonical form.
  std::string text() const;
  bool operator==(const Address&) const = default;
};

// nullopt: not an address; `why` says what is wrong. `default_port` 0: a port must be given.
std::optional<Address> parse_address(std::string_view text, std::string& why,
                                     uint16_t default_port = 0);

// A socket address as the kernel takes it.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
  std::string text() const;  // "127.0.0.1:7421", "[::1]:7421", "unix:/run/x.sock"
};

// Numbers and paths resolve at once, names on libuv's thread pool. Fails if there is none.
kj::Promise<kj::Array<SocketAddress>> resolve(UvEventPort& port, const Address& address);
// The same, waiting for the resolver: for use at start. Throws if there is none.
kj::Array<SocketAddress> resolve_now(const Address& address);

}  // namespace holdfast::rpc
