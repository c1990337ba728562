// Where a node listens or is reached: HOST:PORT, or unix:PATH.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::daemon {

struct Address {
  std::string host;  // a name, an IPv4 address, or an IPv6 address without its brackets
  uint16_t port = 0;
  std::string unix_path;  // set: a unix socket, and host and port are not

  bool is_unix() const { return !unix_path.empty(); }
  // 0.0.0.0 and ::, on which one can listen but which nobody can dial.
  bool is_wildcard() const;
  std::string text() const;  // in the form that it is parsed from

  bool operator==(const Address&) const = default;
};

// nullopt: `why` says what is wrong and what would be right.
std::optional<Address> parse_tcp_address(std::string_view text, std::string& why);
std::optional<Address> parse_listen_address(std::string_view text, std::string& why);

}  // namespace holdfast::daemon
