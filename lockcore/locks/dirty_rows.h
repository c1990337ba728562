// Which rows changed since they were last taken for state.db, so that a row that came and went in
// between costs nothing (DESIGN 8).
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "lockcore/base/assert.h"

namespace holdfast::locks {

struct RowMark {
  static constexpr uint32_t kClean = (1u << 31) - 1;
  uint32_t position : 31 = kClean;  // in DirtyRows::rows_
  uint32_t recorded : 1 = 0;        // was taken once: its end must reach the disk
};

// Where a row keeps its mark; overloaded for rows that are a map's entries.
template <class Row>
RowMark& mark_of(Row& row) {
  return row.mark;
}
template <class Key, class Row>
RowMark& mark_of(std::pair<const Key, Row>& entry) {
  return entry.second.mark;
}

template <class Row>
class DirtyRows {
 public:
  void add(Row& row) {
    RowMark& mark = mark_of(row);
    if (mark.position != RowMark::kClean) return;
    HF_ASSERT(rows_.size() < RowMark::kClean);
    mark.position = static_cast<uint32_t>(rows_.size()) & RowMark::kClean;
    rows_.push_back(&row);
  }
  // The row is about to go.
  void forget(Row& row) {
    const uint32_t position = mark_of(row).position;
    if (position == RowMark::kClean) return;
    HF_ASSERT(rows_[position] == &row);
    rows_[position] = rows_.back();
    mark_of(*rows_[position]).position = position & RowMark::kClean;
    rows_.pop_back();
    mark_of(row).position = RowMark::kClean;
  }
  // Calls visit(row) for every changed row; none is changed or unrecorded any more.
  template <class Visit>
  void take(Visit visit) {
    for (Row* row : rows_) {
      mark_of(*row) = {RowMark::kClean, true};
      visit(*row);
    }
    rows_.clear();
  }
  bool empty() const { return rows_.empty(); }

 private:
  std::vector<Row*> rows_;
};

}  // namespace holdfast::locks
