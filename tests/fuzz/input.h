// Input: the fuzzer's bytes, read as numbers, choices and texts. Where they end, zeros follow, so
// that every input means something and a mutation changes only what it touches. A call never has
// two of them in its arguments, whose order is the compiler's to choose; in braces it is as
// written.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast::fuzz {

class Input {
 public:
  Input(const uint8_t* data, size_t size) : at_(data), end_(data + size) {}

  bool empty() const { return at_ == end_; }
  uint8_t byte() { return empty() ? uint8_t{0} : *at_++; }
  bool flag() { return (byte() & 1) != 0; }
  // In [0, bound); bound from 1 to 256.
  uint64_t below(uint64_t bound) { return byte() % bound; }

  // Mostly small; now and then large, or at a limit of its type.
  uint64_t number() {
    const uint8_t first = byte();
    if (first < 240) return first;
    uint64_t value = 0;
    const size_t bytes = first < 248 ? 2 : 8;
    for (size_t i = 0; i < bytes; ++i) value = value << 8 | byte();
    return first % 8 == 7 ? ~value : value;
  }
  // A number near `value`, or any.
  uint64_t near(uint64_t value) {
    const uint8_t first = byte();
    if (first < 248) return value + first % 8 - 3;
    return number();
  }

  // At most `limit` bytes, which is at most 255.
  std::string_view bytes(size_t limit) {
    const uint64_t wanted = below(limit + 1);  // first: it moves on
    const size_t size = std::min<size_t>(wanted, static_cast<size_t>(end_ - at_));
    const std::string_view taken(reinterpret_cast<const char*>(at_), size);
    at_ += size;
    return taken;
  }
  std::string text(size_t limit) { return std::string(bytes(limit)); }
  std::string_view rest() {
    const std::string_view taken(reinterpret_cast<const char*>(at_),
                                 static_cast<size_t>(end_ - at_));
    at_ = end_;
    return taken;
  }

 private:
  const uint8_t* at_;
  const uint8_t* const end_;
};

}  // namespace holdfast::fuzz
