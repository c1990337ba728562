// Who gets a lock, in which order, with which token.
#include "lockcore/base/lease_text.h"
#include "tests/unit/locks/table_fixture.h"

using namespace holdfast::locks;
using holdfast::base::AgentId;
using holdfast::base::ErrorCode;
using holdfast::base::EventType;
using holdfast::base::LeaseId;
using holdfast::base::Mode;
using holdfast::base::Token;

namespace {

using Detail = std::vector<std::pair<std::string, std::string>>;

struct LockTest : TableFixture {
  TestClient a{*this}, b{*this}, c{*this};
  LeaseId lease_a = a.open(), lease_b = b.open(), lease_c = c.open();

  std::vector<Token> held(const std::string& name) const {
    std::vector<Token> tokens;
    for (const HolderInfo& holder : table.describe(name).holders) tokens.push_back(holder.token);
    return tokens;
  }
};

}  // namespace

TEST_CASE_FIXTURE(LockTest, "locks: a free lock is granted at once, and its token is a revision") {
  const Token token = a.acquired(lease_a, "x");
  CHECK(token == table.meta().revision);
  CHECK(table.is_held("x"));
  CHECK(table.is_current("x", token));
  CHECK_FALSE(table.is_current("y", token));
}

TEST_CASE_FIXTURE(LockTest, "locks: a lock that is let go is gone, and its next token is greater") {
  const Token first = a.acquired(lease_a, "x");
  CHECK(is<Done>(a.release(lease_a, "x", first)));
  CHECK(table.counts().locks == 0);
  CHECK_FALSE(table.is_current("x", first));
  CHECK(b.acquired(lease_b, "x") > first);
}

TEST_CASE_FIXTURE(LockTest, "locks: a try of a lock that is held would block, and leaves nothing") {
  a.acquired(lease_a, "x");
  CHECK(code_of(b.acquire(lease_b, "x", Mode::kExclusive, 1, false)) == ErrorCode::kWouldBlock);
  CHECK(table.describe("x").waiters.empty());
}

TEST_CASE_FIXTURE(LockTest, "locks: a release grants the next waiter in the same slot") {
  const Token token = a.acquired(lease_a, "x");
  const uint64_t second = b.queue(lease_b, "x");
  const uint64_t third = c.queue(lease_c, "x");
  CHECK(is<Done>(a.release(lease_a, "x", token)));
  const Token next = token_of(answer_to(b.id, second));
  CHECK(next > token);
  CHECK_FALSE(answer_to(c.id, third).has_value());
  CHECK(held("x") == std::vector{next});
  CHECK(table.describe("x").waiters.at(0).position == 1);
}

TEST_CASE_FIXTURE(LockTest,
                  "locks: the release is answered before the grant that follows from it") {
  const Token token = a.acquired(lease_a, "x");
  b.queue(lease_b, "x");
  a.release(lease_a, "x", token);
  REQUIRE(applied.replies.size() == 2);
  CHECK(applied.replies[0].client == a.id);
  CHECK(applied.replies[1].client == b.id);
}

TEST_CASE_FIXTURE(LockTest,
                  "locks: shared holders share, an exclusive request waits for them all") {
  const Token first = a.acquired(lease_a, "x", Mode::kShared);
  const Token second = b.acquired(lease_b, "x", Mode::kShared);
  const uint64_t waits = c.queue(lease_c, "x");
  a.release(lease_a, "x", first);
  CHECK_FALSE(answer_to(c.id, waits).has_value());
  b.release(lease_b, "x", second);
  CHECK(token_of(answer_to(c.id, waits)) > second);
}

TEST_CASE_FIXTURE(LockTest, "locks: a shared request doesn't overtake a waiting exclusive one") {
  // Else a stream of readers would starve the writer.
  const Token token = a.acquired(lease_a, "x", Mode::kShared);
  const uint64_t writer = b.queue(lease_b, "x");
  CHECK_FALSE(table.could_acquire("x", Mode::kShared));
  CHECK(code_of(c.acquire(lease_c, "x", Mode::kShared, 1, false)) == ErrorCode::kWouldBlock);
  const uint64_t reader = c.queue(lease_c, "x", Mode::kShared, 2);
  a.release(lease_a, "x", token);
  CHECK(is<Granted>(answer_to(b.id, writer)));
  CHECK_FALSE(answer_to(c.id, reader).has_value());
}

TEST_CASE_FIXTURE(LockTest, "locks: neighbouring shared waiters are admitted together") {
  const Token token = a.acquired(lease_a, "x");
  const uint64_t first = b.queue(lease_b, "x", Mode::kShared);
  const uint64_t second = c.queue(lease_c, "x", Mode::kShared);
  const uint64_t writer = c.queue(lease_c, "x", Mode::kExclusive, 2);
  const uint64_t late = b.queue(lease_b, "x", Mode::kShared, 2);
  a.release(lease_a, "x", token);
  CHECK(is<Granted>(answer_to(b.id, first)));
  CHECK(is<Granted>(answer_to(c.id, second)));
  CHECK_FALSE(answer_to(c.id, writer).has_value());
  CHECK_FALSE(answer_to(b.id, late).has_value());
}

TEST_CASE_FIXTURE(LockTest, "locks: when a waiting writer gives up, the readers behind it go on") {
  a.acquired(lease_a, "x", Mode::kShared);
  const uint64_t writer = b.queue(lease_b, "x");
  const uint64_t reader = c.queue(lease_c, "x", Mode::kShared);
  CHECK(is<WaitCancelled>(b.send(CancelWait{writer})));
  CHECK(is<Granted>(answer_to(c.id, reader)));
}

TEST_CASE_FIXTURE(LockTest, "locks: two holds of one lease conflict like any others") {
  const Token token = a.acquired(lease_a, "x", Mode::kExclusive, 1);
  const uint64_t waits = a.queue(lease_a, "x", Mode::kExclusive, 2);
  a.release(lease_a, "x", token);
  CHECK(is<Granted>(answer_to(a.id, waits)));
}

TEST_CASE_FIXTURE(LockTest, "locks: an agent isn't let wait for its own hold") {
  const AgentId me{1}, other{2};
  const auto granted = a.acquire(lease_a, "x", Mode::kShared, 1, true, me);
  const auto refused = a.acquire(lease_a, "x", Mode::kExclusive, 2, true, me);
  CHECK(code_of(refused) == ErrorCode::kDeadlock);
  const Detail cycle = {{"lock", "x"},
                        {"lease", holdfast::base::lease_text(lease_a)},
                        {"token", std::to_string(token_of(granted).value)},
                        {"owner", ""}};
  CHECK(std::get<holdfast::base::Error>(*refused).detail == cycle);
  CHECK(table.describe("x").waiters.empty());
  // Not a wait, or not for itself: a try, what is compatible, another thread, another lease.
  CHECK(code_of(a.acquire(lease_a, "x", Mode::kExclusive, 3, false, me)) == ErrorCode::kWouldBlock);
  CHECK(is<Granted>(a.acquire(lease_a, "x", Mode::kShared, 4, true, me)));
  CHECK_FALSE(a.acquire(lease_a, "x", Mode::kExclusive, 5, true, other).has_value());
  CHECK_FALSE(b.acquire(lease_b, "x", Mode::kExclusive, 6, true, me).has_value());
}

TEST_CASE_FIXTURE(LockTest, "locks: an agent finds its own hold among many, on either side") {
  const AgentId me{1};
  // Many holders of the lock, one hold of the lease; then the other way round.
  for (uint64_t i = 0; i < 20; ++i) b.acquired(lease_b, "x", Mode::kShared, 10 + i);
  a.acquire(lease_a, "x", Mode::kShared, 1, true, me);
  CHECK(code_of(a.acquire(lease_a, "x", Mode::kExclusive, 2, true, me)) == ErrorCode::kDeadlock);
  for (uint64_t i = 0; i < 20; ++i) {
    a.acquire(lease_a, "y" + std::to_string(i), Mode::kExclusive, 1, true, me);
  }
  CHECK(code_of(a.acquire(lease_a, "y7", Mode::kShared, 2, true, me)) == ErrorCode::kDeadlock);
}

TEST_CASE_FIXTURE(LockTest, "locks: one holder can't claim a lock twice, held or waiting") {
  a.acquired(lease_a, "x");
  CHECK(code_of(a.acquire(lease_a, "x")) == ErrorCode::kInvalidArgument);
  b.queue(lease_b, "x");
  const auto again = b.acquire(lease_b, "x");
  CHECK(code_of(again) == ErrorCode::kInvalidArgument);
  CHECK(message_of(again).find("waits for lock \"x\" already") != std::string::npos);
}

TEST_CASE_FIXTURE(LockTest, "locks: a crowd before one lock is told apart and served in order") {
  // Beyond a few claims they are looked up in an index, which comes and goes with the crowd.
  const Token token = a.acquired(lease_a, "x");
  std::vector<uint64_t> numbers;
  for (uint64_t holder = 1; holder <= 60; ++holder) {
    numbers.push_back(b.queue(lease_b, "x", Mode::kShared, holder));
  }
  CHECK(code_of(b.acquire(lease_b, "x", Mode::kShared, 17)) == ErrorCode::kInvalidArgument);
  a.release(lease_a, "x", token);
  const std::vector<Token> tokens = held("x");
  REQUIRE(tokens.size() == 60);
  for (size_t i = 0; i < numbers.size(); ++i) {
    CHECK(token_of(answer_to(b.id, numbers[i])) == tokens[i]);
    b.settle(numbers[i]);
  }
  CHECK(code_of(b.acquire(lease_b, "x", Mode::kShared, 60)) == ErrorCode::kInvalidArgument);
  for (size_t i = 0; i < 58; ++i) CHECK(is<Done>(b.release(lease_b, "x", tokens[i])));
  CHECK(code_of(b.acquire(lease_b, "x", Mode::kShared, 60)) == ErrorCode::kInvalidArgument);
  CHECK(is<Granted>(b.acquire(lease_b, "x", Mode::kShared, 1)));
}

TEST_CASE_FIXTURE(LockTest, "locks: a release must name lease, lock and token exactly") {
  // A release that comes late must never touch a newer grant.
  const Token old = a.acquired(lease_a, "x");
  a.release(lease_a, "x", old);
  const Token token = a.acquired(lease_a, "x");
  const auto refused = a.release(lease_a, "x", old);
  CHECK(code_of(refused) == ErrorCode::kNotHeld);
  CHECK(message_of(refused).find("held with token " + std::to_string(token.value)) !=
        std::string::npos);
  CHECK(code_of(b.release(lease_b, "x", token)) == ErrorCode::kNotHeld);
  CHECK(code_of(a.release(lease_a, "y", token)) == ErrorCode::kNotHeld);
  CHECK(code_of(a.release(LeaseId{999}, "x", token)) == ErrorCode::kLeaseNotFound);
  CHECK(is<Done>(a.release(lease_a, "x", token)));
}

TEST_CASE_FIXTURE(LockTest, "locks: a waiter's place in the queue is no token") {
  const Token token = a.acquired(lease_a, "x");
  b.queue(lease_b, "x");
  const Token queued = table.meta().revision;
  CHECK(queued > token);
  CHECK_FALSE(table.is_current("x", queued));
  CHECK(code_of(b.release(lease_b, "x", queued)) == ErrorCode::kNotHeld);
}

TEST_CASE_FIXTURE(LockTest, "locks: every event takes a revision of its own, without gaps") {
  const uint64_t before = table.meta().revision.value;
  table.take_changes();
  const Token token = a.acquired(lease_a, "x");
  b.queue(lease_b, "x");
  a.release(lease_a, "x", token);
  b.send(CloseLease{lease_b});
  const auto events = *table.take_changes().events;
  std::vector<EventType> types;
  for (size_t i = 0; i < events.size(); ++i) {
    CHECK(events[i].revision.value == before + i + 1);
    types.push_back(events[i].type);
  }
  CHECK(types == std::vector{EventType::kGrant, EventType::kQueue, EventType::kRelease,
                             EventType::kGrant, EventType::kLeaseClose, EventType::kRelease});
  CHECK(events.back().cause == std::string("closed"));
  CHECK(events.back().token == events[3].token);
}

TEST_CASE_FIXTURE(LockTest, "locks: names are listed by prefix, in order, page by page") {
  for (const char* name : {"b", "a/2", "a/1", "a", "ab", "c/1"}) a.acquired(lease_a, name);
  using Names = std::vector<std::string>;
  CHECK(table.lock_names("", "", 10) == Names{"a", "a/1", "a/2", "ab", "b", "c/1"});
  CHECK(table.lock_names("a/", "", 10) == Names{"a/1", "a/2"});
  CHECK(table.lock_names("a", "a/1", 2) == Names{"a/2", "ab"});
  CHECK(table.lock_names("a/", "b", 10).empty());
  CHECK(table.lock_names("", "", 0).empty());
  CHECK(table.lock_names("b", "a", 10) == Names{"b"});
}

TEST_CASE_FIXTURE(LockTest,
                  "locks: a description tells of holders in grant and waiters in queue order") {
  a.send(Acquire{lease_a, {7}, {1}, {{"x", Mode::kShared, 1, 0}}, true, "nightly"});
  b.acquired(lease_b, "x", Mode::kShared, 8);
  c.queue(lease_c, "x", Mode::kExclusive, 9);
  a.queue(lease_a, "x", Mode::kShared, 10);
  const LockInfo info = table.describe("x");
  CHECK(info.mode == Mode::kShared);
  REQUIRE(info.holders.size() == 2);
  CHECK(info.holders[0].holder.value == 7);
  CHECK(info.holders[0].reason == "nightly");
  CHECK(info.holders[0].acquired_wall_ms == wall_ms);
  CHECK(info.holders[1].holder.value == 8);
  REQUIRE(info.waiters.size() == 2);
  CHECK(info.waiters[0].holder.value == 9);
  CHECK(info.waiters[1].position == 2);
  CHECK(info.revision == table.meta().revision);
  const LockInfo free = table.describe("free");
  CHECK(free.name == "free");
  CHECK(free.mode == Mode::kNull);
}
