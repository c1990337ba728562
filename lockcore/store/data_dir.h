// The databases of a data directory before SQLite sees them: the page cache dropped (P11), new ones
// made whole or not at all, foreign and damaged ones refused.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "lockcore/store/file_system.h"
#include "lockcore/store/wal_scan.h"

namespace holdfast::store {

class Connection;

// What marks a database as one of ours, in SQLite's own header fields.
struct FileFormat {
  const char* name;         // for messages: "log database"
  uint32_t application_id;  // PRAGMA application_id
  uint32_t version;         // PRAGMA user_version
};

// Is there any `state*.db` in the directory?
bool has_state_file(FileSystem& files, const std::string& dir);

// Removes what an interrupted installation of a snapshot left: every state file that Holdfast made,
// whole or not, but the current one and what belongs to it.
void remove_old_state_files(FileSystem& files, const std::string& dir, const std::string& current);

// P11: after a failed writeback the page cache can show rows that the disk doesn't have. Syncs the
// database and its WAL and drops their pages, so that what is read next comes from the disk; then
// checks header, format and WAL (wal_scan.h), which must hold what `written` says. Throws
// StoreError.
WalScan examine_database(FileSystem& files, const std::string& path, const FileFormat& format,
                         const WalMark& written = {});

// Makes a database under another name, lets `fill` create its tables and first rows, syncs it, and
// renames it to `<dir>/<file>`: a file of that name is always complete, so an empty or partial one
// is damage and never the trace of a crash.
void create_database(FileSystem& files, const std::string& dir, const std::string& file,
                     const FileFormat& format, const std::function<void(Connection&)>& fill);
// The first part of it: the whole database, synced, under the name that is returned.
std::string create_draft(FileSystem& files, const std::string& dir, const std::string& file,
                         const FileFormat& format, const std::function<void(Connection&)>& fill);

}  // namespace holdfast::store
