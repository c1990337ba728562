#include "lockcore/store/row_codec.h"

namespace holdfast::store {

std::string format_ranges(const std::vector<std::pair<uint64_t, uint64_t>>& ranges) {
  std::string text;
  for (const auto& [low, high] : ranges) {
    if (!text.empty()) text += ' ';
    text += std::to_string(low) + '-' + std::to_string(high);
  }
  return text;
}

bool parse_ranges(std::string_view text, std::vector<std::pair<uint64_t, uint64_t>>& ranges) {
  ranges.clear();
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    std::pair<uint64_t, uint64_t> range;
    const auto low = std::from_chars(at, end, range.first);
    if (low.ec != std::errc{} || low.ptr == end || *low.ptr != '-') return false;
    const auto high = std::from_chars(low.ptr + 1, end, range.second);
    if (high.ec != std::errc{} || (high.ptr != end && *high.ptr != ' ')) return false;
    ranges.push_back(range);
    at = high.ptr == end ? end : high.ptr + 1;
  }
  return true;
}

std::shared_ptr<const base::Owner> OwnerPool::intern(const base::Owner& owner) {
  // A non-owning pointer is enough to look it up.
  const std::shared_ptr<const base::Owner> key(std::shared_ptr<void>{}, &owner);
  const auto found = owners_.find(key);
  if (found != owners_.end()) return *found;
  return *owners_.insert(std::make_shared<const base::Owner>(owner)).first;
}

}  // namespace holdfast::store
