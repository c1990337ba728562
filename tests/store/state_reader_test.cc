// Reading the record beside its writer: the history page by page, and people's SQL.
#include "lockcore/store/state_reader.h"

#include <doctest/doctest.h>

#include <condition_variable>
#include <mutex>

#include "lockcore/store/reader_thread.h"
#include "tests/store/samples.h"
#include "tests/store/temp_dir.h"

using namespace holdfast;
using namespace holdfast::store_test;
using store::EventsPage;
using store::EventsQuery;
using store::SqlRows;
using store::StateReader;

namespace {

struct ReaderTest {
  explicit ReaderTest(const store::HistoryLimits& limits = {})
      : state(open_state(dir.data(), limits)) {}

  TempDir dir;
  std::unique_ptr<store::LogDb> log = open_log(dir.data());
  std::unique_ptr<store::StateDb> state;
  StateReader reader{dir.data() + "/state.db"};
  uint64_t revision = 0;

  // Events of these names, one slot.
  void write(const std::vector<std::string>& names) {
    base::EventRows rows;
    for (const std::string& name : names) {
      base::EventRow row;
      row.revision = {++revision};
      row.type = base::EventType::kGrant;
      row.name = name;
      row.cause = "free";
      row.mode = base::Mode::kShared;
      row.permits = 1;
      row.waited_ms = 5;
      row.note = "why";
      row.value = std::string("v\0v", 3);
      row.at_wall_ms = 1000 * revision;
      base::Owner owner;
      owner.host = "host of " + name;
      row.owner = std::make_shared<const base::Owner>(owner);
      rows.push_back(std::move(row));
    }
    base::StateWrite write;
    write.meta.applied = {revision};
    write.meta.revision = {revision};
    write.events = std::make_shared<const base::EventRows>(std::move(rows));
    state->write(write);
  }
  EventsPage page(EventsQuery query) {
    if (query.limit == 0) query.limit = 100;
    if (query.max_bytes == 0) query.max_bytes = 1'000'000;
    auto answer = reader.events(query);
    REQUIRE(std::holds_alternative<EventsPage>(answer));
    return std::get<EventsPage>(std::move(answer));
  }
  std::vector<uint64_t> revisions(const EventsQuery& query) {
    std::vector<uint64_t> found;
    for (const base::EventRow& event : page(query).events) found.push_back(event.revision.value);
    return found;
  }
  SqlRows rows(const std::string& text) {
    auto answer = reader.sql({text, 100, 1'000'000});
    REQUIRE(std::holds_alternative<SqlRows>(answer));
    return std::get<SqlRows>(std::move(answer));
  }
  base::ErrorCode refused(const std::string& text) {
    auto answer = reader.sql({text, 100, 1'000'000});
    REQUIRE(std::holds_alternative<base::Error>(answer));
    return std::get<base::Error>(answer).code;
  }
};

using Revisions = std::vector<uint64_t>;

}  // namespace

TEST_CASE("state reader: an event comes back as it was written") {
  ReaderTest t;
  t.write({"jobs/a"});
  const EventsPage page = t.page({});
  REQUIRE(page.events.size() == 1);
  const base::EventRow& event = page.events[0];
  CHECK(event.revision == base::Revision{1});
  CHECK(event.type == base::EventType::kGrant);
  CHECK(event.name == "jobs/a");
  CHECK(event.cause == std::string("free"));
  CHECK(event.mode == base::Mode::kShared);
  CHECK(event.permits == 1);
  CHECK(event.waited_ms == 5);
  CHECK(event.note == "why");
  CHECK(event.value == std::string("v\0v", 3));
  REQUIRE(event.owner != nullptr);
  CHECK(event.owner->host == "host of jobs/a");
  CHECK(page.upto == base::Revision{1});
}

TEST_CASE("state reader: by name, by prefix, by revision and by time") {
  ReaderTest t;
  t.write({"jobs/a", "jobs/b", "jobs", "other", "jobs/a"});
  CHECK(t.revisions({.name = "jobs/a", .exact = true}) == Revisions{1, 5});
  CHECK(t.revisions({.name = "jobs/"}) == Revisions{1, 2, 5});
  CHECK(t.revisions({.name = "jobs"}) == Revisions{1, 2, 3, 5});
  CHECK(t.revisions({}) == Revisions{1, 2, 3, 4, 5});
  CHECK(t.revisions({.after = {3}}) == Revisions{4, 5});
  CHECK(t.revisions({.since_wall_ms = 4000}) == Revisions{4, 5});
  CHECK(t.revisions({.name = "nobody"}).empty());
  CHECK(t.page({.name = "nobody"}).upto == base::Revision{5});
}

TEST_CASE("state reader: a page ends at its limits, and the next one goes on there") {
  ReaderTest t;
  t.write({"a", "a", "a", "a", "a"});
  const EventsPage first = t.page({.limit = 2});
  CHECK(first.events.size() == 2);
  CHECK(first.upto == base::Revision{2});
  CHECK(t.revisions({.after = first.upto}) == Revisions{3, 4, 5});
  const EventsPage small = t.page({.max_bytes = 1});  // one is always told
  CHECK(small.events.size() == 1);
  CHECK(small.upto == base::Revision{1});
}

TEST_CASE("state reader: what is above the record isn't there yet, what was pruned is told") {
  ReaderTest t({.events = 3});
  t.write({"a", "a"});
  CHECK(t.page({.after = {9}}).upto == base::Revision{9});
  CHECK(t.page({}).pruned_through == base::Revision{0});
  t.write({"a", "a", "a"});
  const EventsPage page = t.page({});
  CHECK(page.pruned_through == base::Revision{2});
  CHECK(page.events.size() == 3);
}

TEST_CASE("state reader: a writer goes on beside it, and its checkpoints too") {
  ReaderTest t;
  for (int i = 0; i < 10; ++i) {
    t.write({"a"});
    CHECK(t.page({}).events.size() == static_cast<size_t>(i + 1));
    t.state->checkpoint();
    CHECK(t.state->wal_bytes() == 0);  // no reader holds it back
  }
}

TEST_CASE("sql: values of all kinds") {
  ReaderTest t;
  const SqlRows found = t.rows("SELECT 1 AS one, 2.5, 'text', x'00ff', NULL");
  CHECK(found.columns.at(0) == "one");
  REQUIRE(found.rows.size() == 1);
  const auto& row = found.rows[0];
  CHECK(std::get<int64_t>(row[0]) == 1);
  CHECK(std::get<double>(row[1]) == 2.5);
  CHECK(std::get<std::string>(row[2]) == "text");
  CHECK(std::get<store::SqlBlob>(row[3]).bytes == std::string("\0\xff", 2));
  CHECK(std::holds_alternative<std::monostate>(row[4]));
  CHECK_FALSE(found.more);
}

TEST_CASE("sql: nothing but reading, no secrets, no end of it") {
  ReaderTest t;
  base::StateWrite write;
  write.meta.applied = {1};
  write.leases.put = {{{1}, {1}, 1000, 0, "secret", nullptr, 5}};
  write.answers.put = {{{{1}, 1}, "secret"}};
  t.state->write(write);
  for (const char* text : {"DELETE FROM lease", "UPDATE lease SET ttl_ms = 1", "CREATE TABLE t (x)",
                           "PRAGMA journal_mode=DELETE", "ATTACH '/tmp/other.db' AS other", "BEGIN",
                           "VACUUM", "INSERT INTO lease SELECT * FROM lease"}) {
    CAPTURE(std::string(text));
    CHECK(t.refused(text) == base::ErrorCode::kPermissionDenied);
  }
  CHECK(t.refused("SELECT 1; SELECT 2") == base::ErrorCode::kInvalidArgument);
  CHECK(t.refused("SELEC 1") == base::ErrorCode::kInvalidArgument);
  CHECK(t.refused("") == base::ErrorCode::kInvalidArgument);
  CHECK(t.refused(" ; ") == base::ErrorCode::kInvalidArgument);
  CHECK(t.refused("SELECT * FROM nothing") == base::ErrorCode::kInvalidArgument);
  CHECK(t.refused("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
                  "SELECT max(i) FROM n") == base::ErrorCode::kResourceExhausted);
  for (const char* text : {"SELECT secret FROM lease", "SELECT answer FROM answer"}) {
    CHECK(std::holds_alternative<std::monostate>(t.rows(text).rows.at(0).at(0)));
  }
  CHECK(t.rows("SELECT count(*) FROM lease WHERE secret = 'secret'").rows.at(0).at(0) ==
        store::SqlValue(int64_t{0}));
  CHECK(t.rows("SELECT lease FROM lease;").rows.size() == 1);  // and it goes on after all that
}

TEST_CASE("sql: an answer is cut at its limits, and says so") {
  ReaderTest t;
  const std::string many =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 500) SELECT i FROM n";
  const SqlRows found = t.rows(many);
  CHECK(found.rows.size() == 100);
  CHECK(found.more);
}

TEST_CASE("reader thread: answers in order, and none to what was forgotten or after a close") {
  ReaderTest t;
  t.write({"a"});
  std::mutex mutex;
  std::condition_variable woken;
  int wakes = 0;
  store::ReaderThread thread(t.dir.data() + "/state.db", [&] {
    const std::lock_guard lock(mutex);
    ++wakes;
    woken.notify_all();
  });
  thread.ask(1, store::EventsQuery{.limit = 10, .max_bytes = 1000});
  thread.ask(2, store::SqlQuery{"SELECT 2", 10, 1000});
  std::vector<store::ReaderThread::Answered> answers;
  while (answers.size() < 2) {
    std::unique_lock lock(mutex);
    woken.wait(lock, [&] { return wakes > 0; });
    wakes = 0;
    lock.unlock();
    for (auto& answer : thread.drain()) answers.push_back(std::move(answer));
  }
  CHECK(answers[0].id == 1);
  CHECK(std::holds_alternative<EventsPage>(answers[0].answer));
  CHECK(answers[1].id == 2);
  CHECK(std::holds_alternative<SqlRows>(answers[1].answer));
}
