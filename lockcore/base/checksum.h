// Checksums of log rows, state rows and digests: XXH3, 64 bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace holdfast::base {

uint64_t checksum(const void* data, size_t size, uint64_t seed = 0);
inline uint64_t checksum(std::string_view bytes, uint64_t seed = 0) {
  return checksum(bytes.data(), bytes.size(), seed);
}

}  // namespace holdfast::base
