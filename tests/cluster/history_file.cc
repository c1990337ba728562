#include "tests/cluster/history_file.h"

#include <time.h>

namespace holdfast::testing {
namespace {

// Between the readings that make up one comparison of two clocks.
constexpr int64_t kCloseEnoughNs = 20'000;

int64_t read(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

std::string quoted(std::string_view value) {
  std::string text = "\"";
  for (char c : value) {
    if (c == '"' || c == '\\') text += '\\';
    text += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  return text + "\"";
}

}  // namespace

int64_t true_ns() {
  return read(CLOCK_MONOTONIC_RAW);
}

int64_t true_ns_at(int64_t boottime_ns) {
  // Repeated when this thread was put to sleep between the readings.
  for (int attempt = 0;; ++attempt) {
    const int64_t before = read(CLOCK_BOOTTIME);
    const int64_t raw = true_ns();
    const int64_t after = read(CLOCK_BOOTTIME);
    if (after - before < kCloseEnoughNs || attempt == 100) return raw + boottime_ns - before;
  }
}

Line::Line(std::string_view client, std::string_view op) : text_("{") {
  text("client", client);
  text("op", op);
}

void Line::name(std::string_view name) {
  if (text_.size() > 1) text_ += ',';
  text_ += quoted(name);
  text_ += ':';
}

Line& Line::text(std::string_view field, std::string_view value) {
  return raw(field, quoted(value));
}

Line& Line::number(std::string_view field, uint64_t value) {
  return text(field, std::to_string(value));
}

Line& Line::ns(std::string_view field, int64_t value) {
  return text(field, std::to_string(value));
}

Line& Line::flag(std::string_view field, bool value) {
  return raw(field, value ? "true" : "false");
}

Line& Line::raw(std::string_view field, std::string_view value) {
  name(field);
  text_ += value;
  return *this;
}

Line& Line::over(int64_t start, int64_t end, bool ok, std::string_view error) {
  ns("start", start).ns("end", end).flag("ok", ok);
  return error.empty() ? raw("error", "null") : text("error", error);
}

Line& Line::unknown(int64_t start, std::string_view error) {
  return ns("start", start).raw("end", "null").raw("ok", "null").text("error", error);
}

HistoryFile::HistoryFile(uint64_t seed) {
  put("{\"holdfastHistory\":1,\"seed\":" + quoted(std::to_string(seed)) +
      ",\"clock\":\"monotonic_raw\",\"epsilon\":0.01,\"renewals\":true,\"complete\":false}");
}

void HistoryFile::write(const Line& line) {
  put(line.json());
}

void HistoryFile::put(const std::string& json) {
  const std::lock_guard lock(mutex_);
  std::fputs((json + "\n").c_str(), stdout);
  std::fflush(stdout);
}

}  // namespace holdfast::testing
