#include "lockcore/base/checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace holdfast::base {

uint64_t checksum(const void* data, size_t size, uint64_t seed) {
  return XXH3_64bits_withSeed(data, size, seed);
}

}  // namespace holdfast::base
