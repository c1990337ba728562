#include "lockcore/store/state_keeper.h"

#include <utility>

#include "lockcore/base/assert.h"
#include "lockcore/base/limits.h"
#include "lockcore/store/data_dir.h"

namespace holdfast::store {
namespace {

using Clock = std::chrono::steady_clock;

// Nobody waits for state.db, so only its size matters.
constexpr uint64_t kCheckpointBytes = 4 * 1024 * 1024;
// A snapshot of which nobody reads for so long is given up once a checkpoint is due.
constexpr auto kSnapshotIdle = std::chrono::seconds(10);

}  // namespace

base::SnapshotPart StateKeeper::read(base::SnapshotId asked, uint64_t offset, size_t max_bytes,
                                     base::Slot at_least) {
  const Clock::time_point now = Clock::now();
  const bool anew = now - read_at_ >= kSnapshotIdle || state_->snapshot_slot() < at_least;
  base::SnapshotPart part = state_->read_snapshot(asked, offset, max_bytes, anew);
  if (part.id != 0) read_at_ = now;
  return part;
}

void StateKeeper::checkpoint_if_due() {
  if (state_->wal_bytes() < kCheckpointBytes) return;
  const bool is_read = state_->gives_snapshot() && Clock::now() - read_at_ < kSnapshotIdle;
  if (is_read && state_->wal_bytes() < base::kMaxSnapshotWalBytes) return;
  state_->checkpoint();
}

std::optional<uint64_t> StateKeeper::write(const base::SnapshotPart& part) {
  if (part.offset == 0 && next_) {  // it came too late, and was never named
    next_.reset();
    remove_old_state_files(files_, dir_, state_file_);
  }
  return draft_.write(part);
}

SnapshotChecked StateKeeper::check(base::SnapshotId id, const WriterThreads::LoadRows& load) {
  SnapshotChecked checked{id, {}, {}};
  try {
    SnapshotDraft::Finished finished = draft_.finish(id, incarnation_);
    if (auto contradiction = load(std::move(finished.rows))) {
      checked.refused = finished.file + " contradicts itself: " + *contradiction;
      finished.state.reset();
      remove_old_state_files(files_, dir_, state_file_);
      return checked;
    }
    next_ = std::move(finished.state);
    next_file_ = checked.file = std::move(finished.file);
  } catch (const StoreError& error) {
    // Damage is the snapshot's; what the disk did is this node's end (P11).
    using Kind = StoreError::Kind;
    if (error.kind != Kind::kDamaged && error.kind != Kind::kForeign) throw;
    checked.refused = error.what();
  }
  return checked;
}

void StateKeeper::switch_state() {
  HF_ASSERT(next_ != nullptr);
  state_ = std::move(next_);
  state_file_ = next_file_;
  remove_old_state_files(files_, dir_, state_file_);
}

}  // namespace holdfast::store
