// How much of the log lies where, in pieces, so that what is trimmed can be chosen without reading
// it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "lockcore/base/log_row.h"

namespace holdfast::paxos {

class LogSizes {
 public:
  LogSizes(std::vector<base::LogPiece> found, uint64_t piece_slots);

  // The next slot's row. Slots come in order.
  void add(base::Slot slot, uint64_t bytes);
  // The rows below `first` are gone.
  void forget_below(base::Slot first);
  void clear();

  uint64_t slots() const { return slots_; }
  uint64_t bytes() const { return bytes_; }
  // Where to begin so that at most so much is left; always the first slot of a piece, and never in
  // the last one, which still grows. 0: at the very beginning.
  base::Slot first_within(uint64_t max_slots, uint64_t max_bytes) const;
  // The first slot behind the oldest whole pieces that lie below `first`, at most so many of them.
  // 0: there are none.
  base::Slot first_behind(base::Slot first, size_t pieces) const;

 private:
  std::deque<base::LogPiece> pieces_;
  const uint64_t piece_slots_;
  uint64_t slots_ = 0;  // of all pieces
  uint64_t bytes_ = 0;
};

}  // namespace holdfast::paxos
