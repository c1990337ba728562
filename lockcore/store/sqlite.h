// SQLite, wrapped: one connection with the settings that DESIGN 8 asks for, prepared statements,
// and errors as StoreError with the file's name in them. Used by store/ only.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "lockcore/store/file_system.h"
#include "lockcore/store/store_error.h"

namespace holdfast::store {

// A WAL connection with synchronous=FULL that never checkpoints by itself: a checkpoint costs
// fsyncs, so the owner chooses the moment. The file must exist. After an error it stays unusable.
class Connection {
 public:
  struct Options {
    bool exclusive = false;  // locking_mode=EXCLUSIVE: no other connection, no -shm file
    // Nobody writes into the file, and this connection doesn't either, nor beside it.
    bool frozen = false;
    bool read_only = false;  // beside the one that writes: never writes, never checkpoints
    int cache_kib = 256;
    // What the WAL file is cut back to when it starts afresh after a long transaction.
    uint64_t wal_limit_bytes = 16 * 1024 * 1024;
  };

  Connection(FileSystem& files, std::string path, Options options);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  const std::string& path() const { return path_; }
  sqlite3* handle() const { return db_; }

  // Throws if an earlier call failed: what was in flight then is unknown, so nothing after it may
  // be believed (P11: a second fsync may say yes and mean nothing).
  void require_usable() const;
  void exec(const char* sql);
  uint64_t file_bytes() const { return files_.bytes(path_) + files_.bytes(path_ + "-wal"); }
  // Of everything that was written into the WAL since it started afresh.
  uint64_t wal_frames() const { return wal_frames_; }
  // The same in bytes; 0 after everything was checkpointed.
  uint64_t wal_bytes() const { return wal_bytes_; }
  // The main file, without what is in the WAL: how many bytes its pages take, and some of them.
  uint64_t main_file_bytes();
  void read_main_file(uint64_t offset, std::string& into);
  // Copies the WAL into the main file, with its fsyncs; the next commit starts the WAL afresh.
  void checkpoint();
  // Fills the WAL file with zeros up to this size, after the first commit. A commit that overwrites
  // needs no new extents and so no commit of the filesystem's journal: measured on ext4, 120 us
  // instead of 190 us for a row of 200 B.
  void preallocate_wal(uint64_t bytes);
  // Checks the structure of the whole file: every tree, and the list of free pages, from which a
  // page in use could be given out again. Throws kDamaged, and names which of `tables` it is.
  void check(std::initializer_list<const char*> tables);
  // The same, but tells of it; the connection goes on. Throws only if the disk fails.
  std::optional<std::string> find_damage();
  // Of one table and its indexes alone.
  std::optional<std::string> find_damage_in(const char* table);

  // Throws the StoreError that belongs to this result code, and marks the connection unusable.
  [[noreturn]] void fail(int code);
  // The same with a reason of the caller's, which is put behind the file's name.
  [[noreturn]] void fail(StoreError::Kind kind, const std::string& reason);
  // Something beside SQLite failed: no more use of this connection either.
  void abandon() { failed_ = true; }
  // What failed was a look at what is there already: it takes nothing from what is written.
  void go_on_after_damage() { failed_ = false; }

 private:
  void open(Options options);
  void open_frozen(Options options);
  void open_read_only();
  // What SQLite finds wrong; nothing: nothing.
  std::optional<std::string> verdict_of(const std::string& pragma);
  static int on_commit(void* self, sqlite3*, const char*, int frames);

  FileSystem& files_;
  const std::string path_;
  sqlite3* db_ = nullptr;
  bool failed_ = false;
  uint64_t wal_bytes_ = 0;
  uint64_t wal_frames_ = 0;
};

// One prepared statement, reused. Indexes of parameters start at 1, of columns at 0. Texts and
// blobs are bound without a copy: they must live until run() or reset().
class Statement {
 public:
  Statement(Connection& connection, const std::string& sql);
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // SQLite's integers are signed: numbers above 2^63 are stored as their two's complement.
  void bind(int index, uint64_t value) {
    check(sqlite3_bind_int64(statement_, index, static_cast<int64_t>(value)));
  }
  void bind_text(int index, std::string_view text) {
    check(sqlite3_bind_text64(statement_, index, text.data() ? text.data() : "", text.size(),
                              SQLITE_STATIC, SQLITE_UTF8));
  }
  void bind_blob(int index, std::string_view bytes) {
    check(sqlite3_bind_blob64(statement_, index, bytes.data() ? bytes.data() : "", bytes.size(),
                              SQLITE_STATIC));
  }

  bool step() {  // true: a row
    const int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code != SQLITE_DONE) [[unlikely]]
      connection_.fail(code);
    return false;
  }
  void reset() { sqlite3_reset(statement_); }
  void run() {  // a statement that returns no rows
    step();
    reset();
  }

  sqlite3_stmt* handle() const { return statement_; }
  uint64_t number(int column) const {
    return static_cast<uint64_t>(sqlite3_column_int64(statement_, column));
  }
  // Valid until the next step().
  std::string_view bytes(int column) const {
    const void* data = sqlite3_column_blob(statement_, column);
    const int size = sqlite3_column_bytes(statement_, column);
    return {data ? static_cast<const char*>(data) : "", static_cast<size_t>(size)};
  }

 private:
  void check(int code) {
    if (code != SQLITE_OK) [[unlikely]]
      connection_.fail(code);
  }

  Connection& connection_;
  sqlite3_stmt* statement_ = nullptr;
};

}  // namespace holdfast::store
