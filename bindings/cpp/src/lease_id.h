// Lease ids as people and scripts write them: lower-case hexadecimal.
#pragma once

#include <charconv>
#include <optional>
#include <string>
#include <string_view>

#include "lockcore/base/ids.h"
#include "lockcore/base/lease_text.h"

namespace holdfast::client {

using base::lease_text;

inline std::optional<base::LeaseId> parse_lease(std::string_view text) {
  base::LeaseId lease;
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

}  // namespace holdfast::client
