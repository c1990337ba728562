// What the daemon tells its operator: one line per happening on stderr, as text or JSON.
//
// Never a line per request. What may repeat without end (a refused peer that knocks every second)
// goes through a Throttle.
#pragma once

#include <kj/exception.h>

#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "daemon/config.h"
#include "lockcore/base/time.h"
#include "rpc/notice.h"

namespace holdfast::daemon {

// name=value pairs behind the message, for machines to find.
using LogField = std::pair<std::string_view, std::string>;
using LogFields = std::initializer_list<LogField>;

void start_logging(LogLevel level, LogFormat format);
void set_log_level(LogLevel level);

void log(LogLevel level, std::string_view message, LogFields fields = {});
inline void log_info(std::string_view message, LogFields fields = {}) {
  log(LogLevel::kInfo, message, fields);
}
inline void log_warn(std::string_view message, LogFields fields = {}) {
  log(LogLevel::kWarn, message, fields);
}
inline void log_error(std::string_view message, LogFields fields = {}) {
  log(LogLevel::kError, message, fields);
}

// Lets the same words through once per interval, and only so many different ones, and counts what
// it held back.
class Throttle {
 public:
  explicit Throttle(base::Duration interval) : interval_(interval) {}

  // nullopt: hold this one back. Else how many of the same were held back since the last.
  std::optional<uint64_t> admit(const std::string& words, base::Instant now);
  // How many were held back since the last call for there being too many different ones.
  uint64_t take_others() { return std::exchange(others_, 0); }

 private:
  struct Seen {
    base::Instant at;
    uint64_t held_back = 0;
  };
  base::Duration interval_;
  std::map<std::string, Seen> seen_;  // bounded by kMaxSeen: a stranger may choose the words
  uint64_t others_ = 0;
};

// Cap'n Proto logs what it can't tell anybody else; without this it would write to stderr in a form
// of its own. Lives on the stack, as KJ wants it.
class LibraryLog final : public kj::ExceptionCallback {
 public:
  void logMessage(kj::LogSeverity severity, const char* file, int line, int depth,
                  kj::String&& text) override;

 private:
  Throttle throttle_{base::Duration::from_ms(10'000)};
};

// What rpc/ has to tell, throttled.
rpc::NoticeSink log_notices(Throttle& throttle);

}  // namespace holdfast::daemon
