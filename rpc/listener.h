// A listening socket, TCP or unix, and its accept loop.
#pragma once

#include <kj/memory.h>

#include <functional>
#include <string>
#include <vector>

#include "rpc/address.h"
#include "rpc/buffered_stream.h"
#include "rpc/notice.h"

namespace holdfast::rpc {

class Listener {
 public:
  // `peer` describes who connected: "127.0.0.1:40312", "unix:/run/x.sock (pid 17, uid 0)".
  using OnAccept = std::function<void(kj::Own<BufferedStream> stream, std::string peer)>;

  // Binds and listens. Throws kj::Exception with a sentence for people: the address is in use (a
  // dead unix socket is replaced, a live one is an error), no such directory, and so on. Names
  // resolve synchronously: this is done at start. Port 0 takes a free one, see address().
  // The mode of the socket and its directory are the caller's business (umask, chmod).
  static kj::Own<Listener> listen(UvEventPort& port, const Address& address, OnAccept on_accept,
                                  NoticeSink notices);
  virtual ~Listener() noexcept(false) = default;  // stops; a unix socket's file goes, if ours

  virtual const Address& address() const = 0;  // with the real port
};

}  // namespace holdfast::rpc
