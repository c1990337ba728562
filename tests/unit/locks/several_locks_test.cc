// One request for several locks: all or nothing, in turn with everybody else.
#include "tests/unit/locks/table_fixture.h"

using namespace holdfast::locks;
using namespace holdfast::base;

namespace {

struct SeveralTest : TableFixture {
  TestClient a{*this}, b{*this}, c{*this};
  LeaseId lease_a = a.open(), lease_b = b.open(), lease_c = c.open();

  static Acquire all(LeaseId lease, std::vector<LockRequest> locks, bool wait = true) {
    return {lease, HolderId{1}, {}, std::move(locks), wait, ""};
  }
  static std::vector<Token> tokens_of(const std::optional<Answer>& answer) {
    REQUIRE(is<Granted>(answer));
    return std::get<Granted>(*answer).tokens;
  }
};

}  // namespace

TEST_CASE_FIXTURE(SeveralTest, "several locks: all that are free are granted, a token for each") {
  const auto tokens = tokens_of(a.send(
      all(lease_a,
          {{"y"}, {"x", Mode::kShared}, {"s", Mode::kExclusive, 2, 3, LockKind::kSemaphore}})));
  REQUIRE(tokens.size() == 3);
  CHECK(table.is_current("y", tokens[0]));
  CHECK(table.is_current("x", tokens[1]));
  CHECK(table.is_current("s", tokens[2]));
  CHECK(is<Granted>(b.acquire(lease_b, "x", Mode::kShared)));
}

TEST_CASE_FIXTURE(SeveralTest,
                  "several locks: if one is busy none is held, and all are queued for") {
  const Token busy = b.acquired(lease_b, "y");
  CHECK(code_of(a.send(all(lease_a, {{"x"}, {"y"}}, false))) == ErrorCode::kWouldBlock);
  CHECK_FALSE(a.send(all(lease_a, {{"x"}, {"y"}, {"z"}})).has_value());
  const uint64_t number = a.last_number;
  CHECK_FALSE(table.is_held("x"));
  CHECK(table.describe("x").waiters.size() == 1);
  CHECK(table.describe("z").waiters.size() == 1);
  CHECK(is<Done>(b.release(lease_b, "y", busy)));
  const auto tokens = tokens_of(answer_to(a.id, number));
  CHECK(tokens.size() == 3);
  CHECK(table.counts().waiters == 0);
}

TEST_CASE_FIXTURE(SeveralTest, "several locks: neither kind of request overtakes the other") {
  const Token y = b.acquired(lease_b, "y");
  CHECK_FALSE(a.send(all(lease_a, {{"x"}, {"y"}})).has_value());
  const uint64_t both = a.last_number;
  // "x" is free, but promised: who comes later waits behind.
  CHECK(code_of(c.acquire(lease_c, "x", Mode::kExclusive, 1, false)) == ErrorCode::kWouldBlock);
  const uint64_t single = c.queue(lease_c, "x");
  CHECK(is<Done>(b.release(lease_b, "y", y)));
  const auto tokens = tokens_of(answer_to(a.id, both));
  CHECK_FALSE(answer_to(c.id, single).has_value());
  CHECK(is<Done>(a.release(lease_a, "x", tokens[0])));
  CHECK(is<Granted>(answer_to(c.id, single)));
}

TEST_CASE_FIXTURE(SeveralTest,
                  "several locks: two requests in opposite order don't stop each other") {
  const Token x = c.acquired(lease_c, "x");
  CHECK_FALSE(a.send(all(lease_a, {{"x"}, {"y"}})).has_value());
  const uint64_t first = a.last_number;
  CHECK_FALSE(b.send(all(lease_b, {{"y"}, {"x"}})).has_value());
  const uint64_t second = b.last_number;
  CHECK(is<Done>(c.release(lease_c, "x", x)));
  const auto tokens = tokens_of(answer_to(a.id, first));
  CHECK_FALSE(answer_to(b.id, second).has_value());
  a.release(lease_a, "x", tokens[0]);
  CHECK_FALSE(answer_to(b.id, second).has_value());
  a.release(lease_a, "y", tokens[1]);
  CHECK(is<Granted>(answer_to(b.id, second)));
}

TEST_CASE_FIXTURE(SeveralTest, "several locks: given up, they leave every queue") {
  b.acquired(lease_b, "y");
  CHECK_FALSE(a.send(all(lease_a, {{"x"}, {"y"}})).has_value());
  const uint64_t number = a.last_number;
  const uint64_t behind = c.queue(lease_c, "x");
  CHECK(is<WaitCancelled>(a.send(CancelWait{number})));
  CHECK(code_of(answer_to(a.id, number)) == ErrorCode::kCancelled);
  CHECK(is<Granted>(answer_to(c.id, behind)));
  CHECK(table.describe("y").waiters.empty());
}

TEST_CASE_FIXTURE(SeveralTest, "several locks: the end of the lease answers once, and frees all") {
  b.acquired(lease_b, "y");
  CHECK_FALSE(a.send(all(lease_a, {{"x"}, {"y"}})).has_value());
  const uint64_t number = a.last_number;
  lead(1);
  expire({lease_a});
  CHECK(code_of(answer_to(a.id, number)) == ErrorCode::kLeaseNotFound);
  CHECK(table.counts().locks == 1);
}

TEST_CASE_FIXTURE(SeveralTest,
                  "several locks: a permit that comes free elsewhere moves the queue on") {
  // The request in front of the semaphore leaves it for "y"'s sake: the next one is in front.
  const LockRequest permit{"s", Mode::kExclusive, 1, 2, LockKind::kSemaphore};
  const Token y = b.acquired(lease_b, "y");
  CHECK_FALSE(a.send(all(lease_a, {permit, {"y"}})).has_value());
  CHECK_FALSE(c.send(all(lease_c, {permit})).has_value());
  const uint64_t behind = c.last_number;
  CHECK(is<Done>(b.release(lease_b, "y", y)));
  CHECK(is<Granted>(answer_to(a.id, a.last_number)));
  CHECK(is<Granted>(answer_to(c.id, behind)));
}

TEST_CASE_FIXTURE(SeveralTest, "several locks: 64 at most, each named once") {
  std::vector<LockRequest> many;
  for (int i = 0; i < 64; ++i) many.push_back({"m" + std::to_string(i)});
  CHECK(tokens_of(a.send(all(lease_a, many))).size() == 64);
  many.push_back({"one more"});
  CHECK(code_of(b.send(all(lease_b, many))) == ErrorCode::kInvalidArgument);
  const auto twice = b.send(all(lease_b, {{"x"}, {"y"}, {"x"}}));
  CHECK(message_of(twice) == "an acquire names lock \"x\" twice");
  CHECK(code_of(b.send(all(lease_b, {}))) == ErrorCode::kInvalidArgument);
}
