#include "rpc/listener.h"

#include <kj/debug.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "rpc/fd_watcher.h"
#include "rpc/limits.h"
#include "rpc/socket.h"

namespace holdfast::rpc {

namespace {

constexpr int kBacklog = 1024;

[[noreturn]] void refuse(const Address& address, kj::StringPtr why) {
  kj::throwFatalException(kj::Exception(kj::Exception::Type::FAILED, __FILE__, __LINE__,
                                        kj::str("can't listen on ", address.text(), ": ", why)));
}

kj::AutoCloseFd make_socket(int family) {
  int fd;
  KJ_SYSCALL(fd = ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  return kj::AutoCloseFd(fd);
}

// Makes way for a unix socket: the file of a process that is gone is removed; anything else that
// stands there is an error.
void remove_dead_socket(const Address& address, const SocketAddress& socket) {
  struct stat there {};
  if (::lstat(address.host.c_str(), &there) != 0) return;  // bind() will say what is wrong, if so
  if (!S_ISSOCK(there.st_mode)) refuse(address, "a file that is not a socket is there");
  auto probe = make_socket(AF_UNIX);
  if (::connect(probe.get(), socket.get(), socket.length) == 0 || errno == EAGAIN) {
    refuse(address, "another process is listening there");
  }
  if (errno != ECONNREFUSED && errno != ENOENT) refuse(address, strerror(errno));
  if (::unlink(address.host.c_str()) != 0 && errno != ENOENT) refuse(address, strerror(errno));
}

std::string describe_peer(int fd, const Address& listening) {
  SocketAddress peer;
  peer.length = sizeof peer.storage;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer.storage), &peer.length) != 0) return "?";
  if (peer.family() != AF_UNIX) return peer.text();
  ucred who{};
  socklen_t length = sizeof who;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &length) != 0) return listening.text();
  return listening.text() + " (pid " + std::to_string(who.pid) + ", uid " +
         std::to_string(who.uid) + ")";
}

bool out_of_resources(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

class ListenerImpl final : public Listener {
 public:
  ListenerImpl(UvEventPort& port, Address address, kj::AutoCloseFd fd, OnAccept on_accept,
               NoticeSink notices)
      : port_(port),
        address_(std::move(address)),
        on_accept_(std::move(on_accept)),
        notices_(std::move(notices)),
        fd_(kj::mv(fd)),
        watcher_(port.uv(), fd_.get(), [this](int, int) { accept_some(); }) {
    if (address_.kind == Address::Kind::kUnix) remember_file();
    watcher_.watch(UV_READABLE);
  }

  ~ListenerImpl() noexcept(false) override {
    struct stat there {};
    if (!file_ || ::lstat(address_.host.c_str(), &there) != 0) return;
    // Somebody may have put his own socket there meanwhile.
    if (there.st_dev == file_->st_dev && there.st_ino == file_->st_ino) {
      ::unlink(address_.host.c_str());
    }
  }

  const Address& address() const override { return address_; }

 private:
  void remember_file() {
    struct stat own {};
    if (::lstat(address_.host.c_str(), &own) == 0) file_ = own;
  }

  // A few, then the loop's other work has its turn: the socket stays readable.
  void accept_some() {
    for (int i = 0; i < kAcceptsPerTurn; ++i) {
      const int fd = ::accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) {
        told_ = false;
        kj::AutoCloseFd owned(fd);
        std::string peer = describe_peer(fd, address_);
        on_accept_(kj::heap<BufferedStream>(port_, kj::mv(owned)), std::move(peer));
        continue;
      }
      if (errno == EAGAIN) return;
      if (out_of_resources(errno)) {
        pause(errno);
        return;
      }
      // The rest concerns the one connection that was to be accepted (see accept(2)).
    }
  }

  // The waiting connections stay in the kernel's queue, and would keep the loop spinning.
  void pause(int error) {
    if (!told_ && notices_) {
      notices_(Severity::kError,
               "can't accept connections on " + address_.text() + " for now: " + strerror(error));
    }
    told_ = true;
    watcher_.watch(0);
    resume_ = port_.timer()
                  .afterDelay(kAcceptPauseMs * kj::MILLISECONDS)
                  .then([this]() { watcher_.watch(UV_READABLE); })
                  .eagerlyEvaluate(nullptr);
  }

  UvEventPort& port_;
  const Address address_;
  OnAccept on_accept_;
  NoticeSink notices_;
  kj::AutoCloseFd fd_;
  FdWatcher watcher_;                // after fd_: it is gone before the descriptor closes
  std::optional<struct stat> file_;  // of a unix socket, as we made it
  bool told_ = false;                // people know that accepting fails
  kj::Promise<void> resume_ = nullptr;
};

}  // namespace

kj::Own<Listener> Listener::listen(UvEventPort& port, const Address& address, OnAccept on_accept,
                                   NoticeSink notices) {
  const SocketAddress socket = resolve_now(address)[0];
  auto fd = make_socket(socket.family());
  if (address.kind == Address::Kind::kUnix) {
    remove_dead_socket(address, socket);
  } else {
    const int on = 1;
    KJ_SYSCALL(::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
  }
  if (::bind(fd.get(), socket.get(), socket.length) != 0 || ::listen(fd.get(), kBacklog) != 0) {
    refuse(address, strerror(errno));
  }
  Address actual = address;
  if (address.kind == Address::Kind::kTcp) {
    SocketAddress bound;
    bound.length = sizeof bound.storage;
    KJ_SYSCALL(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&bound.storage), &bound.length));
    std::string why;
    if (auto parsed = parse_address(bound.text(), why)) actual.port = parsed->port;
  }
  return kj::heap<ListenerImpl>(port, std::move(actual), kj::mv(fd), std::move(on_accept),
                                std::move(notices));
}

}  // namespace holdfast::rpc
