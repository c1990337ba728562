// Making a new cell of what an old one left: a backup, or the record of a node whose majority is
// lost (DESIGN 8). What the old cell granted ends, and no token of it comes again.
#pragma once

#include <cstdint>
#include <string>

#include "lockcore/base/log_row.h"
#include "lockcore/base/state_rows.h"
#include "lockcore/store/file_system.h"
#include "lockcore/store/log_db.h"

namespace holdfast::store {

// What a backup says; every page and row of it was looked at.
struct BackupInfo {
  base::MetaRow meta;
  uint64_t bytes = 0;
  uint64_t leases = 0, locks = 0, holds = 0, waiters = 0, clients = 0, events = 0;
};
// Throws StoreError: damaged, or not a backup. Writes nothing.
BackupInfo inspect_backup(const std::string& path, FileSystem& files = FileSystem::real());

// How far a restored cell's revisions are ahead of all that the old one may have given out after
// the backup was made; and by the clock, ahead of an earlier restore of the same backup.
base::Revision revision_of_new_cell(base::Revision old, uint64_t wall_ms, base::Revision at_least);

struct NewCell {
  base::Config config;      // version 1, with the incarnation of every voter
  base::Slot applied;       // above every slot that the old log had
  base::Revision revision;  // the last one that counts as used
  uint64_t wall_ms = 0;
  std::string note;  // for the history: what was done, and why tokens jump
};
// Writes a state file of the new cell into the directory, from the file at `source`, and makes it
// count with one write to `log`, which is the directory's: rows of the old cell go, and the node is
// a member of the new one. `log` is not used any more afterwards.
void found_from(const std::string& source, const std::string& dir, LogDb& log, const NewCell& cell,
                FileSystem& files = FileSystem::real());

// A directory for one voter of the new cell, from a backup. It must not exist, and is there only
// when it is complete.
void restore_backup(const std::string& backup, const std::string& dir, base::NodeId self,
                    const NewCell& cell, FileSystem& files = FileSystem::real());

}  // namespace holdfast::store
