// The two threads that own the two databases, reached by queues (DESIGN 9).
//
// Results are reported by calling `wake` (thread-safe, given by the owner; the daemon's is
// uv_async_send); the owner then calls drain(). All that queued up while a transaction ran goes
// into the next one: group commit.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lockcore/base/log_row.h"
#include "lockcore/base/state_rows.h"
#include "lockcore/store/log_db.h"
#include "lockcore/store/state_db.h"

namespace holdfast::store {

struct LogReadResult {
  uint64_t id = 0;
  std::vector<base::Entry> entries;
};

struct SnapshotReadResult {
  base::NodeId peer;
  base::SnapshotId asked = 0;
  base::SnapshotPart part;
};

struct SnapshotStored {
  base::SnapshotId id = 0;
  uint64_t upto = 0;
};

// A snapshot that is whole, synced and loaded, or why it can't be used.
struct SnapshotChecked {
  base::SnapshotId id = 0;
  std::string file;
  std::optional<std::string> refused;
};

// What became of looking at state.db after one slot.
struct StateCompared {
  base::Slot slot;
  uint64_t digest = 0;
};
// What became of looking at every page and row of one of the databases.
struct Verified {
  bool of_state = false;
  std::optional<std::string> damage;  // the first that was found; none: all is well
};

// What the threads finished since the last drain.
struct Finished {
  base::WriteId written;  // every write through here is durable; 0: nothing new
  base::Slot recorded;    // state.db holds everything through here; 0: nothing new
  std::vector<LogReadResult> reads;
  std::vector<SnapshotReadResult> snapshot_reads;
  std::vector<SnapshotStored> snapshot_stored;
  std::optional<SnapshotChecked> snapshot_checked;
  std::optional<StateCompared> compared;
  std::vector<Verified> verified;     // two of each verify(): of log.db, of state.db
  std::vector<base::Slot> damaged;    // rows of log.db that fail their checksum, as often as met
  std::optional<std::string> failed;  // an I/O error: the process must end now, with this reason
  uint64_t last_fsync_us = 0;         // how long the last log transaction took
  // What was written, to be freed by the thread that made it: an allocator that has to take memory
  // back from another thread waits for that thread, in the middle of a commit.
  std::vector<base::LogWrite> spent_log;
  std::vector<base::StateWrite> spent_state;
};

class WriterThreads {
 public:
  // `dir` is where both are; snapshots are put beside them.
  WriterThreads(const std::string& dir, std::unique_ptr<LogDb> log, std::unique_ptr<StateDb> state,
                std::function<void()> wake, FileSystem& files = FileSystem::real());
  ~WriterThreads();  // finishes what is queued, then joins

  void write_log(base::LogWrite write);
  void read_log(uint64_t id, base::Slot from, base::Slot to, size_t max_bytes);
  void write_state(base::StateWrite write);

  // -- snapshots: see state_db.h and snapshot_draft.h. All that concerns state.db is done in the
  // order in which it was handed over.
  void read_snapshot(base::NodeId peer, base::SnapshotId asked, uint64_t offset, size_t max_bytes,
                     base::Slot at_least = {});
  void write_snapshot(base::SnapshotPart part);
  // `load` is called on the thread with what the snapshot says; it tells what contradicts what.
  using LoadRows = std::function<std::optional<std::string>(base::StateRows)>;
  void check_snapshot(base::SnapshotId id, LoadRows load);
  // Reads back what was recorded so far, through `slot`, and calls `digest_of` with it.
  using DigestOf = std::function<uint64_t(base::StateRows)>;
  void compare_state(base::Slot slot, DigestOf digest_of);
  // Looks at every row of log.db, of which none may be missing through the recorded slot, and at
  // every page and row of state.db. Damage is no reason to end: what is in memory is whole, and a
  // start mends the rest.
  void verify(base::Slot recorded);
  // log.db names the snapshot that was checked last the current state file: the old one goes.
  void switch_state();

  Finished drain();

  uint64_t log_bytes() const;  // any thread; as of the last checkpoint
  uint64_t state_bytes() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast::store
