// Which lock modes conflict: the six classic modes of the VMS lock manager, in one table.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "lockcore/base/state_rows.h"

namespace holdfast::locks {

constexpr size_t kModeCount = 6;

// A set of modes, one bit each.
using ModeSet = uint8_t;

constexpr ModeSet set_of(base::Mode mode) {
  return static_cast<ModeSet>(1u << static_cast<unsigned>(mode));
}

namespace mode_table {
constexpr ModeSet kCR = set_of(base::Mode::kConcurrentRead);
constexpr ModeSet kCW = set_of(base::Mode::kConcurrentWrite);
constexpr ModeSet kPR = set_of(base::Mode::kShared);
constexpr ModeSet kPW = set_of(base::Mode::kProtectedWrite);
constexpr ModeSet kEX = set_of(base::Mode::kExclusive);
constexpr std::array<ModeSet, kModeCount> kConflicts = {
    0,                           // null
    kEX,                         // concurrent read
    kPR | kPW | kEX,             // concurrent write
    kCW | kPW | kEX,             // protected read: shared
    kCW | kPR | kPW | kEX,       // protected write
    kCR | kCW | kPR | kPW | kEX  // exclusive
};
}  // namespace mode_table

// The modes that conflict with `mode`.
constexpr ModeSet conflicts_of(base::Mode mode) {
  return mode_table::kConflicts[static_cast<size_t>(mode)];
}
constexpr ModeSet kAllModes = (1u << kModeCount) - 1;
// Every mode that conflicts with anything: a queue behind all of these stands still.
constexpr ModeSet kAllConflicting = conflicts_of(base::Mode::kExclusive);

constexpr bool mode_table_is_symmetric() {
  for (size_t a = 0; a < kModeCount; ++a) {
    for (size_t b = 0; b < kModeCount; ++b) {
      if (((mode_table::kConflicts[a] >> b) & 1) != ((mode_table::kConflicts[b] >> a) & 1)) {
        return false;
      }
    }
  }
  return true;
}
static_assert(mode_table_is_symmetric());

// How many holders or waiters there are of each mode.
class ModeCounts {
 public:
  void add(base::Mode mode) { ++counts_[static_cast<size_t>(mode)]; }
  void remove(base::Mode mode) { --counts_[static_cast<size_t>(mode)]; }
  uint32_t of(base::Mode mode) const { return counts_[static_cast<size_t>(mode)]; }
  uint32_t total() const {
    uint32_t sum = 0;
    for (uint32_t count : counts_) sum += count;
    return sum;
  }
  // Every mode that conflicts with one of those counted.
  ModeSet conflicts() const {
    ModeSet all = 0;
    for (size_t i = 0; i < kModeCount; ++i) {
      if (counts_[i] != 0) all |= mode_table::kConflicts[i];
    }
    return all;
  }
  // The strongest of those counted; kNull when there is none.
  base::Mode strongest() const {
    for (size_t i = kModeCount; i-- > 0;) {
      if (counts_[i] != 0) return static_cast<base::Mode>(i);
    }
    return base::Mode::kNull;
  }

 private:
  std::array<uint32_t, kModeCount> counts_{};
};

}  // namespace holdfast::locks
