// "Did you mean": the known word that is nearest to a mistyped one.
#pragma once

#include <span>
#include <string_view>

namespace holdfast::daemon {

// The word at the least edit distance (Levenshtein); the first of equals. `words` is not empty.
std::string_view nearest(std::string_view mistyped, std::span<const std::string_view> words);

}  // namespace holdfast::daemon
