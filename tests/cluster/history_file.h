// Writing a history (INTERFACES 9): JSON lines of what clients saw, timed by one true clock.
#pragma once

#include <cstdint>
#include <cstdio>
#include <mutex>
#include <string>
#include <string_view>

namespace holdfast::testing {

// ns of CLOCK_MONOTONIC_RAW, which all processes of a machine share and nobody sets.
int64_t true_ns();

// That clock's reading at a moment given by CLOCK_BOOTTIME.
int64_t true_ns_at(int64_t boottime_ns);

// One operation: `Line(client, "acquire").number("seq", 7).flag("ok", true)`. Numbers become
// strings, as in all of Holdfast's JSON that may exceed 53 bits.
class Line {
 public:
  Line(std::string_view client, std::string_view op);
  Line& text(std::string_view name, std::string_view value);
  Line& number(std::string_view name, uint64_t value);
  Line& ns(std::string_view name, int64_t value);
  Line& flag(std::string_view name, bool value);
  // What is written as it stands: null, true, a list made by somebody else.
  Line& raw(std::string_view name, std::string_view value);
  // Done, or surely without effect.
  Line& over(int64_t start, int64_t end, bool ok, std::string_view error = {});
  // Whether it had an effect isn't known.
  Line& unknown(int64_t start, std::string_view error);

  std::string json() const { return text_ + "}"; }

 private:
  void name(std::string_view name);
  std::string text_;
};

// Standard output, a whole line at a time, from any thread. A process that is killed has written
// all that it saw.
class HistoryFile {
 public:
  explicit HistoryFile(uint64_t seed);
  void write(const Line& line);

 private:
  void put(const std::string& json);
  std::mutex mutex_;
};

}  // namespace holdfast::testing
