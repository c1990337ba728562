// Pool: objects that keep their place, and are reused with whatever memory they own.
//
// A slot that was given back stays untouched until recycle(): effects of the same event may still
// point at it.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "lockcore/base/assert.h"

namespace holdfast::client {

// T has `uint32_t slot`, `bool used`, and reset(), which makes it as new but may keep capacity.
template <class T>
class Pool {
 public:
  T& take() {
    uint32_t slot;
    if (free_.empty()) {
      slot = static_cast<uint32_t>(items_.size());
      items_.emplace_back();
    } else {
      slot = free_.back();
      free_.pop_back();
    }
    T& item = items_[slot];
    item.reset();
    item.slot = slot;
    item.used = true;
    ++used_;
    return item;
  }
  void give_back(T& item) {
    HF_ASSERT(item.used);
    item.used = false;
    --used_;
    given_back_.push_back(item.slot);
  }
  // Nobody looks any more at what was given back.
  void recycle() {
    free_.insert(free_.end(), given_back_.begin(), given_back_.end());
    given_back_.clear();
  }

  T& at(uint32_t slot) { return items_[slot]; }
  T* find(uint32_t slot) {
    return slot < items_.size() && items_[slot].used ? &items_[slot] : nullptr;
  }
  uint32_t slots() const { return static_cast<uint32_t>(items_.size()); }
  size_t used() const { return used_; }

 private:
  std::deque<T> items_;  // a deque: growing doesn't move what is there
  std::vector<uint32_t> free_;
  std::vector<uint32_t> given_back_;
  size_t used_ = 0;
};

}  // namespace holdfast::client
