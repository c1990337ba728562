#include "rpc/address.h"

#include <arpa/inet.h>
#include <kj/debug.h>
#include <kj/vector.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <charconv>
#include <cstddef>
#include <cstring>
#include <memory>
#include <utility>

namespace holdfast::rpc {

namespace {

constexpr std::string_view kUnixPrefix = "unix:";

std::optional<uint16_t> parse_port(std::string_view text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return port;
}

// A host that is a number, or a path: no resolver needed.
std::optional<SocketAddress> numeric(const Address& address) {
  SocketAddress out;
  if (address.kind == Address::Kind::kUnix) {
    auto& to = reinterpret_cast<sockaddr_un&>(out.storage);
    to.sun_family = AF_UNIX;
    KJ_REQUIRE(address.host.size() < sizeof to.sun_path);  // parse_address() saw to it
    std::memcpy(to.sun_path, address.host.data(), address.host.size());
    out.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.host.size() + 1);
    return out;
  }
  auto& v4 = reinterpret_cast<sockaddr_in&>(out.storage);
  if (inet_pton(AF_INET, address.host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(address.port);
    out.length = sizeof v4;
    return out;
  }
  auto& v6 = reinterpret_cast<sockaddr_in6&>(out.storage);
  if (inet_pton(AF_INET6, address.host.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(address.port);
    out.length = sizeof v6;
    return out;
  }
  return std::nullopt;
}

kj::Array<SocketAddress> copy_all(const addrinfo* found) {
  kj::Vector<SocketAddress> result;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    SocketAddress& to = result.add();
    std::memcpy(&to.storage, one->ai_addr, one->ai_addrlen);
    to.length = one->ai_addrlen;
  }
  return result.releaseAsArray();
}

// A look-up on libuv's thread pool. It can't always be called off: the request lives until its
// callback, and the adapter may be gone by then.
class Lookup {
 public:
  using Result = kj::Array<SocketAddress>;

  Lookup(kj::PromiseFulfiller<Result>& fulfiller, UvEventPort& port, const Address& address)
      : request_(new Request{{}, this, address.text(), &fulfiller}) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV;
    request_->uv.data = request_;
    const int error = uv_getaddrinfo(&port.uv(), &request_->uv, &Lookup::done, address.host.c_str(),
                                     std::to_string(address.port).c_str(), &hints);
    if (error == 0) return;
    delete std::exchange(request_, nullptr);
    fulfiller.reject(KJ_EXCEPTION(FAILED, "can't look up a name", uv_strerror(error)));
  }
  ~Lookup() {
    if (request_ == nullptr) return;
    request_->owner = nullptr;
    uv_cancel(reinterpret_cast<uv_req_t*>(&request_->uv));
  }
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;

 private:
  struct Request {
    uv_getaddrinfo_t uv;
    Lookup* owner;
    std::string name;
    kj::PromiseFulfiller<Result>* fulfiller;
  };

  static void done(uv_getaddrinfo_t* uv, int status, addrinfo* found) {
    std::unique_ptr<Request> request(static_cast<Request*>(uv->data));
    std::unique_ptr<addrinfo, void (*)(addrinfo*)> owned(found, uv_freeaddrinfo);
    if (request->owner == nullptr) return;
    request->owner->request_ = nullptr;
    Result result = copy_all(found);
    if (result.size() > 0) {
      request->fulfiller->fulfill(kj::mv(result));
      return;
    }
    const char* why = status < 0 ? uv_strerror(status) : "no address";
    request->fulfiller->reject(kj::Exception(kj::Exception::Type::DISCONNECTED, __FILE__, __LINE__,
                                             kj::str(request->name, ": ", why)));
  }

  Request* request_;  // null once it is done
};

}  // namespace

std::string Address::text() const {
  if (kind == Kind::kUnix) return std::string(kUnixPrefix) + host;
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::optional<Address> parse_address(std::string_view text, std::string& why,
                                     uint16_t default_port) {
  const auto refuse = [&](std::string_view reason) {
    why = "\"" + std::string(text) + "\" is not an address: " + std::string(reason);
    return std::nullopt;
  };
  if (text.substr(0, kUnixPrefix.size()) == kUnixPrefix) {
    const auto path = text.substr(kUnixPrefix.size());
    if (path.empty() || path.find('\0') != path.npos) return refuse("the path is missing");
    if (path.size() >= sizeof sockaddr_un::sun_path) return refuse("the path is too long");
    return Address{Address::Kind::kUnix, std::string(path), 0};
  }
  constexpr std::string_view kShape = "it should be HOST:PORT, [IPV6]:PORT or unix:PATH";
  std::string_view host = text;
  std::string_view rest;  // ":PORT", or empty
  if (!text.empty() && text.front() == '[') {
    const auto close = text.find(']');
    if (close == text.npos) return refuse(kShape);
    host = text.substr(1, close - 1);
    rest = text.substr(close + 1);
  } else if (const auto colon = text.rfind(':'); colon != text.npos) {
    if (text.find(':') != colon) return refuse("an IPv6 address goes in brackets");
    host = text.substr(0, colon);
    rest = text.substr(colon);
  }
  constexpr size_t kLongestHost = 255;  // a DNS name's
  if (host.empty() || host.size() > kLongestHost) return refuse(kShape);
  for (const char c : host) {
    if (c <= ' ' || c == '/' || c == '\x7f') return refuse(kShape);
  }
  uint16_t port = default_port;
  if (!rest.empty()) {
    const auto parsed = rest.front() == ':' ? parse_port(rest.substr(1)) : std::nullopt;
    if (!parsed) return refuse("the port is a number from 0 to 65535");
    port = *parsed;
  } else if (default_port == 0) {
    return refuse("the port is missing");
  }
  return Address{Address::Kind::kTcp, std::string(host), port};
}

std::string SocketAddress::text() const {
  if (family() == AF_UNIX) {
    return std::string(kUnixPrefix) + reinterpret_cast<const sockaddr_un&>(storage).sun_path;
  }
  char host[INET6_ADDRSTRLEN] = "?";
  uint16_t port = 0;
  if (family() == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
    inet_ntop(AF_INET, &v4.sin_addr, host, sizeof host);
    port = ntohs(v4.sin_port);
  } else if (family() == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
    inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof host);
    port = ntohs(v6.sin6_port);
  }
  return Address{Address::Kind::kTcp, host, port}.text();
}

kj::Promise<kj::Array<SocketAddress>> resolve(UvEventPort& port, const Address& address) {
  if (auto known = numeric(address)) return kj::arr(*known);
  return kj::newAdaptedPromise<kj::Array<SocketAddress>, Lookup>(port, address);
}

kj::Array<SocketAddress> resolve_now(const Address& address) {
  if (auto known = numeric(address)) return kj::arr(*known);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | AI_PASSIVE;
  addrinfo* found = nullptr;
  const int error =
      ::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  std::unique_ptr<addrinfo, void (*)(addrinfo*)> owned(found, ::freeaddrinfo);
  KJ_REQUIRE(error == 0, "can't look up a name", address.host, gai_strerror(error));
  return copy_all(found);
}

}  // namespace holdfast::rpc
