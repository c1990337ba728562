#include "bindings/cli/events.h"

#include <time.h>

#include <array>

#include "bindings/cli/people.h"
#include "bindings/cli/text.h"

namespace holdfast::cli {
namespace {

constexpr size_t kMaxShownValue = 60;

std::string local_time(int64_t unix_ms) {
  const time_t seconds = static_cast<time_t>(unix_ms / 1000);
  tm parts{};
  localtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &parts);
  return text.data();
}

std::string padded(std::string text, size_t width) {
  const size_t shown = display_width(text);
  if (shown < width) text.append(width - shown, ' ');
  return text;
}

// What is worth telling of this one: its mode, how long it took, what for.
std::string details(const Event& event) {
  std::string text;
  const auto add = [&text](const std::string& more) { text += (text.empty() ? "" : ", ") + more; };
  if (event.permits > 1) add(std::to_string(event.permits) + " permits");
  if (!event.mode.empty() && event.mode != "exclusive") add(event.mode);
  if (event.cause != event.type && event.cause != event.type + "d") add(event.cause);
  if (event.waited.count() > 0) add("waited " + format_duration(event.waited));
  if (event.held.count() > 0) add("held " + format_duration(event.held));
  if (!event.value.empty()) add("value " + printable(event.value.substr(0, kMaxShownValue)));
  if (!event.note.empty()) add(printable(event.note));
  return text;
}

}  // namespace

std::string event_line(const Output& out, const Event& event) {
  std::string text = padded(std::to_string(event.revision), 8) + "  " + local_time(event.at_ms) +
                     "  " + padded(event.type, 12) + "  ";
  text += out.bold(padded(printable(event.name.empty() ? event.lease : event.name), 24)) + "  ";
  text += padded(event.token == 0 ? "-" : std::to_string(event.token), 8) + "  ";
  const bool is_owned = event.owner.pid != 0 || !event.owner.host.empty();
  if (is_owned) text += printable(where(event.owner) + " " + event.owner.user);
  const std::string more = details(event);
  if (!more.empty()) text += (is_owned ? "  " : "") + out.dim(more);
  return text;
}

}  // namespace holdfast::cli
