// Looks for damage in the middle of a write-ahead log, which SQLite takes for its end.
//
// SQLite's recovery reads frames until the first whose checksum fails, and takes that one for the
// torn end of a transaction that was never acknowledged. A flipped bit further up looks the same
// and silently costs every transaction behind it, promises included (P11).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "lockcore/store/file_system.h"
#include "lockcore/store/wal_mark.h"

namespace holdfast::store {

struct WalDamage {
  uint64_t frame = 0;  // the first unreadable one, from 1; 0: the header
  std::string what;
};

struct WalScan {
  // Nothing: it is whole, or its end is torn as a crash tears it.
  std::optional<WalDamage> damage;
  // The first frame of a transaction that isn't there whole; 0: there is none.
  uint64_t torn_frame = 0;
};

// Frames that `written` says were synced must be there: without them the end isn't torn but
// damaged. Throws StoreError kIo. Must run before SQLite opens the database, which may overwrite
// the evidence.
WalScan scan_wal(File& file, const WalMark& written = {});

// The salt in a WAL's header; 0: it has none.
uint64_t wal_salt(File& file);

}  // namespace holdfast::store
