// Lease ids and secrets as people and scripts write them: lower-case hexadecimal.
#pragma once

#include <charconv>
#include <optional>
#include <string>
#include <string_view>

#include "lockcore/base/ids.h"

namespace holdfast::base {

inline std::string lease_text(LeaseId lease) {
  char buffer[16];
  auto end = std::to_chars(buffer, buffer + sizeof buffer, lease.value, 16).ptr;
  return {buffer, end};
}

inline std::optional<LeaseId> parse_lease(std::string_view text) {
  LeaseId lease;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), lease.value, 16);
  if (error != std::errc{} || end != text.data() + text.size() || !lease) return std::nullopt;
  return lease;
}

inline std::string hex_text(std::string_view bytes) {
  std::string text;
  text.reserve(2 * bytes.size());
  for (unsigned char byte : bytes) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

inline std::optional<std::string> parse_hex(std::string_view text) {
  std::string bytes;
  for (size_t at = 0; at + 1 < text.size(); at += 2) {
    unsigned byte = 0;
    auto [end, error] = std::from_chars(text.data() + at, text.data() + at + 2, byte, 16);
    if (error != std::errc{} || end != text.data() + at + 2) return std::nullopt;
    bytes += static_cast<char>(byte);
  }
  if (text.size() % 2 != 0) return std::nullopt;
  return bytes;
}

}  // namespace holdfast::base
