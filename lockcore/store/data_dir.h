// The data directory and its files before SQLite sees them: the lock against a second process, the
// page cache dropped (P11), new databases made whole or not at all, foreign files refused.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace holdfast::store {

class Connection;

// What marks a database as one of ours, in SQLite's own header fields.
struct FileFormat {
  const char* name;         // for messages: "log database"
  uint32_t application_id;  // PRAGMA application_id
  uint32_t version;         // PRAGMA user_version
};

// Holds `<dir>/lock`; creates the directory (0700) if it is missing. Throws StoreError: kInUse with
// the holder's pid, or kIo if the directory can't be used.
class DirectoryLock {
 public:
  explicit DirectoryLock(const std::string& dir);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  int fd_ = -1;
};

void sync_directory(const std::string& dir);
bool file_exists(const std::string& path);
uint64_t file_bytes(const std::string& path);  // 0 if it isn't there
// Is there any `state*.db` in the directory?
bool has_state_file(const std::string& dir);

// P11: after a failed writeback the page cache can show rows that the disk doesn't have. Syncs the
// database and its WAL and drops their pages, so that what is read next comes from the disk; then
// checks header, format and WAL (wal_scan.h). Throws StoreError.
void examine_database(const std::string& path, const FileFormat& format);

// Makes a database under another name, lets `fill` create its tables and first rows, syncs it, and
// renames it to `<dir>/<file>`: a file of that name is always complete, so an empty or partial one
// is damage and never the trace of a crash.
void create_database(const std::string& dir, const std::string& file, const FileFormat& format,
                     const std::function<void(Connection&)>& fill);

}  // namespace holdfast::store
