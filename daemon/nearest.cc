#include "daemon/nearest.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace holdfast::daemon {
namespace {

// Wagner and Fischer, with one row of the table.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row.back();
}

}  // namespace

std::string_view nearest(std::string_view mistyped, std::span<const std::string_view> words) {
  return *std::ranges::min_element(
      words, {}, [&](std::string_view word) { return edit_distance(mistyped, word); });
}

}  // namespace holdfast::daemon
