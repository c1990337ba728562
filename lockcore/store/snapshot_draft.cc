#include "lockcore/store/snapshot_draft.h"

#include <utility>

#include "lockcore/store/store_error.h"

namespace holdfast::store {

using Kind = StoreError::Kind;

std::optional<uint64_t> SnapshotDraft::write(const base::SnapshotPart& part) {
  if (part.offset == 0) begin(part);
  if (!file_ || part.id != head_.id || part.offset != stored_) return std::nullopt;
  file_->write(part.offset, *part.bytes);
  stored_ = part.end();
  return stored_;
}

void SnapshotDraft::begin(const base::SnapshotPart& part) {
  remove_all();
  head_ = part;
  head_.bytes.reset();
  name_ = "state-" + std::to_string(part.slot.value) + ".db";
  remove_all();  // what an installation that came too late left under this name
  file_ = files_.create(draft_path());
  stored_ = 0;
}

void SnapshotDraft::remove_all() {
  file_.reset();
  if (name_.empty()) return;
  for (const std::string& path : {draft_path(), final_path()}) {
    for (const char* suffix : {"", "-wal", "-shm"}) files_.remove(path + suffix);
  }
}

void SnapshotDraft::take_over(base::Incarnation incarnation) {
  file_->sync();
  file_.reset();
  StateDb::take_over(files_, draft_path(), head_.slot, incarnation);
  // All of it was copied back: an old WAL beside it would be taken for its own.
  files_.remove(draft_path() + "-wal");
  const std::unique_ptr<File> whole = files_.open(draft_path());
  if (!whole) throw StoreError(Kind::kIo, draft_path() + ": was removed while it was written");
  whole->sync();
}

SnapshotDraft::Finished SnapshotDraft::finish(base::SnapshotId id, base::Incarnation incarnation) {
  if (!file_ || id != head_.id || stored_ != head_.total_bytes) {
    throw StoreError(Kind::kDamaged, dir_ + ": not all of the snapshot was stored");
  }
  try {
    take_over(incarnation);
    files_.rename(draft_path(), final_path());
    files_.sync_directory(dir_);
    // As at a start: nothing of it counts that isn't on the disk, and every page and row is looked
    // at.
    auto state = std::make_unique<StateDb>(dir_, name_, incarnation, files_);
    base::StateRows rows = state->load();
    head_ = {};
    return {std::exchange(name_, {}), std::move(state), std::move(rows)};
  } catch (const StoreError& error) {
    if (error.kind == Kind::kDamaged || error.kind == Kind::kForeign) remove_all();
    throw;
  }
}

}  // namespace holdfast::store
