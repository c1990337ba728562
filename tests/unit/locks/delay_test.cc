// Lock-delays, and holds that an admin ends.
#include "tests/unit/locks/table_fixture.h"

using namespace holdfast::locks;
using namespace holdfast::base;

namespace {

struct DelayTest : TableFixture {
  TestClient a{*this}, b{*this}, c{*this};
  LeaseId careful = open_with_delay(a, 5'000);
  LeaseId lease_b = b.open(), lease_c = c.open();

  static LeaseId open_with_delay(TestClient& client, uint64_t delay_ms) {
    const auto answer = client.send(OpenLease{10'000, delay_ms, "", {}});
    REQUIRE(is<LeaseOpened>(answer));
    return std::get<LeaseOpened>(*answer).lease;
  }
  void lose(LeaseId lease) {
    if (!table.meta().leader) lead(1);
    expire({lease});
  }
  void pass(uint64_t ms) {
    cell_time_ms += ms;
    apply({{{}, AdvanceTime{{1, {1}}}}});
  }
  static std::string detail_of(const std::optional<Answer>& answer, const std::string& key) {
    for (const auto& [name, value] : std::get<Error>(*answer).detail) {
      if (name == key) return value;
    }
    return "";
  }
};

}  // namespace

TEST_CASE_FIXTURE(DelayTest, "delay: after a loss the lock stays closed, and says for how long") {
  a.acquired(careful, "x");
  lose(careful);
  cell_time_ms += 1'000;
  const auto refused = b.acquire(lease_b, "x", Mode::kExclusive, 1, false);
  CHECK(code_of(refused) == ErrorCode::kLockDelay);
  CHECK(detail_of(refused, "remainingMs") == "4000");
  CHECK(table.describe("x").delay_until_ms == cell_time_ms + 4'000);
  CHECK_FALSE(table.is_held("x"));
  pass(4'000);
  CHECK(table.counts().locks == 0);
  CHECK(is<Granted>(b.acquire(lease_b, "x")));
}

TEST_CASE_FIXTURE(DelayTest, "delay: who waits gets the lock when time alone has passed") {
  a.acquired(careful, "x");
  const uint64_t waits = b.queue(lease_b, "x");
  lose(careful);
  CHECK_FALSE(answer_to(b.id, waits).has_value());
  pass(4'999);
  CHECK_FALSE(answer_to(b.id, waits).has_value());
  pass(1);
  CHECK(is<Granted>(answer_to(b.id, waits)));
}

TEST_CASE_FIXTURE(DelayTest, "delay: none follows a release, nor the close of the lease") {
  const Token token = a.acquired(careful, "x");
  CHECK(is<Done>(a.release(careful, "x", token)));
  CHECK(is<Granted>(b.acquire(lease_b, "x", Mode::kExclusive, 1, false)));
  a.acquired(careful, "y");
  CHECK(is<Done>(a.send(CloseLease{careful})));
  CHECK(is<Granted>(b.acquire(lease_b, "y", Mode::kExclusive, 1, false)));
}

TEST_CASE_FIXTURE(DelayTest, "delay: it keeps out only what conflicts with what was lost") {
  a.acquired(careful, "x", Mode::kShared);
  lose(careful);
  const Token reader = b.acquired(lease_b, "x", Mode::kShared);
  CHECK(code_of(c.acquire(lease_c, "x", Mode::kExclusive, 1, false)) == ErrorCode::kWouldBlock);
  CHECK(is<Done>(b.release(lease_b, "x", reader)));
  CHECK(code_of(c.acquire(lease_c, "x", Mode::kExclusive, 1, false)) == ErrorCode::kLockDelay);
}

TEST_CASE_FIXTURE(DelayTest, "delay: lost permits of a semaphore are missing meanwhile") {
  const LockRequest one{"s", Mode::kExclusive, 1, 2, LockKind::kSemaphore};
  const auto ask = [&](TestClient& client, LeaseId lease, uint64_t holder) {
    return client.send(Acquire{lease, HolderId{holder}, {}, {one}, false, ""});
  };
  CHECK(is<Granted>(ask(a, careful, 1)));
  lose(careful);
  CHECK(is<Granted>(ask(b, lease_b, 1)));
  CHECK(code_of(ask(b, lease_b, 2)) == ErrorCode::kLockDelay);
  pass(5'000);
  CHECK(is<Granted>(ask(b, lease_b, 2)));
}

TEST_CASE_FIXTURE(DelayTest, "delay: a second loss makes it longer, never shorter") {
  const LeaseId brief = open_with_delay(c, 1'000);
  a.acquired(careful, "x", Mode::kShared);
  c.acquired(brief, "x", Mode::kShared);
  lose(careful);
  const uint64_t until = table.describe("x").delay_until_ms;
  lose(brief);
  CHECK(table.describe("x").delay_until_ms == until);
}

TEST_CASE_FIXTURE(DelayTest, "force: ends the hold with that token only, and says who and why") {
  const Token token = b.acquired(lease_b, "x");
  const uint64_t waits = c.queue(lease_c, "x");
  const auto stale = a.send(ForceRelease{"x", Token{token.value + 1}, "stuck", "root@h"});
  CHECK(code_of(stale) == ErrorCode::kNotHeld);
  CHECK(code_of(a.send(ForceRelease{"y", token, "stuck", ""})) == ErrorCode::kNotHeld);
  CHECK(code_of(a.send(ForceRelease{"x", token, "", ""})) == ErrorCode::kInvalidArgument);
  table.take_changes();
  CHECK(is<Done>(a.send(ForceRelease{"x", token, "stuck", "root@h"})));
  CHECK(is<Granted>(answer_to(c.id, waits)));
  CHECK(code_of(b.release(lease_b, "x", token)) == ErrorCode::kNotHeld);
  const StateWrite write = table.take_changes();
  REQUIRE(write.events != nullptr);
  CHECK(write.events->at(0).type == EventType::kForce);
  CHECK(write.events->at(0).lease == lease_b);
  CHECK(write.events->at(0).note == "stuck (root@h)");
}

TEST_CASE_FIXTURE(DelayTest, "force: its holder was not asked, so its lock-delay follows") {
  const Token token = a.acquired(careful, "x");
  CHECK(is<Done>(b.send(ForceRelease{"x", token, "stuck", ""})));
  CHECK(code_of(b.acquire(lease_b, "x", Mode::kExclusive, 1, false)) == ErrorCode::kLockDelay);
}

TEST_CASE_FIXTURE(DelayTest, "force: an upgrade that waits ends with its hold") {
  const Token token = b.acquired(lease_b, "x", Mode::kShared);
  c.acquired(lease_c, "x", Mode::kShared);
  CHECK_FALSE(b.send(Convert{lease_b, "x", token, Mode::kExclusive, {}, true}).has_value());
  const uint64_t upgrade = b.last_number;
  CHECK(is<Done>(a.send(ForceRelease{"x", token, "stuck", ""})));
  CHECK(code_of(answer_to(b.id, upgrade)) == ErrorCode::kNotHeld);
}
