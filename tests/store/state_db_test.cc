// state.db: rows come back as they were, history stays within its bounds.
#include <doctest/doctest.h>
#include <sqlite3.h>

#include <limits>

#include "lockcore/base/limits.h"
#include "lockcore/store/row_codec.h"
#include "tests/store/samples.h"
#include "tests/store/temp_dir.h"

using namespace holdfast;
using namespace holdfast::store_test;

namespace {

constexpr uint64_t kHuge = std::numeric_limits<uint64_t>::max();

// A state.db in a directory of its own.
struct Fixture {
  explicit Fixture(const store::HistoryLimits& history = {}) : limits(history) {}

  TempDir dir;
  const store::HistoryLimits limits;
  std::unique_ptr<store::LogDb> log = open_log(dir.data());
  std::unique_ptr<store::StateDb> state = open_state(dir.data(), limits);

  base::StateRows reloaded() {
    state.reset();
    state = open_state(dir.data(), limits);
    return state->load();
  }
  // The first column of the first row, asked beside the writer as `lockctl sql` will.
  std::string ask(const std::string& sql) {
    sqlite3* db = nullptr;
    REQUIRE(sqlite3_open_v2((dir.data() + "/state.db").c_str(), &db, SQLITE_OPEN_READONLY,
                            nullptr) == SQLITE_OK);
    sqlite3_stmt* query = nullptr;
    REQUIRE(sqlite3_prepare_v2(db, sql.c_str(), -1, &query, nullptr) == SQLITE_OK);
    REQUIRE(sqlite3_step(query) == SQLITE_ROW);
    const std::string answer = reinterpret_cast<const char*>(sqlite3_column_text(query, 0));
    sqlite3_finalize(query);
    sqlite3_close(db);
    return answer;
  }
};

base::EventRow event(uint64_t revision, uint64_t cell_ms) {
  base::EventRow row;
  row.revision = {revision};
  row.type = base::EventType::kRelease;
  row.name = "jobs/nightly";
  row.cause = "released";
  row.at_wall_ms = 1'790'000'000'000 + cell_ms;
  row.at_cell_ms = cell_ms;
  return row;
}

std::shared_ptr<const base::EventRows> events(uint64_t first, uint64_t count, uint64_t cell_ms) {
  base::EventRows rows;
  for (uint64_t i = 0; i < count; ++i) rows.push_back(event(first + i, cell_ms));
  return std::make_shared<const base::EventRows>(std::move(rows));
}

}  // namespace

TEST_CASE("state.db: a new one is empty, and its applied slot is 0") {
  Fixture f;
  const base::StateRows rows = f.reloaded();
  CHECK(rows.meta == base::MetaRow{});
  CHECK(rows.leases.empty());
  CHECK(rows.answers.empty());
}

TEST_CASE("state.db: every column of every row comes back") {
  // With values at the edges: numbers above 2^63, empty texts, bytes that aren't text.
  Fixture f;
  const auto owner = std::make_shared<const base::Owner>(base::Owner{
      "host-1", 4711, "boot-id", "worker", "deploy", "nightly run", "0.1.0", 1'790'000'000'000});
  base::StateWrite write;
  write.meta = {{42}, {kHuge}, 43, 44, {45}, {46, {47}}, kHuge - 1};
  write.leases.put = {{{1}, {2}, 10'000, 60'000, std::string("s\0cret", 6), owner, 7},
                      {{2}, {2}, 500, 0, "", nullptr, 0}};
  write.locks.put = {{"a/b", {9}, 3}, {"ü", {kHuge}, std::numeric_limits<uint32_t>::max()}};
  write.holds.put = {{{9}, "a/b", {1}, {kHuge}, {5}, base::Mode::kShared, 2, 8, 8, 77, "because"}};
  write.waiters.put = {
      {{10}, "a/b", {2}, {1}, {kHuge}, base::Mode::kExclusive, 1, 9, 9, {2}, 78, "why not"}};
  write.clients.put = {{{2}, 5, {{7, 9}, {11, 11}, {20, kHuge}}, 100, 3'600'000},
                       {{3}, 1, {}, 0, 0}};
  write.answers.put = {{{{2}, 7}, std::string("\0\xff\x01", 3)}, {{{2}, 8}, ""}};
  write.config = base::Config{
      {}, {45}, {{{1}, {kHuge}, "host:1", true}, {{4}, {}, "host:2", false}}, {{2}, {3}}};
  f.state->write(write);

  const base::StateRows rows = f.reloaded();
  CHECK(rows.meta == write.meta);
  REQUIRE(rows.leases.size() == 2);
  const base::LeaseRow& lease = rows.leases[0];
  CHECK(lease.id == base::LeaseId{1});
  CHECK(lease.client == base::ClientId{2});
  CHECK(lease.ttl_ms == 10'000);
  CHECK(lease.lock_delay_ms == 60'000);
  CHECK(lease.secret == std::string("s\0cret", 6));
  CHECK(*lease.owner == *owner);
  CHECK(lease.opened_wall_ms == 7);
  CHECK(*rows.leases[1].owner == base::Owner{});
  REQUIRE(rows.locks.size() == 2);
  CHECK(rows.locks[1].name == "ü");
  CHECK(rows.locks[1].revision == base::Revision{kHuge});
  CHECK(rows.locks[1].capacity == std::numeric_limits<uint32_t>::max());
  REQUIRE(rows.holds.size() == 1);
  const base::HoldRow& hold = rows.holds[0];
  CHECK(hold.token == base::Token{9});
  CHECK(hold.lock == "a/b");
  CHECK(hold.lease == base::LeaseId{1});
  CHECK(hold.holder == base::HolderId{kHuge});
  CHECK(hold.agent == base::AgentId{5});
  CHECK(hold.mode == base::Mode::kShared);
  CHECK(hold.permits == 2);
  CHECK(hold.acquired_wall_ms == 8);
  CHECK(hold.number == 77);
  CHECK(hold.reason == "because");
  REQUIRE(rows.waiters.size() == 1);
  const base::WaiterRow& waiter = rows.waiters[0];
  CHECK(waiter.queued == base::Revision{10});
  CHECK(waiter.mode == base::Mode::kExclusive);
  CHECK(waiter.agent == base::AgentId{kHuge});
  CHECK(waiter.since_wall_ms == 9);
  CHECK(waiter.client == base::ClientId{2});
  CHECK(waiter.number == 78);
  CHECK(waiter.reason == "why not");
  REQUIRE(rows.clients.size() == 2);
  CHECK(rows.clients[0].acked == write.clients.put[0].acked);
  CHECK(rows.clients[0].lowest_unanswered == 5);
  CHECK(rows.clients[0].last_use_cell_ms == 100);
  CHECK(rows.clients[0].ttl_ms == 3'600'000);
  CHECK(rows.clients[1].acked.empty());
  REQUIRE(rows.answers.size() == 2);
  CHECK(rows.answers[0].key == base::AnswerKey{{2}, 7});
  CHECK(rows.answers[0].answer == std::string("\0\xff\x01", 3));
  CHECK(rows.config == *write.config);
}

TEST_CASE("state.db: rows are replaced and erased, and erasing what never was there is fine") {
  Fixture f;
  base::StateWrite first;
  first.meta.applied = {1};
  first.locks.put = {{"stays", {1}, 0}, {"changes", {2}, 0}, {"goes", {3}, 0}};
  first.leases.put = {{{1}, {1}}, {{2}, {1}}};
  first.holds.put = {{{1}, "goes", {1}}};
  first.waiters.put = {{{2}, "goes", {1}}};
  first.clients.put = {{{1}}};
  first.answers.put = {{{{1}, 1}, "x"}, {{{1}, 2}, "y"}};
  f.state->write(first);
  base::StateWrite second;
  second.meta.applied = {2};
  second.locks.put = {{"changes", {20}, 5}};
  second.locks.erase = {"goes", "never was"};
  second.leases.erase = {{2}, {99}};
  second.holds.erase = {{1}, {99}};
  second.waiters.erase = {{2}, {99}};
  second.clients.erase = {{1}, {99}};
  second.answers.erase = {{{1}, 1}, {{9}, 9}};
  f.state->write(second);

  const base::StateRows rows = f.reloaded();
  CHECK(rows.meta.applied == base::Slot{2});
  REQUIRE(rows.locks.size() == 2);
  CHECK(rows.locks[0].name == "changes");
  CHECK(rows.locks[0].revision == base::Revision{20});
  CHECK(rows.locks[1].name == "stays");
  CHECK(rows.leases.size() == 1);
  CHECK(rows.holds.empty());
  CHECK(rows.waiters.empty());
  CHECK(rows.clients.empty());
  REQUIRE(rows.answers.size() == 1);
  CHECK(rows.answers[0].answer == "y");
}

TEST_CASE("state.db: leases of equal owners share one owner in memory") {
  // 100 000 leases of one program would otherwise hold as many copies.
  Fixture f;
  base::StateWrite write;
  write.meta.applied = {1};
  for (uint64_t i = 1; i <= 10; ++i) {
    base::Owner owner;
    owner.host = i <= 5 ? "one" : "other";
    write.leases.put.push_back({{i}, {1}, 1000, 0, "", std::make_shared<const base::Owner>(owner)});
  }
  f.state->write(write);
  const base::StateRows rows = f.reloaded();
  REQUIRE(rows.leases.size() == 10);
  CHECK(rows.leases[0].owner == rows.leases[4].owner);
  CHECK(rows.leases[4].owner != rows.leases[5].owner);
  CHECK(rows.leases[5].owner == rows.leases[9].owner);
}

TEST_CASE("state.db: people can read it while it is being written") {
  Fixture f;
  base::Owner owner;
  owner.host = "host-1";
  owner.user = "deploy";
  owner.program = "worker";
  owner.pid = 4711;
  const auto shared = std::make_shared<const base::Owner>(owner);
  base::StateWrite write;
  write.meta.applied = {1};
  write.holds.put = {{{9}, "a", {1}, {1}, {1}, base::Mode::kProtectedWrite}};
  base::EventRows events = {event(1, 5), event(2, 6)};
  events[1].owner = shared;
  write.events = std::make_shared<const base::EventRows>(events);
  f.state->write(write);
  CHECK(f.ask("SELECT mode FROM hold WHERE token = 9") == "protected-write");
  CHECK(f.ask("SELECT type || ' ' || name || ' ' || cause FROM event WHERE revision = 1") ==
        "release jobs/nightly released");
  CHECK(f.ask("SELECT user || '@' || host || ' ' || program FROM event JOIN event_owner"
              " USING (owner) WHERE revision = 2") == "deploy@host-1 worker");
  CHECK(f.ask("SELECT owner FROM event WHERE revision = 1") == "0");
}

TEST_CASE("state.db: a crash at any moment leaves rows and applied slot of one write") {
  Fixture f;
  for (uint64_t slot = 1; slot <= 10; ++slot) {
    base::StateWrite write;
    write.meta.applied = {slot};
    write.locks.put = {{"lock", {slot}, 0}};
    f.state->write(write);
    if (slot % 4 == 0) f.state->checkpoint();
    const std::string copy = f.dir.path() + "/copy-" + std::to_string(slot);
    copy_directory(f.dir.data(), copy);
    const base::StateRows rows = open_state(copy)->load();
    CHECK(rows.meta.applied == base::Slot{slot});
    REQUIRE(rows.locks.size() == 1);
    CHECK(rows.locks[0].revision == base::Revision{slot});
  }
}

TEST_CASE("state.db: history older than its age limit goes, a bounded bit at a time") {
  Fixture f;
  base::StateWrite write;
  write.meta.applied = {1};
  write.meta.cell_time_ms = 1000;
  write.events = events(1, 5000, 1000);
  f.state->write(write);
  CHECK(f.ask("SELECT count(*) FROM event") == "5000");

  base::StateWrite later;
  later.meta.applied = {2};
  later.meta.cell_time_ms = 1000 + base::kMaxHistoryAgeMs;
  f.state->write(later);
  CHECK(f.ask("SELECT count(*) FROM event") == "5000");  // exactly as old as allowed
  later.meta.cell_time_ms += 1;
  f.state->write(later);
  CHECK(f.ask("SELECT count(*) FROM event") == "3000");
  CHECK(f.ask("SELECT min(revision) FROM event") == "2001");
  f.reloaded();  // the count of events survives a restart
  f.state->write(later);
  later.events = events(5001, 1, later.meta.cell_time_ms);
  f.state->write(later);
  CHECK(f.ask("SELECT count(*) FROM event") == "1");
  CHECK(f.ask("SELECT events FROM meta") == "1");
}

TEST_CASE("state.db: history keeps to its count limit however fast it grows") {
  // Under load a write adds more events than are pruned beyond what it adds.
  constexpr uint64_t kKept = 10'000;
  Fixture f({.events = kKept});
  const auto add = [&](uint64_t first, uint64_t count) {
    base::StateWrite write;
    write.meta.applied = {first};
    write.events = events(first, count, 1);
    f.state->write(write);
  };
  add(1, kKept);
  CHECK(f.ask("SELECT events FROM meta") == std::to_string(kKept));
  add(kKept + 1, 7000);
  CHECK(f.ask("SELECT min(revision) FROM event") == "7001");
  CHECK(f.ask("SELECT events FROM meta") == std::to_string(kKept));
}

TEST_CASE("state.db: history keeps to its limit of bytes") {
  Fixture f({.bytes = 16'000});
  base::StateWrite write;
  write.meta.applied = {1};
  base::EventRows rows;
  for (uint64_t i = 1; i <= 3; ++i) {
    rows.push_back(event(i, 1));
    rows.back().value = std::string(i == 1 ? 7'000 : 5'000, 'v');
  }
  write.events = std::make_shared<const base::EventRows>(std::move(rows));
  f.state->write(write);
  CHECK(f.ask("SELECT group_concat(revision) FROM event") == "2,3");
  CHECK(f.ask("SELECT event_bytes = sum(length(name) + length(note) + length(value))"
              " FROM event, meta") == "1");
}

TEST_CASE("state.db: who made events is known as long as one of them is") {
  Fixture f;
  const auto add = [&](uint64_t revision, const char* host, uint64_t cell_ms) {
    base::Owner owner;
    owner.host = host;
    base::EventRow row = event(revision, cell_ms);
    row.owner = std::make_shared<const base::Owner>(owner);
    base::StateWrite write;
    write.meta.applied = {revision};
    write.meta.cell_time_ms = cell_ms;
    write.events = std::make_shared<const base::EventRows>(base::EventRows{row});
    f.state->write(write);
  };
  add(1, "a", 1);
  add(2, "b", 2);
  add(3, "a", 3);
  CHECK(f.ask("SELECT group_concat(host) FROM (SELECT host FROM event_owner ORDER BY host)") ==
        "a,b");
  add(4, "c", base::kMaxHistoryAgeMs + 3);  // the first two are too old
  CHECK(f.ask("SELECT group_concat(host) FROM (SELECT host FROM event_owner ORDER BY host)") ==
        "a,c");
  f.reloaded();
}

TEST_CASE("acked ranges: their text is read back, and anything else is refused") {
  std::vector<std::pair<uint64_t, uint64_t>> ranges;
  CHECK(store::parse_ranges("", ranges));
  CHECK(ranges.empty());
  CHECK(store::parse_ranges("3-5 9-9", ranges));
  CHECK(ranges == std::vector<std::pair<uint64_t, uint64_t>>{{3, 5}, {9, 9}});
  CHECK(store::format_ranges(ranges) == "3-5 9-9");
  for (const char* bad : {"3", "3-", "-5", "3-5,9-9", "a-b", "3-99999999999999999999"}) {
    CHECK_FALSE(store::parse_ranges(bad, ranges));
  }
}
