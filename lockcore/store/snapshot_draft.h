// A snapshot that comes in: written under a name of its own, taken over, checked and synced. Only
// log.db makes it count (LogWrite::state_file).
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "lockcore/base/ids.h"
#include "lockcore/base/snapshot.h"
#include "lockcore/store/file_system.h"
#include "lockcore/store/state_db.h"

namespace holdfast::store {

class SnapshotDraft {
 public:
  SnapshotDraft(FileSystem& files, std::string dir) : files_(files), dir_(std::move(dir)) {}

  // Parts of one snapshot come in order; the first begins it anew. Says how far it is stored;
  // nothing: the part doesn't belong to what is being written.
  std::optional<uint64_t> write(const base::SnapshotPart& part);

  struct Finished {
    std::string file;  // its name in the directory
    std::unique_ptr<StateDb> state;
    base::StateRows rows;
  };
  // All of it is stored: checks every page and row of it. Throws StoreError: kDamaged and kForeign
  // speak of the snapshot and not of this node's disk; it is gone then.
  Finished finish(base::SnapshotId id, base::Incarnation incarnation);

 private:
  std::string final_path() const { return dir_ + "/" + name_; }
  std::string draft_path() const { return final_path() + ".new"; }
  void begin(const base::SnapshotPart& part);
  void remove_all();
  void take_over(base::Incarnation incarnation);

  FileSystem& files_;
  const std::string dir_;
  base::SnapshotPart head_;  // of what is being written; no id: nothing
  std::string name_;
  std::unique_ptr<File> file_;
  uint64_t stored_ = 0;
};

}  // namespace holdfast::store
