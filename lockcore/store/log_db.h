// log.db: the promise and the log, on disk (DESIGN 8). One connection, used by one thread.
//
// Contract. write() makes all of its writes durable in one transaction (fdatasync included) or
// throws StoreError, after which the process must end: nothing is ever retried (P11). Every row
// carries a checksum that is verified at every read.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lockcore/base/log_row.h"
#include "lockcore/store/file_system.h"
#include "lockcore/store/store_error.h"

namespace holdfast::store {

// What is kept of a log.db whose rows were lost with their tree, for people: it is never read
// again.
inline constexpr const char* kDamagedLogFile = "log.damaged";

class LogDb {
 public:
  // Opens or creates `<dir>/log.db`, and keeps every other process out of the directory. A new one
  // gets `new_incarnation`; `self` must match an old one's node id. Fsyncs the files and drops them
  // from the page cache first (P11). Raises the start count durably before it returns.
  // If the tree of table `log` is damaged, and all else is whole, it begins anew without rows; that
  // is told by recover(), until they are mended.
  // `boot_id` names this boot of the machine, empty if nobody knows: within one no write is torn.
  LogDb(const std::string& dir, base::NodeId self, base::Incarnation new_incarnation,
        const std::string& boot_id, FileSystem& files = FileSystem::real());
  ~LogDb();

  // Rows above `applied`; everything else of the recovered state. A damaged row there is told of,
  // as is a log that begins further above: others may mend that (P11), and whoever can't wait for
  // them must not go on. Throws if it isn't even certain what is damaged.
  base::RecoveredLog recover(base::Slot applied);
  base::Incarnation incarnation() const;
  std::string state_file() const;  // name of the current state database, in the same directory

  void write(std::span<const base::LogWrite> writes);
  // Rows from..to, by slot, gaps skipped, until max_bytes are exceeded (at least one). A damaged
  // row is an error; or, if `damaged` is given, it is named there, and nothing is read from it on.
  std::vector<base::Entry> read(base::Slot from, base::Slot to, size_t max_bytes,
                                std::optional<base::Slot>* damaged = nullptr);
  // Looks at some of the rows, from `from` on: each must keep its checksum, and through `recorded`
  // none may be missing. Damage is told, and no error.
  struct VerifiedSlice {
    base::Slot next;
    bool is_last = false;
    std::optional<base::Slot> damaged;  // this row, and no other damage: `next` is behind it
    std::optional<std::string> damage;  // in words
  };
  VerifiedSlice verify_slice(base::Slot from, base::Slot recorded);
  uint64_t bytes() const;  // of the file and its WAL

  // write() never checkpoints, since that takes several fsyncs: the owner does, when nothing waits,
  // at the latest when wal_bytes() passes kWalBytes, up to which commits are cheapest.
  static constexpr uint64_t kWalBytes = 4 * 1024 * 1024;
  uint64_t wal_bytes() const;
  void checkpoint();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast::store
