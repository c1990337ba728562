#include "lockcore/paxos/log_window.h"

#include <algorithm>
#include <utility>

#include "lockcore/base/assert.h"
#include "lockcore/base/mutant.h"

namespace holdfast::paxos {

Row* LogWindow::find(base::Slot slot) {
  return const_cast<Row*>(static_cast<const LogWindow*>(this)->find(slot));
}

const Row* LogWindow::find(base::Slot slot) const {
  if (slot < first_ || slot.value - first_.value >= rows_.size()) return nullptr;
  const Row& row = rows_[slot.value - first_.value];
  return row.present() ? &row : nullptr;
}

void LogWindow::put(base::Entry entry, base::WriteId write) {
  HF_ASSERT(entry.slot >= first_);
  HF_ASSERT(entry.value != nullptr);
  const size_t index = entry.slot.value - first_.value;
  if (index >= rows_.size()) rows_.resize(index + 1);
  Row& row = rows_[index];
  // A cached row is chosen: its value, and so its size in cached_bytes_, stays as it is.
  HF_ASSERT(entry.slot > cached_upto_ || row.entry.bytes() == entry.bytes());
  row.entry = std::move(entry);
  row.write = write;
  if (!HF_MUTANT(votes_of_older_ballot)) row.votes.clear();
}

void LogWindow::cache_through(base::Slot upto, size_t max_bytes) {
  while (cached_upto_ < upto) {
    const Row* row = find(cached_upto_.next());
    HF_ASSERT(row != nullptr);
    HF_ASSERT(row->chosen);
    cached_bytes_ += row->entry.bytes();
    cached_upto_ = cached_upto_.next();
  }
  while (cached_bytes_ > max_bytes && first_ <= cached_upto_) {
    cached_bytes_ -= rows_.front().entry.bytes();
    rows_.pop_front();
    first_ = first_.next();
  }
}

void LogWindow::drop_through(base::Slot upto) {
  while (first_ <= upto && !rows_.empty()) {
    if (first_ <= cached_upto_) cached_bytes_ -= rows_.front().entry.bytes();
    rows_.pop_front();
    first_ = first_.next();
  }
  first_ = std::max(first_, upto.next());
  cached_upto_ = std::max(cached_upto_, upto);
  // The last row is always present: gaps at the end are none.
  HF_ASSERT(rows_.empty() || rows_.back().present());
}

}  // namespace holdfast::paxos
