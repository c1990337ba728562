// A snapshot on its way: the bytes of a state.db as it was after one slot, part by part. Plain data
// that store/ reads and writes and paxos/ carries.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "lockcore/base/ids.h"

namespace holdfast::base {

// Names one snapshot among all that any process ever gives out; 0: none.
using SnapshotId = uint64_t;

struct SnapshotPart {
  SnapshotId id = 0;  // 0: that snapshot isn't to be had (any more)
  Slot slot;          // the state is that after this slot
  uint64_t total_bytes = 0;
  uint64_t offset = 0;
  std::shared_ptr<const std::string> bytes;  // never null in a part with an id
  uint64_t checksum = 0;                     // checksum_of() all of the above

  uint64_t end() const { return offset + bytes->size(); }
  bool is_last() const { return end() == total_bytes; }
};

uint64_t checksum_of(const SnapshotPart& part);

}  // namespace holdfast::base
