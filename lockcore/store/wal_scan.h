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

namespace holdfast::store {

struct WalDamage {
  uint64_t frame = 0;  // the first unreadable one, from 1; 0: the header
  std::string what;
};

// nullopt: it is whole, or its end is torn as a crash tears it. Throws StoreError kIo.
// Must run before SQLite opens the database, which may overwrite the evidence.
std::optional<WalDamage> scan_wal(File& file);

}  // namespace holdfast::store
