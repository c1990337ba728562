#include "lockcore/base/log_row.h"

#include "lockcore/base/checksum.h"

namespace holdfast::base {

uint64_t entry_checksum(const Entry& entry) {
  const uint64_t head[] = {entry.slot.value, entry.ballot.round, entry.ballot.node.value,
                           static_cast<uint64_t>(entry.kind), entry.value->size()};
  return checksum(*entry.value, checksum(head, sizeof head));
}

}  // namespace holdfast::base
