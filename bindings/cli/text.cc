#include "bindings/cli/text.h"

#include <wchar.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <cwchar>

namespace holdfast::cli {
namespace {

constexpr double kMaxDurationMs = 366.0 * 24 * 3600 * 1000;

struct Unit {
  std::string_view name;
  double ms;
};
constexpr Unit kUnits[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}};

int64_t wall_now_ms() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

// Decodes one character at `text`; its length in bytes, 0 if it isn't valid UTF-8.
size_t decode(std::string_view text, wchar_t& out) {
  mbstate_t state{};
  const size_t length = mbrtowc(&out, text.data(), text.size(), &state);
  return length == 0 || length > text.size() ? 0 : length;
}

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

}  // namespace

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  double number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  // "-0", "inf" and "nan" are numbers to from_chars.
  if (error != std::errc{} || !std::isfinite(number) || std::signbit(number)) return std::nullopt;
  const std::string_view name = text.substr(static_cast<size_t>(end - text.data()));
  for (const Unit& unit : kUnits) {
    if (unit.name != name) continue;
    const double ms = number * unit.ms;
    if (ms > kMaxDurationMs) return std::nullopt;
    // Never down to 0, which means something else than "short".
    return std::chrono::milliseconds(static_cast<int64_t>(std::ceil(ms)));
  }
  return std::nullopt;
}

std::string format_duration(std::chrono::milliseconds duration) {
  const int64_t ms = std::max<int64_t>(duration.count(), 0);
  const int64_t seconds = ms / 1000, minutes = seconds / 60, hours = minutes / 60,
                days = hours / 24;
  char out[48];
  if (ms < 1000) {
    snprintf(out, sizeof out, "%ldms", static_cast<long>(ms));
  } else if (minutes == 0) {
    snprintf(out, sizeof out, "%lds", static_cast<long>(seconds));
  } else if (hours == 0) {
    snprintf(out, sizeof out, "%ldm%02lds", static_cast<long>(minutes),
             static_cast<long>(seconds % 60));
  } else if (days == 0) {
    snprintf(out, sizeof out, "%ldh%02ldm", static_cast<long>(hours),
             static_cast<long>(minutes % 60));
  } else {
    snprintf(out, sizeof out, "%ldd%02ldh", static_cast<long>(days), static_cast<long>(hours % 24));
  }
  return out;
}

std::string format_age(int64_t unix_ms) {
  if (unix_ms <= 0) return "-";
  return format_duration(std::chrono::milliseconds(wall_now_ms() - unix_ms));
}

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    wchar_t character = 0;
    const size_t length = decode(text, character);
    if (length == 0 || wcwidth(character) < 0) {
      out += '?';
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return out;
}

size_t display_width(std::string_view text) {
  size_t width = 0;
  while (!text.empty()) {
    wchar_t character = 0;
    const size_t length = decode(text, character);
    const int columns = length == 0 ? 1 : wcwidth(character);
    width += columns < 0 ? 1 : static_cast<size_t>(columns);
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return width;
}

std::optional<std::string> nearest(std::string_view word,
                                   const std::vector<std::string>& candidates) {
  std::optional<std::string> best;
  // Further away than that, a suggestion is a guess.
  size_t best_distance = std::max<size_t>(2, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const size_t distance = edit_distance(word, candidate);
    if (distance < best_distance && distance < candidate.size()) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace holdfast::cli
