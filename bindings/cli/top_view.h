// What `top` shows, as plain data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "holdfast/holdfast.h"

namespace holdfast::cli {

struct TopView {
  struct ContendedLock {
    std::string lock;
    uint64_t waiters = 0;
    int64_t oldest_since_ms = 0;  // unix time
  };
  struct LongWait {
    std::string lock;
    std::string lease;
    std::string where;  // host:pid
    std::string user;
    std::string program;
    int64_t since_ms = 0;
  };
  struct BusyOwner {
    std::string where;
    std::string user;
    std::string program;
    uint64_t holds = 0;
  };

  CellStatus status;
  std::vector<ContendedLock> contended;  // those with most waiters first
  std::vector<LongWait> waits;           // the longest first
  std::vector<BusyOwner> owners;         // those with most holds first
};

TopView look_at(Cell& cell);  // throws Error
std::vector<std::string> lines_of(const TopView& view);

}  // namespace holdfast::cli
