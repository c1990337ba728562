// state.db: the record of leases, locks, holds, waiters, clients, answers and events (DESIGN 8).
// One connection, used by one thread. Errors as in log_db.h.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "lockcore/base/limits.h"
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
  void write(const base::StateWrite& changes);  // one transaction; prunes a bounded bit of history
  uint64_t bytes() const;                       // of the file and its WAL

  // write() never checkpoints; see log_db.h.
  uint64_t wal_bytes() const;
  void checkpoint();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast::store
