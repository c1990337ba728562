// Directories and files that a node must not use: each refusal says what is wrong, with which file,
// and what to do (DESIGN 8, P10, P11).
#include <doctest/doctest.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/store/samples.h"
#include "tests/store/temp_dir.h"

using namespace holdfast;
using namespace holdfast::store_test;
using Kind = store::StoreError::Kind;

namespace {

constexpr const char* kReplace = "lockctl member replace";

// Runs SQL on a file as another program would.
void run_sql(const std::string& path, const std::string& sql) {
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &db) == SQLITE_OK);
  char* message = nullptr;
  const int code = sqlite3_exec(db, sql.c_str(), nullptr, nullptr, &message);
  const std::string text = message ? message : "";
  sqlite3_free(message);
  sqlite3_close(db);
  REQUIRE_MESSAGE(code == SQLITE_OK, text);
}

Refused opening_log(const std::string& dir) {
  return refusal_of([&] { open_log(dir)->recover({}); });
}

Refused opening_state(const std::string& dir) {
  return refusal_of([&] { open_state(dir)->load(); });
}

}  // namespace

TEST_CASE("data directory: a second process is refused, and told who is there") {
  TempDir dir;
  const auto log = open_log(dir.data());
  const Refused refused = opening_log(dir.data());
  CHECK(refused.kind == Kind::kInUse);
  CHECK(refused.says(dir.data()));
  CHECK(refused.says("process " + std::to_string(::getpid())));
}

TEST_CASE("data directory: the lock goes with its process, however it ends") {
  TempDir dir;
  const pid_t child = ::fork();
  if (child == 0) {
    const auto log = open_log(dir.data());
    ::_exit(0);  // no destructor runs
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK_FALSE(opening_log(dir.data()).thrown);
}

TEST_CASE("data directory: a file in its place is named") {
  TempDir dir;
  write_file(dir.data(), "hello");
  const Refused refused = opening_log(dir.data());
  CHECK(refused.kind == Kind::kIo);
  CHECK(refused.says(dir.data() + ": is not a directory"));
}

TEST_CASE("data directory: missing parents are created, and only the directory itself is closed") {
  TempDir dir;
  using std::filesystem::perms;
  const auto mode = [&](const char* name) {
    return std::filesystem::status(dir.path() + name).permissions();
  };
  const mode_t before = ::umask(022);
  CHECK_FALSE(opening_log(dir.path() + "/a/b/c").thrown);
  CHECK_FALSE(opening_log(dir.path() + "/d/e/").thrown);
  ::umask(before);
  CHECK(mode("/a/b") == perms(0755));
  CHECK(mode("/a/b/c") == perms(0700));
  CHECK(mode("/d") == perms(0755));
  CHECK(mode("/d/e") == perms(0700));
}

TEST_CASE("data directory: a file in the place of a parent is named") {
  TempDir dir;
  write_file(dir.data(), "hello");
  const Refused refused = opening_log(dir.data() + "/a/b");
  CHECK(refused.kind == Kind::kIo);
  CHECK(refused.says(dir.data() + "/a: can't create the directory: Not a directory"));
}

TEST_CASE("data directory: one that this user may not write is named, with the reason") {
  // Root may write anywhere, so a child gives that up first.
  TempDir dir;
  std::filesystem::create_directory(dir.data());
  std::filesystem::permissions(dir.path(), std::filesystem::perms(0755));
  std::filesystem::permissions(dir.data(), std::filesystem::perms(0555));
  int channel[2];
  REQUIRE(::pipe(channel) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::geteuid() == 0 && ::setresuid(65534, 65534, 65534) != 0) ::_exit(1);
    // Relative, since the way here may be closed to that user.
    if (::chdir(dir.data().c_str()) != 0) {
      (void)!::write(channel[1], "unreachable", 11);
      ::_exit(0);
    }
    const std::string message = opening_log(".").message;
    (void)!::write(channel[1], message.data(), message.size());
    ::_exit(0);
  }
  ::close(channel[1]);
  char buffer[1000] = {};
  const ssize_t n = ::read(channel[0], buffer, sizeof buffer - 1);
  ::close(channel[0]);
  ::waitpid(child, nullptr, 0);
  const std::string message(buffer, n > 0 ? static_cast<size_t>(n) : 0);
  if (message == "unreachable") {
    MESSAGE("not run: the build directory is closed to other users");
    return;
  }
  CHECK(message.find("can't write in the directory: Permission denied") != std::string::npos);
  CHECK(message.find("--data-dir") != std::string::npos);
}

TEST_CASE("log.db: another node's directory is refused") {
  TempDir dir;
  make_used_directory(dir.data(), 1);
  const Refused refused = refusal_of([&] { store::LogDb(dir.data(), {2}, {5}, ""); });
  CHECK(refused.kind == Kind::kForeign);
  CHECK(refused.says("belongs to node 1, not to node 2"));
  CHECK_FALSE(opening_log(dir.data()).thrown);  // and is not harmed by the attempt
}

TEST_CASE("log.db, state.db: what isn't an SQLite database is refused untouched") {
  TempDir dir;
  std::filesystem::create_directory(dir.data());
  const std::string garbage(5000, 'g');
  write_file(dir.data() + "/log.db", garbage);
  write_file(dir.data() + "/state.db", garbage);
  const Refused log = opening_log(dir.data());
  CHECK(log.kind == Kind::kForeign);
  CHECK(log.says(dir.data() + "/log.db: is not an SQLite database"));
  CHECK(log.says(kReplace));
  const Refused state = opening_state(dir.data());
  CHECK(state.kind == Kind::kForeign);
  CHECK(state.says(dir.data() + "/state.db: is not an SQLite database"));
  CHECK(read_file(dir.data() + "/log.db") == garbage);
  CHECK(read_file(dir.data() + "/state.db") == garbage);
}

TEST_CASE("log.db, state.db: another program's SQLite database is refused untouched") {
  TempDir dir;
  std::filesystem::create_directory(dir.data());
  for (const char* file : {"/log.db", "/state.db"}) {
    run_sql(dir.data() + file, "CREATE TABLE bookmarks (url TEXT)");
  }
  const std::string before = read_file(dir.data() + "/log.db");
  const Refused log = opening_log(dir.data());
  CHECK(log.kind == Kind::kForeign);
  CHECK(log.says("log.db: is an SQLite database, but not Holdfast's log database"));
  CHECK(log.says("--data-dir"));
  CHECK(opening_state(dir.data()).says("but not Holdfast's state database"));
  CHECK(read_file(dir.data() + "/log.db") == before);
}

TEST_CASE("log.db, state.db: one file put in the place of the other is refused") {
  TempDir dir;
  make_used_directory(dir.data(), 1);
  std::filesystem::remove(dir.data() + "/log.db-wal");
  std::filesystem::copy_file(dir.data() + "/state.db", dir.data() + "/log.db",
                             std::filesystem::copy_options::overwrite_existing);
  CHECK(opening_log(dir.data()).kind == Kind::kForeign);
}

TEST_CASE("log.db, state.db: a newer version's file is refused, and both versions are named") {
  TempDir dir;
  make_used_directory(dir.data(), 1);
  for (const char* file : {"/log.db", "/state.db"}) {
    run_sql(dir.data() + file, "PRAGMA user_version = 9");
  }
  const Refused log = opening_log(dir.data());
  CHECK(log.kind == Kind::kForeign);
  CHECK(log.says("log.db: has format 9, this program knows 3"));
  CHECK(opening_state(dir.data()).says("state.db: has format 9, this program knows 7"));
}

TEST_CASE("log.db: empty, beside a state.db or not, is damage and no fresh start") {
  // An empty log.db taken for a new one would forget the node's promises.
  TempDir dir;
  make_used_directory(dir.data(), 1);
  write_file(dir.data() + "/log.db", "");
  const Refused refused = opening_log(dir.data());
  CHECK(refused.kind == Kind::kDamaged);
  CHECK(refused.says("log.db: is empty"));
  CHECK(refused.says(kReplace));
  std::filesystem::remove(dir.data() + "/state.db");
  CHECK(opening_log(dir.data()).kind == Kind::kDamaged);
}

TEST_CASE("log.db: missing beside a state.db or a WAL of its own is a lost disk") {
  for (const std::string survivor : {"/state.db", "/log.db-wal"}) {
    TempDir dir;
    make_used_directory(dir.data(), 1);
    for (const std::string file : {"/state.db", "/log.db-wal", "/log.db"}) {
      if (file != survivor) std::filesystem::remove(dir.data() + file);
    }
    const Refused refused = opening_log(dir.data());
    CHECK(refused.kind == Kind::kDiskLost);
    CHECK(refused.says("log.db: is missing, but the directory was in use"));
    CHECK(refused.says(kReplace));
  }
}

TEST_CASE("log.db: a first start that was interrupted is simply started again") {
  // Databases are made under another name, so that half of one is never mistaken for damage.
  TempDir dir;
  std::filesystem::create_directory(dir.data());
  write_file(dir.data() + "/log.db.new", "half");
  write_file(dir.data() + "/log.db.new-wal", "half");
  open_log(dir.data());
  CHECK_FALSE(std::filesystem::exists(dir.data() + "/log.db.new"));
  CHECK_FALSE(std::filesystem::exists(dir.data() + "/log.db.new-wal"));
  // Stopped before state.db was made: nothing was promised yet.
  CHECK_FALSE(opening_log(dir.data()).thrown);
}

TEST_CASE("state.db: missing, when the log names it, is refused") {
  TempDir dir;
  make_used_directory(dir.data(), 3, 2);
  std::filesystem::remove(dir.data() + "/state.db");
  const Refused refused = opening_log(dir.data());
  CHECK(refused.kind == Kind::kDiskLost);
  CHECK(refused.says("/state.db: is missing"));
  CHECK(refused.says("put it back"));
  CHECK(refused.says(kReplace));
}

TEST_CASE("state.db: another directory's is refused") {
  // Another cell's would be taken for this one's, were its applied slot in this node's log.
  TempDir dir, other;
  make_used_directory(dir.data(), 5, 5);
  {
    const store::LogDb log(other.data(), {1}, {4711}, "");
    CHECK(log.incarnation() == base::Incarnation{4711});
    store::StateDb(other.data(), log.state_file(), log.incarnation());
  }
  std::filesystem::copy_file(other.data() + "/state.db", dir.data() + "/state.db",
                             std::filesystem::copy_options::overwrite_existing);
  std::filesystem::remove(dir.data() + "/state.db-wal");
  const Refused refused = opening_state(dir.data());
  CHECK(refused.kind == Kind::kForeign);
  CHECK_MESSAGE(refused.says("/state.db: belongs to another directory than log.db beside it"),
                refused.message);
  CHECK(refused.says("put back"));
  CHECK(refused.says(kReplace));
}

TEST_CASE("log.db: one that lost rows which state.db has seen is refused as a lost disk") {
  // A slot is recorded only once the log holds it durably: the log is an older copy.
  TempDir dir;
  make_used_directory(dir.data(), 5, 5);
  run_sql(dir.data() + "/log.db", "DELETE FROM log WHERE slot >= 4");
  const Refused refused = refusal_of([&] { open_log(dir.data())->recover({5}); });
  CHECK(refused.kind == Kind::kDiskLost);
  CHECK(refused.says("has no row for slot 5 (its last is 3)"));
  CHECK(refused.says(kReplace));
}

TEST_CASE("log.db: held open by another program is refused") {
  TempDir dir;
  make_used_directory(dir.data(), 1);
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open((dir.data() + "/log.db").c_str(), &db) == SQLITE_OK);
  REQUIRE(sqlite3_exec(db, "BEGIN; SELECT * FROM log", nullptr, nullptr, nullptr) == SQLITE_OK);
  // POSIX locks are a process's own, so the refused one must be another.
  int channel[2];
  REQUIRE(::pipe(channel) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const Refused refused = opening_log(dir.data());
    const char verdict = refused.kind == Kind::kInUse && refused.says("log.db: ") &&
                                 refused.says("another program has the file open")
                             ? 'y'
                             : 'n';
    (void)!::write(channel[1], &verdict, 1);
    ::_exit(0);
  }
  char verdict = 0;
  CHECK(::read(channel[0], &verdict, 1) == 1);
  CHECK(verdict == 'y');
  ::waitpid(child, nullptr, 0);
  ::close(channel[0]);
  ::close(channel[1]);
  sqlite3_close(db);
}
