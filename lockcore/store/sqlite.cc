#include "lockcore/store/sqlite.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <utility>

namespace holdfast::store {
namespace {

using Kind = StoreError::Kind;

// A frame of the WAL: a header of 24 bytes and a page of the default size.
constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kFrameBytes = 24 + kPageBytes;

Kind kind_of(int code, int system_errno) {
  switch (code & 0xff) {
    case SQLITE_FULL: return Kind::kFull;
    // Of a page that it can't read SQLite says the same as of one that makes no sense.
    case SQLITE_CORRUPT: return system_errno == EIO ? Kind::kIo : Kind::kDamaged;
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
    // Our statements and rows never change: a table isn't what it was, or has what it can't have.
    case SQLITE_ERROR:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH: return Kind::kDamaged;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return Kind::kInUse;
    // A full disk may show as late as in the fsync.
    default: return system_errno == ENOSPC || system_errno == EDQUOT ? Kind::kFull : Kind::kIo;
  }
}

// errno of the last failed call on the WAL or the main file; 0 if there was none. A failed COMMIT
// doesn't show in sqlite3_system_errno().
int last_errno(sqlite3* db) {
  sqlite3_file* wal = nullptr;
  int of_wal = 0;
  int of_main = 0;
  sqlite3_file_control(db, nullptr, SQLITE_FCNTL_JOURNAL_POINTER, &wal);
  if (wal && wal->pMethods) wal->pMethods->xFileControl(wal, SQLITE_FCNTL_LAST_ERRNO, &of_wal);
  sqlite3_file_control(db, nullptr, SQLITE_FCNTL_LAST_ERRNO, &of_main);
  if (of_wal != 0) return of_wal;
  return of_main != 0 ? of_main : sqlite3_system_errno(db);
}

std::string advice_for(Kind kind) {
  switch (kind) {
    case Kind::kFull:
      return "the disk is full; free some space and start the node again, nothing that was "
             "acknowledged is lost";
    case Kind::kDamaged: return std::string("the file is damaged; ") + kReplaceAdvice;
    case Kind::kInUse: return "another program has the file open; end it and start the node again";
    default:
      return "the node stops, since what did not reach the disk is unknown; check the disk and "
             "the kernel's log, then start the node again";
  }
}

// A quick_check tells of a page that it couldn't read among all that is wrong. But that is the
// disk's failure, and may be gone the next time; no page number that makes no sense gets so far.
bool tells_of_failed_read(const std::string& verdict) {
  constexpr std::string_view kWithCode = "unable to get the page. error code=";
  if (verdict.find("failed to get page") != std::string::npos) return true;
  const size_t at = verdict.find(kWithCode);
  return at != std::string::npos &&
         (std::atoi(verdict.c_str() + at + kWithCode.size()) & 0xff) == SQLITE_IOERR;
}

}  // namespace

Connection::Connection(FileSystem& files, std::string path, Options options)
    : files_(files), path_(std::move(path)) {
  try {
    options.read_only ? open_read_only() : open(options);
  } catch (...) {
    sqlite3_close_v2(db_);
    throw;
  }
}

void Connection::open_frozen(Options options) {
  // SQLite's word for a file that doesn't change: it needs neither locks nor a WAL beside it.
  std::string uri = "file:";
  for (const char c : path_) {
    constexpr const char* kHex = "0123456789ABCDEF";
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) || std::strchr("/._-", c) != nullptr) {
      uri += c;
    } else {
      uri += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  uri += "?immutable=1";
  const int code = sqlite3_open_v2(
      uri.c_str(), &db_,
      SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
      files_.sqlite_vfs());
  if (code != SQLITE_OK) fail(code);
  exec("PRAGMA cell_size_check=ON");
  exec(("PRAGMA cache_size=-" + std::to_string(options.cache_kib)).c_str());
}

void Connection::open(Options options) {
  if (options.frozen) return open_frozen(options);
  const int code = sqlite3_open_v2(
      path_.c_str(), &db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
      files_.sqlite_vfs());
  if (code != SQLITE_OK) fail(code);
  // Closing must not write either: after a failed fsync it would copy pages that may never have
  // reached the disk over the good ones, and sync again (P11).
  sqlite3_db_config(db_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  // Before the first access, so that the WAL's index lives on the heap and not in a -shm file.
  if (options.exclusive) exec("PRAGMA locking_mode=EXCLUSIVE");
  Statement mode(*this, "PRAGMA journal_mode=WAL");
  if (!mode.step() || mode.bytes(0) != "wal") fail(SQLITE_CANTOPEN);
  mode.run();  // to its end: in a new file that is where it is written, and may fail
  exec("PRAGMA synchronous=FULL");
  exec("PRAGMA wal_autocheckpoint=0");
  exec("PRAGMA cell_size_check=ON");
  exec("PRAGMA secure_delete=OFF");  // Debian's default is ON: zeroes what is deleted, for nothing
  exec("PRAGMA temp_store=MEMORY");
  exec(("PRAGMA journal_size_limit=" + std::to_string(options.wal_limit_bytes)).c_str());
  exec(("PRAGMA cache_size=-" + std::to_string(options.cache_kib)).c_str());
  sqlite3_wal_hook(db_, &Connection::on_commit, this);
  // The WAL is there by now. SQLite syncs its directory too, but doesn't mind if that fails.
  files_.sync_directory(std::filesystem::path(path_).parent_path());
}

void Connection::open_read_only() {
  const int code = sqlite3_open_v2(
      path_.c_str(), &db_, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
      files_.sqlite_vfs());
  if (code != SQLITE_OK) fail(code);
  exec("PRAGMA query_only=ON");
  exec("PRAGMA temp_store=MEMORY");
  exec("PRAGMA cell_size_check=ON");
  sqlite3_busy_timeout(db_, 1000);  // ms; the writer never holds a lock that readers wait for long
}

Connection::~Connection() {
  sqlite3_close_v2(db_);
}

int Connection::on_commit(void* self, sqlite3*, const char*, int frames) {
  Connection& connection = *static_cast<Connection*>(self);
  connection.wal_frames_ = static_cast<uint64_t>(frames);
  connection.wal_bytes_ = connection.wal_frames_ * kFrameBytes;
  return SQLITE_OK;
}

void Connection::require_usable() const {
  if (failed_) {
    throw StoreError(Kind::kIo, path_ + ": not used any more after its first error");
  }
}

void Connection::exec(const char* sql) {
  const int code = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) fail(code);
}

void Connection::checkpoint() {
  require_usable();
  int frames = 0;
  int copied = 0;
  const int code =
      sqlite3_wal_checkpoint_v2(db_, nullptr, SQLITE_CHECKPOINT_PASSIVE, &frames, &copied);
  if (code != SQLITE_OK) fail(code);
  // A reader may hold some back (state.db has one): then the WAL goes on growing until next time.
  if (frames == copied) wal_bytes_ = 0;
}

uint64_t Connection::main_file_bytes() {
  // sqlite.org/fileformat2.html, 1.3.7: the size of the database in pages.
  std::string header(100, '\0');
  read_main_file(0, header);
  uint64_t pages = 0;
  for (size_t i = 28; i < 32; ++i) pages = pages << 8 | static_cast<unsigned char>(header[i]);
  return pages * kPageBytes;
}

void Connection::read_main_file(uint64_t offset, std::string& into) {
  require_usable();
  sqlite3_file* file = nullptr;
  int code = sqlite3_file_control(db_, nullptr, SQLITE_FCNTL_FILE_POINTER, &file);
  if (code == SQLITE_OK) {
    code = file->pMethods->xRead(file, into.data(), static_cast<int>(into.size()),
                                 static_cast<sqlite3_int64>(offset));
  }
  if (code != SQLITE_OK) fail(code);
}

void Connection::preallocate_wal(uint64_t bytes) {
  require_usable();
  // SQLite's locks are on the main file alone, so closing another descriptor of the WAL drops none.
  try {
    const std::unique_ptr<File> wal = files_.open(path_ + "-wal");
    if (!wal) fail(SQLITE_CANTOPEN);
    const std::string zeros(64 * 1024, '\0');
    for (uint64_t end = wal->size(); end < bytes; end += zeros.size()) {
      wal->write(end, std::string_view(zeros).substr(0, bytes - end));
    }
    wal->sync();
  } catch (...) {
    abandon();
    throw;
  }
}

void Connection::check(std::initializer_list<const char*> tables) {
  const std::optional<std::string> verdict = verdict_of("PRAGMA quick_check(1)");
  if (!verdict) return;
  for (const char* table : tables) {
    const auto of_table = verdict_of(std::string("PRAGMA quick_check(") + table + ")");
    if (!of_table) continue;
    fail(Kind::kDamaged,
         std::string("table `") + table + "` is damaged (" + *of_table + "); " + kReplaceAdvice);
  }
  fail(Kind::kDamaged, "is damaged (" + *verdict + "); " + kReplaceAdvice);
}

std::optional<std::string> Connection::find_damage() {
  require_usable();
  exec("PRAGMA shrink_memory");  // what SQLite has in memory says nothing about the file
  const std::optional<std::string> verdict = verdict_of("PRAGMA quick_check(1)");
  if (!verdict) return std::nullopt;
  return path_ + ": is damaged (" + *verdict + ")";
}

std::optional<std::string> Connection::find_damage_in(const char* table) {
  require_usable();
  return verdict_of(std::string("PRAGMA quick_check(") + table + ")");
}

std::optional<std::string> Connection::verdict_of(const std::string& pragma) {
  Statement check(*this, pragma);
  if (!check.step()) fail(SQLITE_CORRUPT);
  const std::string verdict(check.bytes(0));
  if (verdict == "ok") return std::nullopt;
  if (tells_of_failed_read(verdict)) fail(SQLITE_IOERR_READ);
  return verdict;
}

void Connection::fail(int code) {
  std::string what =
      db_ && sqlite3_errcode(db_) != SQLITE_OK ? sqlite3_errmsg(db_) : sqlite3_errstr(code);
  const int system_errno = db_ ? last_errno(db_) : 0;
  const Kind kind = kind_of(code, system_errno);
  what += " (SQLite " + std::to_string(code);
  const bool is_io = kind == Kind::kIo || kind == Kind::kFull;
  if (is_io && system_errno != 0) what += std::string(", ") + std::strerror(system_errno);
  fail(kind, what + "): " + advice_for(kind));
}

void Connection::fail(Kind kind, const std::string& reason) {
  failed_ = true;
  throw StoreError(kind, path_ + ": " + reason);
}

Statement::Statement(Connection& connection, const std::string& sql) : connection_(connection) {
  const int code =
      sqlite3_prepare_v3(connection.handle(), sql.c_str(), static_cast<int>(sql.size() + 1),
                         SQLITE_PREPARE_PERSISTENT, &statement_, nullptr);
  if (code != SQLITE_OK) connection.fail(code);
}

}  // namespace holdfast::store
