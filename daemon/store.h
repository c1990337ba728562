// Opening what the node keeps on disk, and making the node from it.
#pragma once

#include <functional>
#include <memory>

#include "daemon/config.h"
#include "lockcore/base/log_row.h"
#include "lockcore/locks/lock_table.h"
#include "lockcore/store/log_db.h"
#include "lockcore/store/state_db.h"

namespace holdfast::daemon {

struct OpenedStore {
  std::unique_ptr<store::LogDb> log;
  std::unique_ptr<store::StateDb> state;
  base::RecoveredLog recovered;  // above what `table` has applied
  locks::LockTable table;
};

// Makes the data directory if there is none. Throws store::StoreError, also for a directory whose
// disk was lost (P10).
OpenedStore open_store(const Config& config);

// With what the process ends because of this error.
int exit_code(store::StoreError::Kind kind);

}  // namespace holdfast::daemon
