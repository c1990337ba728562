// Waits that could never end are refused, and no others are.
#include "tests/unit/locks/table_fixture.h"

using namespace holdfast::locks;
using namespace holdfast::base;

namespace {

// Agents are numbered; each has a client and a lease of its own, unless a test says otherwise.
struct DeadlockTest : TableFixture {
  struct Party {
    TestClient client;
    LeaseId lease;
  };
  std::vector<std::unique_ptr<Party>> parties;

  Party& party(size_t index) {
    while (parties.size() <= index) {
      auto fresh = std::make_unique<Party>(Party{TestClient(*this), {}});
      fresh->lease = fresh->client.open();
      parties.push_back(std::move(fresh));
    }
    return *parties[index];
  }
  std::optional<Answer> ask(size_t who, std::vector<LockRequest> locks) {
    Party& p = party(who);
    return p.client.send(Acquire{p.lease, HolderId{p.client.last_number + 1}, AgentId{1},
                                 std::move(locks), true, ""});
  }
  void hold(size_t who, const std::string& lock) { REQUIRE(is<Granted>(ask(who, {{lock}}))); }
  void wait(size_t who, const std::string& lock) { REQUIRE_FALSE(ask(who, {{lock}}).has_value()); }
  static LockRequest permits(const std::string& name, uint32_t count, uint32_t capacity) {
    return {name, Mode::kExclusive, count, capacity, LockKind::kSemaphore};
  }
  static size_t count(const Error& error, const std::string& key) {
    size_t found = 0;
    for (const auto& [name, value] : error.detail) found += name == key;
    return found;
  }
};

}  // namespace

TEST_CASE_FIXTURE(DeadlockTest,
                  "deadlock: of two who want each other's lock the second is refused") {
  hold(0, "x");
  hold(1, "y");
  wait(0, "y");
  const auto refused = ask(1, {{"x"}});
  CHECK(code_of(refused) == ErrorCode::kDeadlock);
  const Error& error = std::get<Error>(*refused);
  CHECK(error.message.find("lock \"x\"") != std::string::npos);
  CHECK(error.message.find("who waits for lock \"y\"") != std::string::npos);
  CHECK(count(error, "lock") == 2);
  CHECK(count(error, "owner") == 2);
  CHECK(table.describe("x").waiters.empty());
}

TEST_CASE_FIXTURE(DeadlockTest, "deadlock: a long way round is found as well") {
  constexpr size_t kParties = 50;
  for (size_t i = 0; i < kParties; ++i) hold(i, "l" + std::to_string(i));
  for (size_t i = 0; i + 1 < kParties; ++i) wait(i, "l" + std::to_string(i + 1));
  const auto refused = ask(kParties - 1, {{"l0"}});
  CHECK(code_of(refused) == ErrorCode::kDeadlock);
  CHECK(count(std::get<Error>(*refused), "lock") == kMaxCycleSteps);
  CHECK(message_of(refused).find("18 more") != std::string::npos);
}

TEST_CASE_FIXTURE(DeadlockTest, "deadlock: who waits ahead is waited for like who holds") {
  hold(0, "x");
  hold(1, "y");
  wait(1, "x");
  wait(2, "y");
  // 3 would wait for 1, ahead of it at "x", and for nobody who waits for 3.
  wait(3, "x");
  // 0 holds "x", for which 1 waits; 0 would wait for 2 and 1 at "y".
  CHECK(code_of(ask(0, {{"y"}})) == ErrorCode::kDeadlock);
}

TEST_CASE_FIXTURE(DeadlockTest, "deadlock: other threads of a lease are others") {
  Party& p = party(0);
  const auto ask_as = [&](uint64_t agent, const std::string& lock) {
    return p.client.send(
        Acquire{p.lease, HolderId{p.client.last_number + 1}, AgentId{agent}, {{lock}}, true, ""});
  };
  CHECK(is<Granted>(ask_as(1, "x")));
  CHECK_FALSE(ask_as(2, "x").has_value());
  const auto own = ask_as(1, "x");
  CHECK(code_of(own) == ErrorCode::kDeadlock);
  CHECK(message_of(own).find("would wait for itself") != std::string::npos);
  // Nobody in particular: it may be right to wait.
  CHECK_FALSE(ask_as(0, "x").has_value());
}

TEST_CASE_FIXTURE(DeadlockTest, "deadlock: several locks at once wait for all that is in the way") {
  hold(0, "x");
  hold(1, "y");
  hold(2, "z");
  wait(2, "x");
  CHECK(code_of(ask(0, {{"free"}, {"y"}, {"z"}})) == ErrorCode::kDeadlock);
  CHECK_FALSE(ask(0, {{"free"}, {"y"}}).has_value());
}

TEST_CASE_FIXTURE(DeadlockTest, "deadlock: a semaphore's waiter needs only enough of its permits") {
  REQUIRE(is<Granted>(ask(0, {permits("s", 1, 2)})));
  REQUIRE(is<Granted>(ask(1, {permits("s", 1, 2)})));
  hold(2, "x");
  wait(0, "x");
  // 0 waits for 2, but 1 can free a permit: no false alarm.
  REQUIRE_FALSE(ask(2, {permits("s", 1, 2)}).has_value());
  // Both permits are out of reach for 3, who holds what 1 is going to wait for.
  hold(3, "y");
  wait(3, "x");
  CHECK(code_of(ask(1, {{"y"}})) == ErrorCode::kDeadlock);
}

TEST_CASE_FIXTURE(DeadlockTest, "deadlock: more permits than those outside of the cycle can free") {
  REQUIRE(is<Granted>(ask(0, {permits("s", 1, 2)})));
  REQUIRE(is<Granted>(ask(1, {permits("s", 1, 2)})));
  hold(2, "x");
  wait(0, "x");
  CHECK(code_of(ask(2, {permits("s", 2, 2)})) == ErrorCode::kDeadlock);
}

TEST_CASE_FIXTURE(DeadlockTest, "deadlock: it is an event of the history") {
  hold(0, "x");
  hold(1, "y");
  wait(0, "y");
  table.take_changes();
  CHECK(code_of(ask(1, {{"x"}})) == ErrorCode::kDeadlock);
  const StateWrite write = table.take_changes();
  REQUIRE(write.events->size() == 1);
  CHECK(write.events->at(0).type == EventType::kDeadlock);
  CHECK(write.events->at(0).name == "x");
}
