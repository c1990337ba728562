#include "lockcore/store/data_dir.h"

#include <cerrno>
#include <cstring>
#include <memory>
#include <regex>
#include <vector>

#include "lockcore/store/sqlite.h"
#include "lockcore/store/store_error.h"

namespace holdfast::store {
namespace {

using Kind = StoreError::Kind;

void sync_and_drop(File& file) {
  file.sync();
  file.drop_cache();  // only clean pages are dropped, hence the sync before
}

// Reads it from end to end, into the page cache. The checks that follow walk through whole tables
// from their last page to their first, for which a disk takes ten times as long.
void read_through(File& file) {
  std::vector<char> buffer(1 << 20);
  for (uint64_t offset = 0;;) {
    const size_t n = file.read(offset, buffer.data(), buffer.size());
    if (n == 0) return;
    offset += n;
  }
}

uint32_t big_endian(const unsigned char* bytes) {
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
}

// Reads SQLite's header (sqlite.org/fileformat2.html, 1.3) without SQLite, which might start to
// recover another program's database. Ours never changes after create_database().
void check_header(File& file, const std::string& path, const FileFormat& format) {
  unsigned char header[100];
  const size_t n = file.read_all(0, header, sizeof header);
  if (n == 0) {
    throw StoreError(Kind::kDamaged, path +
                                         ": is empty, which Holdfast never leaves behind: the "
                                         "file is damaged; " +
                                         kReplaceAdvice);
  }
  const bool is_sqlite = n == sizeof header && std::memcmp(header, "SQLite format 3", 16) == 0;
  if (!is_sqlite) {
    throw StoreError(Kind::kForeign,
                     path +
                         ": is not an SQLite database. If it is another program's file, give "
                         "the node a directory of its own (--data-dir); if it was Holdfast's " +
                         format.name + ", it is damaged: " + kReplaceAdvice);
  }
  if (big_endian(header + 68) != format.application_id) {
    throw StoreError(Kind::kForeign, path + ": is an SQLite database, but not Holdfast's " +
                                         format.name +
                                         "; give the node a directory of its own "
                                         "(--data-dir)");
  }
  const uint32_t version = big_endian(header + 60);
  if (version != format.version) {
    throw StoreError(Kind::kForeign, path + ": has format " + std::to_string(version) +
                                         ", this program knows " + std::to_string(format.version) +
                                         "; start the version of holdfastd that wrote it");
  }
}

}  // namespace

bool has_state_file(FileSystem& files, const std::string& dir) {
  for (const std::string& name : files.list(dir)) {
    if (name.starts_with("state") && name.ends_with(".db")) return true;
  }
  return false;
}

void remove_old_state_files(FileSystem& files, const std::string& dir, const std::string& current) {
  // state.db, state-SLOT.db, and what SQLite and an unfinished writing put beside them.
  static const std::regex kMade("(state(-[0-9]+)?\\.db)(\\.new)?(-wal|-shm)?");
  for (const std::string& name : files.list(dir)) {
    std::smatch parts;
    if (!std::regex_match(name, parts, kMade)) continue;
    if (parts[1] == current && !parts[3].matched) continue;
    files.remove(dir + "/" + name);
  }
}

WalScan examine_database(FileSystem& files, const std::string& path, const FileFormat& format,
                         const WalMark& written) {
  const std::unique_ptr<File> file = files.open(path);
  if (!file) fail_io(path, "can't open it", ENOENT);
  sync_and_drop(*file);
  check_header(*file, path, format);
  WalScan scan;
  if (const std::unique_ptr<File> wal = files.open(path + "-wal")) {
    sync_and_drop(*wal);
    scan = scan_wal(*wal, written);
  }
  if (scan.damage) {
    throw StoreError(Kind::kDamaged, path + "-wal: " + scan.damage->what +
                                         ": acknowledged transactions are lost; " + kReplaceAdvice);
  }
  read_through(*file);
  return scan;
}

std::string create_draft(FileSystem& files, const std::string& dir, const std::string& file,
                         const FileFormat& format, const std::function<void(Connection&)>& fill) {
  std::string draft = dir + "/" + file + ".new";
  // What an interrupted start left.
  for (const char* suffix : {"", "-wal", "-shm"}) files.remove(draft + suffix);
  files.create(draft);
  {
    Connection draft_db(files, draft, {.exclusive = true});
    draft_db.exec("BEGIN");
    draft_db.exec(("PRAGMA application_id=" + std::to_string(format.application_id)).c_str());
    draft_db.exec(("PRAGMA user_version=" + std::to_string(format.version)).c_str());
    fill(draft_db);
    draft_db.exec("COMMIT");
    draft_db.checkpoint();
  }
  files.remove(draft + "-wal");
  sync_and_drop(*files.open(draft));
  return draft;
}

void create_database(FileSystem& files, const std::string& dir, const std::string& file,
                     const FileFormat& format, const std::function<void(Connection&)>& fill) {
  const std::string path = dir + "/" + file;
  // An old WAL beside a new database would be taken for its own.
  files.remove(path + "-wal");
  files.rename(create_draft(files, dir, file, format, fill), path);
  files.sync_directory(dir);
}

}  // namespace holdfast::store
