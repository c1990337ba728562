#include "rpc/byte_queue.h"

#include <algorithm>
#include <new>

namespace holdfast::rpc {

unsigned char* ByteQueue::prepare(size_t count) {
  if (capacity_ - end_ >= count) return data_ + end_;
  const size_t held = size();
  // Moving is worth it only when much was consumed: otherwise a queue that is drained in small
  // steps and filled in small steps would be moved at each of them.
  if (begin_ >= held && capacity_ - held >= count) {
    std::memmove(data_, data_ + begin_, held);
  } else {
    const size_t capacity = std::max({kSmallest, held + count, held * 2});
    auto* grown = static_cast<unsigned char*>(std::malloc(capacity));
    if (grown == nullptr) throw std::bad_alloc();
    if (held > 0) std::memcpy(grown, data_ + begin_, held);
    std::free(data_);
    data_ = grown;
    capacity_ = capacity;
  }
  begin_ = 0;
  end_ = held;
  return data_ + end_;
}

void ByteQueue::consume(size_t count) {
  begin_ += count;
  if (begin_ != end_) return;
  begin_ = end_ = 0;
  if (capacity_ > kKeptWhenEmpty) {
    std::free(data_);
    data_ = nullptr;
    capacity_ = 0;
  }
}

}  // namespace holdfast::rpc
