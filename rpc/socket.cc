#include "rpc/socket.h"

#include <kj/string.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "rpc/limits.h"

namespace holdfast::rpc {

kj::Exception socket_error(kj::StringPtr doing, int error) {
  auto type = kj::Exception::Type::FAILED;
  switch (error) {
    case EPIPE:
    case ECONNRESET:
    case ECONNABORTED:
    case ECONNREFUSED:
    case ENOTCONN:
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case ENETUNREACH:
    case ENETDOWN:
    case ENETRESET: type = kj::Exception::Type::DISCONNECTED; break;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EAGAIN: type = kj::Exception::Type::OVERLOADED; break;
    default: break;
  }
  return kj::Exception(type, __FILE__, __LINE__, kj::str(doing, ": ", strerror(error)));
}

void set_patience(int fd, int idle_s, int interval_s, int user_timeout_ms) {
  sockaddr_storage own{};
  socklen_t length = sizeof own;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&own), &length) != 0) return;
  if (own.ss_family != AF_INET && own.ss_family != AF_INET6) return;
  const int on = 1;
  const int probes = kKeepaliveProbes;
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
  ::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof user_timeout_ms);
}

}  // namespace holdfast::rpc
