// What torture's contenders saw, as JSON lines for any checker of histories to read (INTERFACES 9).
#pragma once

#include <cstdint>
#include <cstdio>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "holdfast/holdfast.h"

namespace holdfast::cli {

// ns of CLOCK_MONOTONIC_RAW, the one true clock of this machine.
int64_t true_ns();

// One operation of one client.
struct SeenOperation {
  std::string client;
  std::string op;
  int64_t start = 0;
  int64_t end = 0;
  enum class Outcome { done, without_effect, unknown } outcome = Outcome::done;
  std::string error;                                         // empty: none
  std::vector<std::pair<std::string, std::string>> details;  // further fields
};

// Thread-safe. A path of "" writes nothing.
class TortureHistory {
 public:
  explicit TortureHistory(const std::string& path);  // Failure: it can't be written
  ~TortureHistory();
  TortureHistory(const TortureHistory&) = delete;
  TortureHistory& operator=(const TortureHistory&) = delete;

  void write(const SeenOperation& seen);
  // Failure: not everything could be written.
  void finish();

 private:
  std::mutex mutex_;
  const std::string path_;
  FILE* file_ = nullptr;
};

}  // namespace holdfast::cli
