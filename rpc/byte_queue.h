// A queue of bytes that lie in one piece: what was read ahead, or what waits to be written.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace holdfast::rpc {

// Holds no memory to speak of while it is empty: a process has tens of thousands of them.
class ByteQueue {
 public:
  ByteQueue() = default;
  ~ByteQueue() { std::free(data_); }
  ByteQueue(const ByteQueue&) = delete;
  ByteQueue& operator=(const ByteQueue&) = delete;

  size_t size() const { return end_ - begin_; }
  bool empty() const { return begin_ == end_; }
  const unsigned char* data() const { return data_ + begin_; }

  void append(const void* bytes, size_t count) {
    if (count == 0) return;
    std::memcpy(prepare(count), bytes, count);
    commit(count);
  }
  // Room for `count` more bytes; commit() says how many of them were filled.
  unsigned char* prepare(size_t count);
  void commit(size_t count) { end_ += count; }
  void consume(size_t count);
  void clear() { consume(size()); }

 private:
  static constexpr size_t kSmallest = 512;
  static constexpr size_t kKeptWhenEmpty = 4096;

  unsigned char* data_ = nullptr;
  size_t begin_ = 0;  // begin_ <= end_ <= capacity_
  size_t end_ = 0;
  size_t capacity_ = 0;
};

}  // namespace holdfast::rpc
