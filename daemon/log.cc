#include "daemon/log.h"

#include <capnp/compat/json.h>
#include <fmt/format.h>
#include <kj/encoding.h>
#include <kj/exception.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "rpc/uv_event_port.h"

namespace holdfast::daemon {
namespace {

// Different words in one interval.
constexpr size_t kMaxSeen = 50;

// spdlog writes time and level, then what payload() made; both forms in UTC.
constexpr const char* kTextPattern = "%Y-%m-%dT%H:%M:%S.%eZ %-5l %v";
constexpr const char* kJsonPattern = R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})";

LogFormat format_in_use = LogFormat::kText;

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kTrace: return spdlog::level::trace;
    case LogLevel::kDebug: return spdlog::level::debug;
    case LogLevel::kInfo: return spdlog::level::info;
    case LogLevel::kWarn: return spdlog::level::warn;
    case LogLevel::kError: return spdlog::level::err;
  }
  return spdlog::level::info;
}

kj::StringPtr null_terminated(const std::string& text) {
  return {text.c_str(), text.size()};
}

// Words of peers and paths may be any bytes; JSON is UTF-8.
kj::String valid_utf8(std::string_view text) {
  return kj::decodeUtf16(kj::encodeUtf16(kj::arrayPtr(text.data(), text.size())));
}

std::string text_payload(std::string_view message, LogFields fields) {
  std::string line(message);
  for (const auto& [name, value] : fields) {
    bool plain = !value.empty() && value.find_first_of(" =\"\\\n\t") == std::string::npos;
    line += plain ? fmt::format(" {}={}", name, value) : fmt::format(" {}={:?}", name, value);
  }
  // One happening, one line, whatever a peer told us.
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  return line;
}

std::string json_payload(std::string_view message, LogFields fields) {
  capnp::MallocMessageBuilder arena;
  auto object =
      arena.initRoot<capnp::json::Value>().initObject(static_cast<unsigned>(fields.size() + 1));
  unsigned next = 0;
  auto add = [&](std::string_view name, std::string_view value) {
    object[next].setName(null_terminated(std::string(name)));
    object[next++].initValue().setString(valid_utf8(value));
  };
  add("message", message);
  for (const auto& [name, value] : fields) add(name, value);
  auto line = capnp::JsonCodec().encodeRaw(arena.getRoot<capnp::json::Value>());
  return {line.begin() + 1, line.end() - 1};  // without its braces: the pattern has them
}

}  // namespace

void start_logging(LogLevel level, LogFormat format) {
  format_in_use = format;
  auto logger = spdlog::stderr_logger_st("holdfastd");
  logger->set_pattern(format == LogFormat::kJson ? kJsonPattern : kTextPattern,
                      spdlog::pattern_time_type::utc);
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));
  set_log_level(level);
}

void set_log_level(LogLevel level) {
  spdlog::set_level(to_spdlog(level));
}

void log(LogLevel level, std::string_view message, LogFields fields) {
  spdlog::logger* logger = spdlog::default_logger_raw();
  if (!logger->should_log(to_spdlog(level))) return;
  logger->log(to_spdlog(level), format_in_use == LogFormat::kJson ? json_payload(message, fields)
                                                                  : text_payload(message, fields));
}

std::optional<uint64_t> Throttle::admit(const std::string& words, base::Instant now) {
  auto found = seen_.find(words);
  if (found == seen_.end()) {
    if (seen_.size() >= kMaxSeen) {
      std::erase_if(seen_, [&](const auto& entry) { return now - entry.second.at >= interval_; });
    }
    if (seen_.size() >= kMaxSeen) {
      ++others_;
      return std::nullopt;
    }
    seen_.emplace(words, Seen{now, 0});
    return 0;
  }
  Seen& seen = found->second;
  if (now - seen.at < interval_) {
    ++seen.held_back;
    return std::nullopt;
  }
  uint64_t held_back = seen.held_back;
  seen = Seen{now, 0};
  return held_back;
}

void LibraryLog::logMessage(kj::LogSeverity severity, const char* file, int line, int,
                            kj::String&& text) {
  LogLevel level = severity == kj::LogSeverity::INFO      ? LogLevel::kInfo
                   : severity == kj::LogSeverity::WARNING ? LogLevel::kWarn
                                                          : LogLevel::kError;
  std::string place = fmt::format("{}:{}", file, line);
  if (!throttle_.admit(place, rpc::boottime_now())) return;
  log(level, {text.begin(), text.size()}, {{"place", std::move(place)}});
}

rpc::NoticeSink log_notices(Throttle& throttle) {
  return [&throttle](rpc::Severity severity, const std::string& text) {
    auto held_back = throttle.admit(text, rpc::boottime_now());
    if (!held_back) return;
    if (uint64_t others = throttle.take_others()) {
      log_warn("messages were held back: too many different ones",
               {{"count", std::to_string(others)}});
    }
    LogLevel level = severity == rpc::Severity::kInfo      ? LogLevel::kInfo
                     : severity == rpc::Severity::kWarning ? LogLevel::kWarn
                                                           : LogLevel::kError;
    if (*held_back == 0) {
      log(level, text);
    } else {
      log(level, text, {{"again", std::to_string(*held_back)}});
    }
  };
}

}  // namespace holdfast::daemon
