#include "lockcore/paxos/log_sizes.h"

#include <algorithm>

#include "lockcore/base/assert.h"
#include "lockcore/base/limits.h"

namespace holdfast::paxos {

LogSizes::LogSizes(std::vector<base::LogPiece> found, uint64_t piece_slots)
    : pieces_(found.begin(), found.end()), piece_slots_(piece_slots) {
  HF_ASSERT(piece_slots > 0);
  for (const base::LogPiece& piece : pieces_) {
    slots_ += piece.slots;
    bytes_ += piece.bytes;
  }
}

void LogSizes::add(base::Slot slot, uint64_t bytes) {
  HF_ASSERT(pieces_.empty() || pieces_.back().last < slot);
  const bool is_full = pieces_.empty() || pieces_.back().slots >= piece_slots_ ||
                       pieces_.back().bytes >= base::kLogPieceBytes;
  if (is_full) pieces_.emplace_back();
  base::LogPiece& piece = pieces_.back();
  piece.last = slot;
  ++piece.slots;
  piece.bytes += bytes;
  ++slots_;
  bytes_ += bytes;
}

void LogSizes::forget_below(base::Slot first) {
  while (!pieces_.empty() && pieces_.front().last < first) {
    slots_ -= pieces_.front().slots;
    bytes_ -= pieces_.front().bytes;
    pieces_.pop_front();
  }
}

void LogSizes::clear() {
  pieces_.clear();
  slots_ = bytes_ = 0;
}

base::Slot LogSizes::first_within(uint64_t max_slots, uint64_t max_bytes) const {
  base::Slot first;
  uint64_t slots = slots_;
  uint64_t bytes = bytes_;
  for (size_t i = 0; i + 1 < pieces_.size() && (slots > max_slots || bytes > max_bytes); ++i) {
    slots -= pieces_[i].slots;
    bytes -= pieces_[i].bytes;
    first = pieces_[i].last.next();
  }
  return first;
}

base::Slot LogSizes::first_behind(base::Slot first, size_t pieces) const {
  base::Slot behind;
  for (size_t i = 0; i < std::min(pieces, pieces_.size()) && pieces_[i].last < first; ++i) {
    behind = pieces_[i].last.next();
  }
  return behind;
}

}  // namespace holdfast::paxos
