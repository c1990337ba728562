// Why somebody waits.
#include "tests/unit/locks/table_fixture.h"

using namespace holdfast::locks;
using holdfast::base::AgentId;
using holdfast::base::HolderId;
using holdfast::base::LeaseId;
using holdfast::base::Mode;
using holdfast::base::Token;

namespace {

struct ExplainTest : TableFixture {
  TestClient a{*this}, b{*this}, c{*this};
  LeaseId lease_a = a.open(), lease_b = b.open(), lease_c = c.open();
  static constexpr AgentId kAgent{7};

  Token hold(TestClient& client, LeaseId lease, const std::string& lock) {
    return token_of(client.acquire(lease, lock, Mode::kExclusive, ++holder_, false, kAgent));
  }
  void wait(TestClient& client, LeaseId lease, const std::string& lock) {
    REQUIRE_FALSE(client.acquire(lease, lock, Mode::kExclusive, ++holder_, true, kAgent));
  }

 private:
  uint64_t holder_ = 0;
};

}  // namespace

TEST_CASE_FIXTURE(ExplainTest, "why: nothing is in the way of a free lock") {
  CHECK(table.explain_lock("x", 10).blockers.empty());
  CHECK(table.explain_lease(lease_a, 10).blockers.empty());
}

TEST_CASE_FIXTURE(ExplainTest, "why: holders come first, then those who wait ahead, in order") {
  const Token token = hold(a, lease_a, "x");
  cell_time_ms += 5;
  wait(b, lease_b, "x");
  wait(c, lease_c, "x");
  const Explanation why = table.explain_lock("x", 10);
  REQUIRE(why.blockers.size() == 3);
  CHECK(why.blockers[0].kind == Blocker::Kind::kHolder);
  CHECK(why.blockers[0].token == token);
  CHECK(why.blockers[0].since_cell_ms == 1000);
  CHECK(why.blockers[1].kind == Blocker::Kind::kWaiter);
  CHECK(why.blockers[1].lease == lease_b);
  CHECK(why.blockers[1].position == 1);
  CHECK(why.blockers[2].position == 2);
  for (const Blocker& blocker : why.blockers) CHECK(blocker.parent == -1);
  CHECK_FALSE(why.truncated);
}

TEST_CASE_FIXTURE(ExplainTest,
                  "why: who holds and waits elsewhere is told with what it waits for") {
  hold(a, lease_a, "x");
  hold(b, lease_b, "y");
  wait(a, lease_a, "y");
  const Explanation why = table.explain_lock("x", 10);
  REQUIRE(why.blockers.size() == 2);
  CHECK(why.blockers[1].lock == "y");
  CHECK(why.blockers[1].lease == lease_b);
  CHECK(why.blockers[1].parent == 0);
  const Explanation of_lease = table.explain_lease(lease_a, 10);
  REQUIRE(of_lease.blockers.size() == 1);
  CHECK(of_lease.blockers[0].lease == lease_b);
  CHECK(of_lease.blockers[0].parent == -1);
}

TEST_CASE_FIXTURE(ExplainTest, "why: only what conflicts is in the way of a waiter") {
  REQUIRE(is<Granted>(a.acquire(lease_a, "x", Mode::kShared)));
  hold(b, lease_b, "y");
  REQUIRE_FALSE(b.acquire(lease_b, "x", Mode::kExclusive, 90, true, kAgent));
  REQUIRE_FALSE(c.acquire(lease_c, "x", Mode::kShared, 91, true, kAgent));
  // The shared waiter is kept waiting by the exclusive one ahead, not by the shared holder.
  const Explanation why = table.explain_lease(lease_c, 10);
  REQUIRE(why.blockers.size() == 1);
  CHECK(why.blockers[0].lease == lease_b);
  CHECK(why.blockers[0].kind == Blocker::Kind::kWaiter);
}

TEST_CASE_FIXTURE(ExplainTest, "why: who is met again is not told again") {
  // Of three locks that b holds, a waits for two at once.
  hold(b, lease_b, "y");
  hold(b, lease_b, "z");
  REQUIRE_FALSE(
      a.send(Acquire{lease_a, HolderId{50}, kAgent, {{"y"}, {"z"}}, true, ""}).has_value());
  const Explanation why = table.explain_lease(lease_a, 10);
  REQUIRE(why.blockers.size() == 2);
  CHECK_FALSE(why.blockers[0].seen);
  CHECK(why.blockers[1].seen);
}

TEST_CASE_FIXTURE(ExplainTest, "why: a lock-delay is in the way by itself") {
  const auto answer =
      a.send(OpenLease{10'000, 5'000, std::string(holdfast::base::kSecretBytes, 's'), {}});
  const LeaseId careful = std::get<LeaseOpened>(*answer).lease;
  a.acquired(careful, "x");
  expire({careful});
  const Explanation why = table.explain_lock("x", 10);
  REQUIRE(why.blockers.size() == 1);
  CHECK(why.blockers[0].kind == Blocker::Kind::kDelay);
  CHECK(why.blockers[0].until_cell_ms == cell_time_ms + 5'000);
}

TEST_CASE_FIXTURE(ExplainTest, "why: a long answer is cut, and says so") {
  hold(a, lease_a, "x");
  for (uint64_t i = 0; i < 30; ++i) {
    REQUIRE_FALSE(b.acquire(lease_b, "x", Mode::kExclusive, 100 + i).has_value());
  }
  CHECK(table.explain_lock("x", 10).blockers.size() == 10);
  CHECK(table.explain_lock("x", 10).truncated);
  const Explanation why = table.explain_lock("x", 1000);
  CHECK(why.truncated);  // of a queue the front is enough
  CHECK(why.blockers.size() == 21);
}
