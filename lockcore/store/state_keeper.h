// The state database in use, the snapshot that others read of it, and the one that comes in to take
// its place. What the state thread does (writer_thread.h); tests do it without a thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "lockcore/store/snapshot_draft.h"
#include "lockcore/store/state_db.h"
#include "lockcore/store/writer_thread.h"

namespace holdfast::store {

class StateKeeper {
 public:
  // `file` is the name of `state` in the directory, as log.db has it.
  StateKeeper(FileSystem& files, std::string dir, base::Incarnation incarnation, std::string file,
              std::unique_ptr<StateDb> state)
      : files_(files),
        dir_(std::move(dir)),
        incarnation_(incarnation),
        state_file_(std::move(file)),
        state_(std::move(state)),
        draft_(files, dir_) {}

  StateDb& state() { return *state_; }

  // As StateDb::read_snapshot(). Whoever begins shares the snapshot that others are being sent,
  // unless it is of a slot below `at_least`.
  base::SnapshotPart read(base::SnapshotId asked, uint64_t offset, size_t max_bytes,
                          base::Slot at_least = {});
  // Copies a long WAL back, unless a snapshot is being read and the WAL isn't too long.
  void checkpoint_if_due();

  std::optional<uint64_t> write(const base::SnapshotPart& part);
  SnapshotChecked check(base::SnapshotId id, const WriterThreads::LoadRows& load);
  void switch_state();

 private:
  FileSystem& files_;
  const std::string dir_;
  const base::Incarnation incarnation_;
  std::string state_file_;
  std::unique_ptr<StateDb> state_;
  std::chrono::steady_clock::time_point read_at_;  // a part of a snapshot, last
  SnapshotDraft draft_;
  std::unique_ptr<StateDb> next_;  // checked, not yet named by log.db
  std::string next_file_;
};

}  // namespace holdfast::store
