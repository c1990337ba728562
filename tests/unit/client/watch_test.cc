// Watches, observers, the history and questions to the record, as C++ programs have them, over a
// real node.
#include <doctest/doctest.h>
#include <holdfast/holdfast.h>

#include <chrono>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/client/test_node.h"

namespace holdfast {

namespace {

using namespace std::chrono_literals;

struct WatchTest {
  TestNode node;
  Cell cell = Cell::connect({.endpoints = {node.endpoint()}});
  Session session = cell.open_session();

  void use(const std::string& lock) { session.lock(lock).acquire()->release(); }
  static std::vector<std::string> kinds(Watch& watch, size_t count) {
    std::vector<std::string> found;
    while (found.size() < count) {
      const auto event = watch.next(10s);
      REQUIRE(event.has_value());
      found.push_back(event->type);
    }
    return found;
  }
};

using Kinds = std::vector<std::string>;

}  // namespace

TEST_CASE_FIXTURE(WatchTest, "watch: from now on, from a revision on, of one name or of a prefix") {
  use("a/b");
  Watch now = cell.watch("a/");
  Watch exact = cell.watch("a/b", 1, true);
  Watch everything = cell.watch("", 1);
  CHECK(kinds(exact, 2) == Kinds{"grant", "release"});
  CHECK(everything.next(10s)->type == "lease-open");
  use("a/c");
  CHECK(kinds(now, 2) == Kinds{"grant", "release"});
  CHECK_FALSE(exact.next(50ms).has_value());
  CHECK_FALSE(exact.closed());
}

TEST_CASE_FIXTURE(WatchTest,
                  "watch: close wakes who waits, twice is fine, the cell's end as well") {
  Watch watch = cell.watch("x");
  std::thread closer([watch]() mutable { watch.close(); });
  CHECK_FALSE(watch.next().has_value());
  closer.join();
  watch.close();
  CHECK(watch.closed());
  Watch other = cell.watch("x");
  std::thread ending([this] { cell.close(); });
  CHECK_FALSE(other.next().has_value());
  ending.join();
}

TEST_CASE_FIXTURE(WatchTest, "watch: callbacks get each event once, and may close their watch") {
  std::promise<void> done;
  std::vector<uint64_t> revisions;
  std::optional<Watch> watch;
  watch = cell.watch_each("x", [&](const Event& event) {
    revisions.push_back(event.revision);
    if (revisions.size() < 4) return;
    watch->close();
    done.set_value();
  });
  Watch beside = cell.watch("x");  // shares its feed
  for (int i = 0; i < 4; ++i) use("x");
  REQUIRE(done.get_future().wait_for(10s) == std::future_status::ready);
  CHECK(kinds(beside, 8).size() == 8);
  CHECK(revisions.size() == 4);
  for (size_t i = 1; i < revisions.size(); ++i) CHECK(revisions[i] > revisions[i - 1]);
}

TEST_CASE_FIXTURE(WatchTest, "watch: it goes on where it was when the node comes back") {
  Watch watch = cell.watch("x");
  use("x");
  CHECK(kinds(watch, 2) == Kinds{"grant", "release"});
  const uint64_t before = watch.revision();
  node.stop();
  node.start();
  use("x");
  CHECK(kinds(watch, 2) == Kinds{"grant", "release"});
  CHECK(watch.revision() > before);
}

TEST_CASE_FIXTURE(WatchTest, "watch: a slow reader gets the rest from the cell, in order") {
  Watch slow = cell.watch("x");
  Watch quick = cell.watch("x");
  constexpr size_t kRounds = 2100;  // more events than a reader's queue takes
  for (size_t i = 0; i < kRounds; ++i) {
    use("x");
    while (quick.next(0ns)) {
    }
  }
  uint64_t last = 0;
  for (size_t i = 0; i < 2 * kRounds; ++i) {
    const auto event = slow.next(10s);
    REQUIRE(event.has_value());
    REQUIRE(event->revision > last);
    last = event->revision;
  }
  CHECK_FALSE(slow.next(50ms).has_value());
}

TEST_CASE_FIXTURE(WatchTest, "history: page by page it is what a watch told") {
  Watch watch = cell.watch("h");
  for (int i = 0; i < 10; ++i) use("h");
  std::vector<uint64_t> told;
  while (told.size() < 20) told.push_back(watch.next(10s)->revision);
  EventsQuery query{.name = "h", .exact = true, .limit = 3};
  std::vector<uint64_t> found;
  for (const Event& event : cell.history(query)) found.push_back(event.revision);
  CHECK(found == told);
  CHECK(cell.events(query).events.size() == 3);
}

TEST_CASE_FIXTURE(WatchTest, "observe: leaders, their values, vacancies") {
  Observer seen = cell.observe("jobs");
  CHECK_FALSE(seen.next(10s)->leader.has_value());
  CHECK_FALSE(cell.leader("jobs").has_value());
  auto grant = session.election("jobs", "host-1").acquire();
  REQUIRE(grant.has_value());
  const auto first = seen.next(10s)->leader;
  REQUIRE(first.has_value());
  CHECK(first->value == "host-1");
  CHECK(first->token == grant->token());
  grant->set_value("host-1, ready");
  CHECK(seen.next(10s)->leader->value == "host-1, ready");
  CHECK(cell.leader("jobs")->value == "host-1, ready");
  grant->release();
  CHECK_FALSE(seen.next(10s)->leader.has_value());
}

TEST_CASE_FIXTURE(WatchTest, "why: in words, and as a tree") {
  CHECK(cell.why("x").blockers.empty());
  Session other = cell.open_session({.reason = "the month's end"});
  auto grant = other.lock("x").acquire();
  const Why why = cell.why("x");
  REQUIRE(why.blockers.size() == 1);
  CHECK(why.blockers[0].kind == "holder");
  CHECK(why.blockers[0].token == grant->token());
  CHECK(why.text.find("the month's end") != std::string::npos);
  CHECK(cell.why_lease(session.lease()).blockers.empty());
}

TEST_CASE_FIXTURE(WatchTest, "sql: rows of the record") {
  const SqlRows rows = cell.sql("SELECT 7 AS n, 'x' AS t");
  CHECK(rows.columns == std::vector<std::string>{"n", "t"});
  REQUIRE(rows.rows.size() == 1);
  CHECK(rows.rows[0][0] == SqlValue(int64_t{7}));
  CHECK(rows.rows[0][1] == SqlValue("x"));
  try {
    cell.sql("DELETE FROM lease");
    FAIL("it was carried out");
  } catch (const Error& error) {
    CHECK(error.code() == Code::permission_denied);
  }
}

}  // namespace holdfast
