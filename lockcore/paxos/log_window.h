// The part of the log that is in memory: all rows above the applied slot, and a bounded number of
// bytes of applied ones below it, kept for nodes that lag a little.
//
// Rows stand in a deque indexed by slot: every access is O(1). Slots below first() are only in
// log.db. Slots above may be missing (gaps), up to last().
#pragma once

#include <cstddef>
#include <deque>

#include "lockcore/base/log_row.h"
#include "lockcore/paxos/quorum.h"

namespace holdfast::paxos {

struct Row {
  base::Entry entry;    // entry.value is null: nothing is accepted at this slot
  base::WriteId write;  // the write that makes it durable; 0: it was found in log.db at start
  VoterSet votes;       // leader only: who accepted it in entry.ballot
  bool chosen = false;  // known chosen: the value never changes again

  bool present() const { return entry.value != nullptr; }
};

class LogWindow {
 public:
  explicit LogWindow(base::Slot first) : first_(first), cached_upto_{first.value - 1} {}

  base::Slot first() const { return first_; }
  base::Slot last() const { return base::Slot{first_.value + rows_.size() - 1}; }

  // nullptr: below first(), above last(), or a gap. Valid until the next put() or cache_through().
  Row* find(base::Slot slot);
  const Row* find(base::Slot slot) const;

  // Sets the row of this slot, at or above first(). A chosen row stays chosen; votes start anew.
  void put(base::Entry entry, base::WriteId write);

  // Rows through `upto` (all present) became a mere cache: those that don't fit into `max_bytes`
  // are dropped, oldest first.
  void cache_through(base::Slot upto, size_t max_bytes);
  // A snapshot took the place of everything through `upto`: the rows there go, others stay.
  void drop_through(base::Slot upto);
  base::Slot cached_upto() const { return cached_upto_; }
  size_t cached_bytes() const { return cached_bytes_; }

 private:
  base::Slot first_;
  std::deque<Row> rows_;    // rows_[i] is slot first_ + i; the last one is present
  base::Slot cached_upto_;  // rows through here are counted in cached_bytes_
  size_t cached_bytes_ = 0;
};

}  // namespace holdfast::paxos
