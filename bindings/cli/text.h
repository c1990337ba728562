// Text that people type and read: durations, ages, untrusted strings, nearest words.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::cli {

// "500ms", "10s", "2m", "1h", "1.5s"; a bare number is seconds. nullopt: anything else, negative
// durations and those above a year included.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

// "350ms", "12s", "4m10s", "2h03m", "5d04h".
std::string format_duration(std::chrono::milliseconds duration);

// How long ago a wall time was; "-" when unknown. Clocks of two machines differ: never negative.
std::string format_age(int64_t unix_ms);

// What came from elsewhere, fit for a terminal: control characters become '?'.
std::string printable(std::string_view text);

// Columns that a UTF-8 text takes on a terminal.
size_t display_width(std::string_view text);

// The candidate that is most likely meant, if any is near.
std::optional<std::string> nearest(std::string_view word,
                                   const std::vector<std::string>& candidates);

}  // namespace holdfast::cli
