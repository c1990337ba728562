#include "lockcore/base/snapshot.h"

#include "lockcore/base/checksum.h"

namespace holdfast::base {

uint64_t checksum_of(const SnapshotPart& part) {
  const uint64_t head[] = {part.id, part.slot.value, part.total_bytes, part.offset,
                           part.bytes->size()};
  return checksum(*part.bytes, checksum(head, sizeof head));
}

}  // namespace holdfast::base
