// The checksum of one database row: over the table's name and every column, in order.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lockcore/base/checksum.h"

namespace holdfast::store {

// Add the columns in order, take the sum, start over. Texts carry their length, so that bytes can't
// move from one column to the next unnoticed.
class RowSum {
 public:
  explicit RowSum(std::string_view table) : seed_(base::checksum(table)) {}

  void add(uint64_t value) { bytes_.append(reinterpret_cast<const char*>(&value), sizeof value); }
  void add(std::string_view text) {
    add(uint64_t{text.size()});
    bytes_.append(text);
  }
  uint64_t take() {
    const uint64_t sum = base::checksum(bytes_, seed_);
    bytes_.clear();
    return sum;
  }

 private:
  const uint64_t seed_;
  std::string bytes_;  // kept between rows: no allocation per row
};

}  // namespace holdfast::store
