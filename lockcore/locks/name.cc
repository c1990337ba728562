// Names and texts: which are fit to be stored and shown.
#include "lockcore/locks/validate.h"

#include <string>

#include "lockcore/base/limits.h"
#include "lockcore/locks/refusal.h"

namespace holdfast::locks {
namespace {

// The bytes of the well-formed sequence at the start of `text`; 0: there is none.
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const auto continues = [&](size_t i) { return i < text.size() && (byte(i) & 0xC0) == 0x80; };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  if (first < 0xC2) return 0;  // a continuation, or an overlong form of ASCII
  if (!continues(1)) return 0;
  if (first < 0xE0) return 2;
  if (!continues(2)) return 0;
  const uint8_t second = byte(1);
  if (first < 0xF0) {
    if (first == 0xE0 && second < 0xA0) return 0;   // overlong
    if (first == 0xED && second >= 0xA0) return 0;  // a surrogate
    return 3;
  }
  if (!continues(3)) return 0;
  if (first == 0xF0 && second < 0x90) return 0;   // overlong
  if (first == 0xF4 && second >= 0x90) return 0;  // above U+10FFFF
  return first > 0xF4 ? 0 : 4;
}

// C0, DEL and C1: they would play tricks on terminals. `text` is well-formed UTF-8.
bool has_control_character(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<uint8_t>(text[i]);
    if (c < 0x20 || c == 0x7F) return true;
    // U+0080 to U+009F are C2 80 to C2 9F.
    if (c == 0xC2 && static_cast<uint8_t>(text[i + 1]) < 0xA0) return true;
  }
  return false;
}

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::optional<base::Error> validate_text(std::string_view what, std::string_view text,
                                         size_t limit) {
  if (text.size() > limit) {
    return invalid("the " + std::string(what) + " has " + std::to_string(text.size()) +
                   " bytes; at most " + std::to_string(limit) + " are allowed");
  }
  if (!is_utf8(text)) return invalid("the " + std::string(what) + " is not valid UTF-8");
  return std::nullopt;
}

std::optional<base::Error> validate_name(std::string_view name) {
  if (name.empty()) return invalid("the name is empty; a name is 1 to 512 bytes of UTF-8");
  if (auto error = validate_text("name", name, base::kMaxNameBytes)) return error;
  if (has_control_character(name)) {
    return invalid("the name has a control character; names are made of printable ones");
  }
  if (name.front() == '/' || name.back() == '/' || name.find("//") != std::string_view::npos) {
    return invalid("the name \"" + std::string(name) +
                   "\" has an empty path part; write it like \"a/b\", without a slash at "
                   "either end or two in a row");
  }
  return std::nullopt;
}

}  // namespace holdfast::locks
