// TimerHeap: the instants at which numbered things want attention, the earliest first.
//
// A binary heap that knows where each item is, so that an item's instant can be moved or dropped in
// O(log n) without garbage left behind: a renewal moves two instants, and there may be 100 000
// leases.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "lockcore/base/time.h"

namespace holdfast::client {

class TimerHeap {
 public:
  // kNever: the same as drop().
  void set(uint32_t item, base::Instant at) {
    if (at == base::kNever) return drop(item);
    if (item >= place_.size()) place_.resize(item + 1, kNowhere);
    size_t place = place_[item];
    if (place == kNowhere) {
      place = heap_.size();
      heap_.push_back({at, item});
      place_[item] = static_cast<uint32_t>(place);
    } else {
      heap_[place].first = at;
    }
    sift_down(sift_up(place));
  }

  void drop(uint32_t item) {
    if (item >= place_.size() || place_[item] == kNowhere) return;
    size_t place = place_[item];
    place_[item] = kNowhere;
    Entry last = heap_.back();
    heap_.pop_back();
    if (place == heap_.size()) return;
    put(place, last);
    sift_down(sift_up(place));
  }

  bool empty() const { return heap_.empty(); }
  base::Instant next() const { return heap_.empty() ? base::kNever : heap_.front().first; }
  uint32_t first() const { return heap_.front().second; }  // not empty

 private:
  using Entry = std::pair<base::Instant, uint32_t>;
  static constexpr uint32_t kNowhere = ~uint32_t{0};

  void put(size_t place, Entry entry) {
    heap_[place] = entry;
    place_[entry.second] = static_cast<uint32_t>(place);
  }
  size_t sift_up(size_t place) {
    Entry entry = heap_[place];
    while (place > 0 && entry < heap_[(place - 1) / 2]) {
      put(place, heap_[(place - 1) / 2]);
      place = (place - 1) / 2;
    }
    put(place, entry);
    return place;
  }
  void sift_down(size_t place) {
    Entry entry = heap_[place];
    while (true) {
      size_t child = 2 * place + 1;
      if (child >= heap_.size()) break;
      if (child + 1 < heap_.size() && heap_[child + 1] < heap_[child]) ++child;
      if (entry <= heap_[child]) break;
      put(place, heap_[child]);
      place = child;
    }
    put(place, entry);
  }

  std::vector<Entry> heap_;
  std::vector<uint32_t> place_;  // by item: its index in heap_, or kNowhere
};

}  // namespace holdfast::client
