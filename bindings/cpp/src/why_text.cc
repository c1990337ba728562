#include "bindings/cpp/src/why_text.h"

#include <string_view>

namespace holdfast::client {

namespace {

// "3 s", "2 min 5 s", "4 h 10 min": two units at most, the smaller one only if it says something.
std::string span(milliseconds time) {
  const int64_t seconds = time.count() / 1000;
  const auto two = [](int64_t great, const char* unit, int64_t small, const char* small_unit) {
    std::string text = std::to_string(great) + unit;
    if (small != 0) text += " " + std::to_string(small) + small_unit;
    return text;
  };
  if (seconds == 0) return std::to_string(time.count()) + " ms";
  if (seconds < 60) return std::to_string(seconds) + " s";
  if (seconds < 3600) return two(seconds / 60, " min", seconds % 60, " s");
  if (seconds < 86400) return two(seconds / 3600, " h", seconds % 3600 / 60, " min");
  return two(seconds / 86400, " d", seconds % 86400 / 3600, " h");
}

std::string quoted(std::string_view text) {
  return "\"" + std::string(text) + "\"";
}

// "deploy@web-1, worker, pid 4711"
std::string who(const Blocker& blocker) {
  const Owner& owner = blocker.owner;
  std::string text = owner.user.empty() ? "somebody" : owner.user;
  if (!owner.host.empty()) text += "@" + owner.host;
  if (!owner.program.empty()) text += ", " + owner.program;
  if (owner.pid != 0) text += ", pid " + std::to_string(owner.pid);
  return text + " (lease " + blocker.lease + ")";
}

std::string what_for(const Blocker& blocker) {
  return blocker.owner.reason.empty() ? "" : ": " + quoted(blocker.owner.reason);
}

std::string claim(const Blocker& blocker) {
  if (blocker.permits > 1) return std::to_string(blocker.permits) + " permits";
  return blocker.mode == "exclusive" ? "" : blocker.mode;
}

std::string in_mode(const Blocker& blocker) {
  const std::string text = claim(blocker);
  return text.empty() ? "" : " (" + text + ")";
}

std::string line(const Blocker& blocker) {
  const std::string lock = quoted(blocker.lock);
  if (blocker.kind == "delay") {
    return lock + " stays closed for another " + span(blocker.remaining) +
           ": its last holder was lost and may still be writing (lock-delay)";
  }
  if (blocker.kind == "drain") {
    return lock + " is being drained, nothing is granted: " + blocker.owner.reason;
  }
  if (blocker.kind == "waiter") {
    return who(blocker) + " waits for " + lock + in_mode(blocker) + " ahead, at position " +
           std::to_string(blocker.position) + ", for " + span(blocker.age) + what_for(blocker);
  }
  return who(blocker) + " holds " + lock + in_mode(blocker) + " for " + span(blocker.age) +
         ", token " + std::to_string(blocker.token) + what_for(blocker);
}

void tell(const Blocker& blocker, size_t depth, std::string& text) {
  text += std::string(2 * depth, ' ') + line(blocker);
  if (blocker.kind == "holder" && blocker.remaining.count() > 0) {
    text += "; if its process is gone, that ends within " + span(blocker.remaining);
  }
  if (blocker.seen) text += " (see above)";
  text += "\n";
  if (!blocker.blockers.empty()) {
    text += std::string(2 * depth + 2, ' ') + "which itself waits, because\n";
  }
  for (const Blocker& next : blocker.blockers) tell(next, depth + 2, text);
}

}  // namespace

std::string why_text(const Why& why) {
  if (why.blockers.empty()) return "nothing is in the way\n";
  std::string text;
  for (const Blocker& blocker : why.blockers) tell(blocker, 0, text);
  if (why.truncated) text += "... and more\n";
  return text;
}

}  // namespace holdfast::client
