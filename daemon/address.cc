#include "daemon/address.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace holdfast::daemon {
namespace {

constexpr size_t kMaxHostBytes = 253;  // of a DNS name
constexpr size_t kMaxUnixPathBytes = sizeof(sockaddr_un::sun_path) - 1;

bool is_host_name(std::string_view host) {
  return !host.empty() && host.size() <= kMaxHostBytes && host.front() != '-' &&
         std::ranges::all_of(host, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '-' || c == '_';
         });
}

bool is_ipv6(const std::string& host) {
  in6_addr ignored;
  return inet_pton(AF_INET6, host.c_str(), &ignored) == 1;
}

}  // namespace

bool Address::is_wildcard() const {
  return host == "0.0.0.0" || host == "::";
}

std::string Address::text() const {
  if (is_unix()) return "unix:" + unix_path;
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

std::optional<Address> parse_tcp_address(std::string_view text, std::string& why) {
  size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    why = fmt::format("'{}' has no port: write HOST:PORT, such as 127.0.0.1:7420", text);
    return std::nullopt;
  }
  Address address;
  std::string_view port = text.substr(colon + 1);
  auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (error != std::errc() || end != port.data() + port.size() || address.port == 0) {
    why = fmt::format("'{}' is not a port in '{}': a number from 1 to 65535 is", port, text);
    return std::nullopt;
  }
  std::string_view host = text.substr(0, colon);
  bool brackets = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  address.host = brackets ? host.substr(1, host.size() - 2) : host;
  if (brackets ? !is_ipv6(address.host) : !is_host_name(address.host)) {
    why = fmt::format(
        "'{}' is not a host in '{}': a name, an IPv4 address or an IPv6 address in brackets is",
        host, text);
    return std::nullopt;
  }
  return address;
}

std::optional<Address> parse_listen_address(std::string_view text, std::string& why) {
  if (!text.starts_with("unix:")) return parse_tcp_address(text, why);
  Address address;
  address.unix_path = text.substr(5);
  if (address.unix_path.empty() || address.unix_path.find('\0') != std::string::npos) {
    why = fmt::format("'{}' has no path: write unix:/run/holdfast/holdfast.sock", text);
    return std::nullopt;
  }
  if (address.unix_path.size() > kMaxUnixPathBytes) {
    why = fmt::format("the path of a unix socket has at most {} bytes, '{}' has {}",
                      kMaxUnixPathBytes, address.unix_path, address.unix_path.size());
    return std::nullopt;
  }
  return address;
}

}  // namespace holdfast::daemon
