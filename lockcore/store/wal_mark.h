// How far the WAL of log.db was written and synced, in a file of its own: what a start must find.
//
// A damaged last transaction looks like one that a crash tore. Only somebody who knows that it was
// whole can tell them apart, and the WAL itself doesn't. So after each commit this file is told how
// many frames the WAL has, without an fsync: after a crash of the process it is exact, since the
// page cache outlives that; after a power failure it may be older, and what an older one says is
// true as well: those frames were synced before it was written.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "lockcore/store/file_system.h"

namespace holdfast::store {

struct WalMark {
  uint64_t salt = 0;    // the WAL's: another one after each checkpoint that emptied it
  uint64_t frames = 0;  // 0: nothing is known
};

class WalMarkFile {
 public:
  // A missing file is made by the first put(), durably: until then it stays known as missing.
  WalMarkFile(FileSystem& files, std::string path);

  // What it said when it was opened; nullopt: it was missing, or is damaged.
  std::optional<WalMark> found() const { return found_; }
  void put(WalMark mark);

 private:
  void make();
  FileSystem& files_;
  const std::string path_;
  std::unique_ptr<File> file_;
  std::optional<WalMark> found_;
};

}  // namespace holdfast::store
