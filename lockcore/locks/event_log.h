// The newest events, in memory: those that state.db has yet to take, and some more, so that whoever
// watches doesn't need the disk.
//
// Every event above floor() is here; those at or below it are in state.db. The rows that are being
// recorded are shared with the writer, not copied: nobody changes them any more.
#pragma once

#include <algorithm>
#include <deque>
#include <memory>
#include <utility>

#include "lockcore/base/limits.h"
#include "lockcore/base/state_rows.h"
#include "lockcore/locks/digest.h"

namespace holdfast::locks {

class EventLog {
 public:
  // Everything through `recorded` is in state.db.
  explicit EventLog(base::Revision recorded = {}) : floor_(recorded) {}

  // A new event, to be filled in before complete().
  base::EventRow& add() { return fresh_.emplace_back(); }

  // The events of a slot are complete. Returns the digest, chained over them.
  uint64_t complete(uint64_t digest) {
    for (; completed_ < fresh_.size(); ++completed_) {
      digest = chain_event(digest, fresh_[completed_]);
      fresh_bytes_ += bytes_of(fresh_[completed_]);
    }
    return digest;
  }

  unsigned unrecorded_percent() const {
    return static_cast<unsigned>(std::max(fresh_.size() * 100 / base::kMaxUnrecordedEvents,
                                          fresh_bytes_ * 100 / base::kMaxUnrecordedEventBytes));
  }
  base::Revision floor() const { return floor_; }

  // What came since the last call, to be recorded. Everything that earlier calls returned is in
  // state.db by now: one write at a time is under way.
  std::shared_ptr<const base::EventRows> take() {
    if (fresh_.empty()) return nullptr;
    while (!taken_.empty() && (taken_count_ + fresh_.size() > base::kEventRing ||
                               taken_bytes_ + fresh_bytes_ > base::kEventRingBytes)) {
      drop_oldest();
    }
    auto rows = std::make_shared<const base::EventRows>(std::exchange(fresh_, {}));
    taken_count_ += rows->size();
    taken_bytes_ += fresh_bytes_;
    taken_.push_back({rows, fresh_bytes_});
    fresh_bytes_ = 0;
    completed_ = 0;
    return rows;
  }

  // Calls visit(event) for each above `after`, ascending, while it returns true. `after` must not
  // be below floor().
  template <class Visit>
  void visit_above(base::Revision after, Visit visit) const {
    auto chunk = std::partition_point(taken_.begin(), taken_.end(), [after](const Chunk& each) {
      return each.rows->back().revision <= after;
    });
    for (; chunk != taken_.end(); ++chunk) {
      if (!visit_rows(*chunk->rows, after, visit)) return;
    }
    visit_rows(fresh_, after, visit);
  }

 private:
  struct Chunk {
    std::shared_ptr<const base::EventRows> rows;  // never empty
    size_t bytes = 0;
  };

  static size_t bytes_of(const base::EventRow& event) {
    return event.name.size() + event.note.size() + event.value.size();
  }

  void drop_oldest() {
    const Chunk& oldest = taken_.front();
    floor_ = oldest.rows->back().revision;
    taken_count_ -= oldest.rows->size();
    taken_bytes_ -= oldest.bytes;
    taken_.pop_front();
  }

  template <class Visit>
  static bool visit_rows(const base::EventRows& rows, base::Revision after, Visit& visit) {
    auto row = std::partition_point(rows.begin(), rows.end(), [after](const base::EventRow& event) {
      return event.revision <= after;
    });
    for (; row != rows.end(); ++row) {
      if (!visit(*row)) return false;
    }
    return true;
  }

  base::Revision floor_;
  std::deque<Chunk> taken_;  // ascending
  size_t taken_count_ = 0;   // of events in it
  size_t taken_bytes_ = 0;
  base::EventRows fresh_;  // since the last take()
  size_t fresh_bytes_ = 0;
  size_t completed_ = 0;  // of the fresh ones
};

}  // namespace holdfast::locks
