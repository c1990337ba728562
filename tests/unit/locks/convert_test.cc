// A hold that gets another mode in place.
#include "tests/unit/locks/table_fixture.h"

using namespace holdfast::locks;
using namespace holdfast::base;

namespace {

struct ConvertTest : TableFixture {
  TestClient a{*this}, b{*this}, c{*this};
  LeaseId lease_a = a.open(), lease_b = b.open(), lease_c = c.open();

  static Convert to(LeaseId lease, Token token, Mode mode, bool wait = true) {
    return {lease, "x", token, mode, AgentId{lease.value}, wait};
  }
};

}  // namespace

TEST_CASE_FIXTURE(ConvertTest, "convert: a downgrade keeps its token and lets readers in at once") {
  const Token token = a.acquired(lease_a, "x");
  const uint64_t first = b.queue(lease_b, "x", Mode::kShared);
  const uint64_t second = c.queue(lease_c, "x", Mode::kShared);
  CHECK(token_of(a.send(to(lease_a, token, Mode::kShared))) == token);
  CHECK(is<Granted>(answer_to(b.id, first)));
  CHECK(is<Granted>(answer_to(c.id, second)));
  CHECK(table.describe("x").holders.at(0).mode == Mode::kShared);
}

TEST_CASE_FIXTURE(ConvertTest, "convert: an upgrade gets a token above every reader's") {
  const Token mine = a.acquired(lease_a, "x", Mode::kShared);
  const Token other = b.acquired(lease_b, "x", Mode::kShared);
  CHECK(is<Done>(b.release(lease_b, "x", other)));
  const Token upgraded = token_of(a.send(to(lease_a, mine, Mode::kExclusive)));
  CHECK(upgraded > other);
  CHECK_FALSE(table.is_current("x", mine));
  CHECK(table.is_current("x", upgraded));
  CHECK(code_of(a.release(lease_a, "x", mine)) == ErrorCode::kNotHeld);
  CHECK(is<Done>(a.release(lease_a, "x", upgraded)));
}

TEST_CASE_FIXTURE(ConvertTest, "convert: an upgrade goes before all who wait, also new readers") {
  const Token mine = a.acquired(lease_a, "x", Mode::kShared);
  const Token other = b.acquired(lease_b, "x", Mode::kShared);
  const uint64_t writer = c.queue(lease_c, "x");
  CHECK_FALSE(a.send(to(lease_a, mine, Mode::kExclusive)).has_value());
  const uint64_t upgrade = a.last_number;
  CHECK(code_of(c.acquire(lease_c, "x", Mode::kShared, 2, false)) == ErrorCode::kWouldBlock);
  const LockInfo waiting = table.describe("x");
  CHECK(waiting.waiters.at(0).converts == mine);
  CHECK(waiting.waiters.at(1).converts == Token());
  CHECK(is<Done>(b.release(lease_b, "x", other)));
  const Token upgraded = token_of(answer_to(a.id, upgrade));
  CHECK_FALSE(answer_to(c.id, writer).has_value());
  CHECK(is<Done>(a.release(lease_a, "x", upgraded)));
  CHECK(is<Granted>(answer_to(c.id, writer)));
}

TEST_CASE_FIXTURE(ConvertTest, "convert: of two upgraders the second is refused, with the cycle") {
  // Whoever the agents are: these holds have none.
  const Token first = a.acquired(lease_a, "x", Mode::kShared);
  const Token second = b.acquired(lease_b, "x", Mode::kShared);
  CHECK_FALSE(a.send(to(lease_a, first, Mode::kExclusive)).has_value());
  const uint64_t waits = a.last_number;
  const auto refused = b.send(to(lease_b, second, Mode::kExclusive));
  CHECK(code_of(refused) == ErrorCode::kDeadlock);
  CHECK(std::get<Error>(*refused).detail.size() == 8);
  CHECK(is<Done>(b.release(lease_b, "x", second)));
  CHECK(is<Granted>(answer_to(a.id, waits)));
}

TEST_CASE_FIXTURE(ConvertTest, "convert: given up, the hold stays as it was") {
  const Token mine = a.acquired(lease_a, "x", Mode::kShared);
  b.acquired(lease_b, "x", Mode::kShared);
  CHECK(code_of(a.send(to(lease_a, mine, Mode::kExclusive, false))) == ErrorCode::kWouldBlock);
  CHECK_FALSE(a.send(to(lease_a, mine, Mode::kExclusive)).has_value());
  const uint64_t upgrade = a.last_number;
  CHECK(is<WaitCancelled>(a.send(CancelWait{upgrade})));
  CHECK(table.is_current("x", mine));
  CHECK(table.describe("x").waiters.empty());
  CHECK(is<Granted>(c.acquire(lease_c, "x", Mode::kShared)));
}

TEST_CASE_FIXTURE(ConvertTest, "convert: released while it waits for another mode, both end") {
  const Token mine = a.acquired(lease_a, "x", Mode::kShared);
  const Token other = b.acquired(lease_b, "x", Mode::kShared);
  CHECK_FALSE(a.send(to(lease_a, mine, Mode::kExclusive)).has_value());
  const uint64_t upgrade = a.last_number;
  CHECK(code_of(a.send(to(lease_a, mine, Mode::kExclusive))) == ErrorCode::kInvalidArgument);
  CHECK(is<Done>(a.release(lease_a, "x", mine)));
  CHECK(code_of(answer_to(a.id, upgrade)) == ErrorCode::kNotHeld);
  CHECK(table.is_current("x", other));
  CHECK(table.counts().waiters == 0);
}

TEST_CASE_FIXTURE(ConvertTest, "convert: a lease that ends takes its hold and its upgrade along") {
  const Token mine = a.acquired(lease_a, "x", Mode::kShared);
  b.acquired(lease_b, "x", Mode::kShared);
  const uint64_t writer = c.queue(lease_c, "x");
  CHECK_FALSE(a.send(to(lease_a, mine, Mode::kExclusive)).has_value());
  const uint64_t upgrade = a.last_number;
  lead(1);
  expire({lease_a});
  CHECK(code_of(answer_to(a.id, upgrade)) == ErrorCode::kLeaseNotFound);
  expire({lease_b});
  CHECK(is<Granted>(answer_to(c.id, writer)));
}

TEST_CASE_FIXTURE(ConvertTest, "convert: what can't be converted is refused, changing nothing") {
  const Token mine = a.acquired(lease_a, "x");
  CHECK(code_of(b.send(to(lease_b, mine, Mode::kShared))) == ErrorCode::kNotHeld);
  CHECK(code_of(a.send(to({999}, mine, Mode::kShared))) == ErrorCode::kLeaseNotFound);
  CHECK(token_of(a.send(to(lease_a, mine, Mode::kExclusive))) == mine);
  const Token permit = token_of(a.send(
      Acquire{lease_a, {1}, {}, {{"s", Mode::kExclusive, 1, 2, LockKind::kSemaphore}}, true, ""}));
  const auto refused = a.send(Convert{lease_a, "s", permit, Mode::kExclusive, {}, true});
  CHECK(code_of(refused) == ErrorCode::kInvalidArgument);
  CHECK(message_of(refused) == "semaphore \"s\" has no modes to convert between");
}

TEST_CASE_FIXTURE(ConvertTest, "convert: two modes of which neither is weaker is an upgrade") {
  const Token mine = a.acquired(lease_a, "x", Mode::kConcurrentWrite);
  const uint64_t writer = b.queue(lease_b, "x", Mode::kShared);
  const Token shared = token_of(a.send(to(lease_a, mine, Mode::kShared)));
  CHECK(shared > mine);
  CHECK(is<Granted>(answer_to(b.id, writer)));
}
