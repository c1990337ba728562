// The state as rows: what changed since the last take, and restoring from what was taken.
#include "lockcore/locks/digest.h"
#include "tests/unit/locks/shadow_rows.h"
#include "tests/unit/locks/table_fixture.h"

using namespace holdfast::locks;
using namespace holdfast::base;

namespace {

struct RowsTest : TableFixture {
  TestClient a{*this}, b{*this};
  LeaseId lease_a = a.open(), lease_b = b.open();
};

// A held lock with a waiter, an answer of each client, and a few gaps.
struct FullTest : RowsTest {
  Token token = a.acquired(lease_a, "x");
  uint64_t waiting = b.queue(lease_b, "x");

  std::string problem_after(void (*damage)(StateRows&)) {
    StateRows rows = table.rows();
    damage(rows);
    LockTable other;
    const auto problem = other.restore(std::move(rows));
    REQUIRE(problem.has_value());
    CHECK(other.meta() == MetaRow{});  // untouched
    return *problem;
  }
};

}  // namespace

TEST_CASE_FIXTURE(RowsTest, "rows: a lock that came and went between two takes costs nothing") {
  table.take_changes();
  for (int i = 0; i < 100; ++i) {
    const Token token = a.acquired(lease_a, "x");
    a.release(lease_a, "x", token);
  }
  const StateWrite write = table.take_changes();
  CHECK(write.locks.put.empty());
  CHECK(write.locks.erase.empty());
  CHECK(write.holds.put.empty());
  CHECK(write.holds.erase.empty());
  CHECK(write.answers.put.size() == 1);  // the last one, not yet acknowledged
  CHECK(write.answers.erase.size() == 1);
  CHECK(write.clients.put.size() == 1);
  CHECK(write.leases.put.empty());
  CHECK(write.events->size() == 200);
}

TEST_CASE_FIXTURE(RowsTest, "rows: a lock that goes and comes back is replaced, not erased") {
  const Token token = a.acquired(lease_a, "x");
  table.take_changes();
  a.release(lease_a, "x", token);
  a.acquired(lease_a, "x");
  const StateWrite write = table.take_changes();
  CHECK(write.locks.erase.empty());
  CHECK(write.locks.put.size() == 1);
  CHECK(write.holds.erase == std::vector{token});
  CHECK(write.holds.put.size() == 1);
  // And on the disk still, so that its end is told.
  a.release(lease_a, "x", table.describe("x").holders.at(0).token);
  CHECK(table.take_changes().locks.erase == std::vector<std::string>{"x"});
}

TEST_CASE_FIXTURE(RowsTest, "rows: there are changes after every slot, and none after a take") {
  CHECK(table.has_changes());
  CHECK(table.take_changes().meta == table.meta());
  CHECK_FALSE(table.has_changes());
  CHECK(table.take_changes().events == nullptr);
  table.apply(table.meta().applied.next(), nullptr, applied);
  CHECK(table.has_changes());
  a.acquired(lease_a, "x");
  CHECK(table.take_changes().events->size() == 1);
}

TEST_CASE_FIXTURE(FullTest, "rows: a restored table is the same table") {
  LockTable other;
  REQUIRE_FALSE(other.restore(table.rows()).has_value());
  other.check_invariants();
  CHECK(other.digest() == table.digest());
  CHECK_FALSE(other.has_changes());
  const StateWrite nothing = other.take_changes();
  CHECK(nothing.leases.put.empty());
  CHECK(nothing.answers.put.empty());
  table = std::move(other);
  CHECK(table.op_state(b.id, waiting) == OpState::kWaiting);
  CHECK(is<Done>(a.release(lease_a, "x", token)));
  CHECK(is<Granted>(answer_to(b.id, waiting)));
}

TEST_CASE_FIXTURE(FullTest, "rows: the order in which rows are read doesn't matter") {
  StateRows rows = table.rows();
  std::reverse(rows.leases.begin(), rows.leases.end());
  std::reverse(rows.clients.begin(), rows.clients.end());
  LockTable other;
  REQUIRE_FALSE(other.restore(std::move(rows)).has_value());
  CHECK(other.digest() == table.digest());
}

TEST_CASE_FIXTURE(FullTest, "rows: a digest tells two states apart by any field of any row") {
  const StateRows rows = table.rows();
  const uint64_t digest = digest_of(rows);
  CHECK(digest == table.digest());
  const auto differs = [&](void (*change)(StateRows&)) {
    StateRows other = rows;
    change(other);
    return digest_of(other) != digest;
  };
  CHECK(differs([](StateRows& r) { ++r.meta.event_digest; }));
  CHECK(differs([](StateRows& r) { r.leases.at(0).secret = "other"; }));
  CHECK(differs([](StateRows& r) { r.locks.at(0).revision = {1}; }));
  CHECK(differs([](StateRows& r) { ++r.holds.at(0).agent.value; }));
  CHECK(differs([](StateRows& r) { r.waiters.at(0).reason = "other"; }));
  CHECK(differs([](StateRows& r) { ++r.clients.at(0).last_use_cell_ms; }));
  CHECK(differs([](StateRows& r) { r.answers.clear(); }));
}

TEST_CASE_FIXTURE(FullTest, "rows: what contradicts itself is refused with what contradicts what") {
  const auto says = [&](const char* text, void (*damage)(StateRows&)) {
    const std::string problem = problem_after(damage);
    CHECK_MESSAGE(problem.find(text) != std::string::npos, problem);
  };
  says("names lease 999, which isn't there", [](StateRows& r) { r.holds[0].lease = {999}; });
  says("names lock \"y\", which isn't there", [](StateRows& r) { r.holds[0].lock = "y"; });
  says("has a waiter whose turn it is", [](StateRows& r) { r.holds.clear(); });
  says("has neither holders nor waiters", [](StateRows& r) {
    r.locks.push_back({"z", Revision{1}});
  });
  says("is there twice", [](StateRows& r) { r.locks.push_back(r.locks[0]); });
  says("is there twice", [](StateRows& r) { r.leases.push_back(r.leases[0]); });
  says("conflicts with another hold", [](StateRows& r) {
    r.holds.push_back(r.holds[0]);
    r.holds.back().token = r.holds[0].token.next();
    r.holds.back().holder.value += 1;
  });
  says("is the second claim of its holder", [](StateRows& r) {
    r.waiters[0].lease = r.holds[0].lease;
    r.waiters[0].holder = r.holds[0].holder;
  });
  says("is above the state's own revision", [](StateRows& r) { r.meta.revision = {1}; });
  says("has no such client", [](StateRows& r) { r.answers.at(0).key.client = {999}; });
  says("names client 999, which isn't there", [](StateRows& r) { r.waiters[0].client = {999}; });
  says("has no known mode", [](StateRows& r) { r.holds[0].mode = static_cast<Mode>(77); });
  says("can't be read", [](StateRows& r) { r.answers.at(0).answer = "nonsense"; });
  says("is settled", [](StateRows& r) { r.answers.at(0).key.number = 0; });
  says("has ranges that overlap", [](StateRows& r) { r.clients[0].acked = {{9, 9}, {9, 9}}; });
}

TEST_CASE_FIXTURE(FullTest, "rows: the digest of events tells histories apart that end alike") {
  LockTable other;
  REQUIRE_FALSE(other.restore(table.rows()).has_value());
  const OpId op{a.id, 50, 50, {}};
  const auto next = table.meta().applied.next();
  const Batch released{cell_time_ms, wall_ms, {{op, Release{lease_a, "x", token}}}};
  const Batch later{cell_time_ms, wall_ms + 1, released.commands};
  table.apply(next, &released, applied);
  other.apply(next, &later, applied);
  CHECK(table.meta().revision == other.meta().revision);
  CHECK(table.meta().event_digest != other.meta().event_digest);
}
