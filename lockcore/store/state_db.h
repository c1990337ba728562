// state.db: the record of leases, locks, holds, waiters, clients, answers and events (DESIGN 8).
// One connection, used by one thread. Errors as in log_db.h.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "lockcore/base/limits.h"
#include "lockcore/base/snapshot.h"
#include "lockcore/base/state_rows.h"
#include "lockcore/store/file_system.h"

namespace holdfast::store {

// How much history is kept: whatever is beyond any of these goes, the oldest first.
struct HistoryLimits {
  uint64_t events = base::kMaxHistoryEvents;
  uint64_t bytes = base::kMaxHistoryBytes;  // of names, notes and values
  uint64_t age_ms = base::kMaxHistoryAgeMs;
};

class StateDb {
 public:
  // Opens or creates `<dir>/<file>`. It carries the incarnation of the directory's log.db: one from
  // another directory is refused.
  StateDb(const std::string& dir, const std::string& file, base::Incarnation incarnation,
          FileSystem& files = FileSystem::real(), const HistoryLimits& limits = {});
  ~StateDb();

  base::StateRows load();  // everything but the events; all checksums verified, theirs too
  // Looks at every page and row. Damage is told, and no error.
  std::optional<std::string> verify();
  void write(const base::StateWrite& changes);  // one transaction; prunes a bounded bit of history
  uint64_t bytes() const;                       // of the file and its WAL

  // write() never checkpoints; see log_db.h. Ends the snapshot that is read.
  uint64_t wal_bytes() const;
  void checkpoint();

  // -- giving a snapshot away. Between two checkpoints nothing writes into the main file, not even
  // this connection: as the last one left it, it is the whole state after one slot. So a part is
  // read from it between two transactions, by SQLite's own descriptor: no other connection, no
  // copy, no reader whom a checkpoint would have to wait for.
  //
  // A part of this snapshot; of 0: of the one being read, or with `anew` or without one of a new
  // one, for which it checkpoints. A part without an id: that isn't to be had any more, or not now.
  base::SnapshotPart read_snapshot(base::SnapshotId asked, uint64_t offset, size_t max_bytes,
                                   bool anew);
  bool gives_snapshot() const;
  base::Slot snapshot_slot() const;  // of the one being read; 0: none

  // -- taking one in. Makes a file that came from another node this directory's own: `path` must be
  // of this slot, if one is given, and gets this incarnation. Throws StoreError; all but the meta
  // row is unchecked until it is opened.
  static void take_over(FileSystem& files, const std::string& path, std::optional<base::Slot> slot,
                        base::Incarnation incarnation);

  // -- looking at a saved one. Every page and row is checked, nothing is written.
  struct Contents {
    base::StateRows rows;
    uint64_t events = 0;
    uint64_t bytes = 0;
  };
  static Contents inspect(const std::string& path, FileSystem& files = FileSystem::real());

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast::store
