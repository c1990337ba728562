// Which modes go together, and semaphores, which count instead.
#include "tests/unit/locks/table_fixture.h"

using namespace holdfast::locks;
using namespace holdfast::base;

namespace {

struct ModesTest : TableFixture {
  TestClient a{*this}, b{*this}, c{*this};
  LeaseId lease_a = a.open(), lease_b = b.open(), lease_c = c.open();

  static Acquire of(LeaseId lease, LockRequest request, bool wait = true, uint64_t holder = 1) {
    return {lease, HolderId{holder}, {}, {std::move(request)}, wait, ""};
  }
  static LockRequest permits(uint32_t count, uint32_t capacity = 3) {
    return {"s", Mode::kExclusive, count, capacity, LockKind::kSemaphore};
  }
};

constexpr Mode kModes[] = {Mode::kNull,   Mode::kConcurrentRead, Mode::kConcurrentWrite,
                           Mode::kShared, Mode::kProtectedWrite, Mode::kExclusive};

}  // namespace

TEST_CASE_FIXTURE(ModesTest, "modes: two go together as the VMS manual's table says") {
  // NL CR CW PR PW EX, one row for what is held.
  const char* const table_rows[] = {"YYYYYY", "YYYYYN", "YYYNNN", "YYNYNN", "YYNNNN", "YNNNNN"};
  for (size_t held = 0; held < 6; ++held) {
    for (size_t asked = 0; asked < 6; ++asked) {
      CAPTURE(held);
      CAPTURE(asked);
      const Token token = a.acquired(lease_a, "x", kModes[held]);
      const auto answer = b.acquire(lease_b, "x", kModes[asked], 1, false);
      CHECK(is<Granted>(answer) == (table_rows[held][asked] == 'Y'));
      if (is<Granted>(answer)) b.release(lease_b, "x", token_of(answer));
      a.release(lease_a, "x", token);
    }
  }
}

TEST_CASE_FIXTURE(ModesTest, "modes: who goes together with all ahead is let in past who doesn't") {
  a.acquired(lease_a, "x", Mode::kProtectedWrite);
  const uint64_t reader = b.queue(lease_b, "x", Mode::kShared);
  // A concurrent reader conflicts with neither the holder nor the waiter: it takes nothing away.
  CHECK(is<Granted>(c.acquire(lease_c, "x", Mode::kConcurrentRead, 1)));
  CHECK(code_of(c.acquire(lease_c, "x", Mode::kConcurrentWrite, 2, false)) ==
        ErrorCode::kWouldBlock);
  CHECK_FALSE(answer_to(b.id, reader).has_value());
}

TEST_CASE_FIXTURE(ModesTest, "semaphores: as many permits are held as there are, not one more") {
  CHECK(is<Granted>(a.send(of(lease_a, permits(2)))));
  CHECK(code_of(b.send(of(lease_b, permits(2), false))) == ErrorCode::kWouldBlock);
  CHECK(is<Granted>(b.send(of(lease_b, permits(1)))));
  CHECK(code_of(c.send(of(lease_c, permits(1), false))) == ErrorCode::kWouldBlock);
  const LockInfo info = table.describe("s");
  CHECK(info.kind == LockKind::kSemaphore);
  CHECK(info.capacity == 3);
  CHECK(info.holders.at(0).permits == 2);
}

TEST_CASE_FIXTURE(ModesTest, "semaphores: a small request waits behind a large one") {
  const Token two = token_of(a.send(of(lease_a, permits(2))));
  CHECK_FALSE(b.send(of(lease_b, permits(3))).has_value());
  const uint64_t large = b.last_number;
  CHECK_FALSE(c.send(of(lease_c, permits(1))).has_value());
  const uint64_t small = c.last_number;
  CHECK(code_of(c.send(of(lease_c, permits(1), false, 2))) == ErrorCode::kWouldBlock);
  CHECK(is<Done>(a.release(lease_a, "s", two)));
  const Token three = token_of(answer_to(b.id, large));
  CHECK_FALSE(answer_to(c.id, small).has_value());
  CHECK(is<Done>(b.release(lease_b, "s", three)));
  CHECK(is<Granted>(answer_to(c.id, small)));
}

TEST_CASE_FIXTURE(ModesTest, "semaphores: one release lets in all who fit") {
  const Token all = token_of(a.send(of(lease_a, permits(3))));
  CHECK_FALSE(b.send(of(lease_b, permits(1))).has_value());
  CHECK_FALSE(c.send(of(lease_c, permits(2))).has_value());
  CHECK(is<Done>(a.release(lease_a, "s", all)));
  CHECK(is<Granted>(answer_to(b.id, b.last_number)));
  CHECK(is<Granted>(answer_to(c.id, c.last_number)));
}

TEST_CASE_FIXTURE(ModesTest, "kinds: a name is one kind of thing while it lives, and then free") {
  const Token token = token_of(a.send(of(lease_a, permits(1))));
  const auto other = b.send(of(lease_b, permits(1, 5)));
  CHECK(code_of(other) == ErrorCode::kInvalidArgument);
  CHECK(message_of(other) ==
        "\"s\" is a semaphore of capacity 3 now; it can't be a semaphore of "
        "capacity 5 until nobody holds it or waits for it");
  CHECK(message_of(b.acquire(lease_b, "s")).find("it can't be a lock") != std::string::npos);
  CHECK(message_of(b.send(of(lease_b, {"s", Mode::kExclusive, 1, 0, LockKind::kElection})))
            .find("it can't be an election") != std::string::npos);
  CHECK(is<Done>(a.release(lease_a, "s", token)));
  CHECK(is<Granted>(b.send(of(lease_b, permits(1, 5)))));
}

TEST_CASE_FIXTURE(ModesTest, "kinds: what makes no sense is refused with what would") {
  const auto says = [&](LockRequest request, const char* text) {
    const auto refused = a.send(of(lease_a, std::move(request)));
    CHECK(code_of(refused) == ErrorCode::kInvalidArgument);
    CHECK_MESSAGE(message_of(refused).find(text) != std::string::npos, message_of(refused));
  };
  says(permits(0), "1 to 3, its capacity, are allowed");
  says(permits(4), "1 to 3, its capacity, are allowed");
  says(permits(1, 0), "it must be at least 1");
  says({"x", Mode::kShared, 2, 0}, "only semaphores have more");
  says({"x", Mode::kShared, 1, 2}, "only semaphores have more");
  says({"e", Mode::kShared, 1, 0, LockKind::kElection}, "its mode is exclusive");
  CHECK(table.counts().locks == 0);
}

TEST_CASE_FIXTURE(ModesTest, "elections: the leader says something of itself, nobody else does") {
  const Token term =
      token_of(a.send(of(lease_a, {"e", Mode::kExclusive, 1, 0, LockKind::kElection})));
  CHECK(is<Done>(a.send(SetHoldValue{lease_a, "e", term, "host:1"})));
  CHECK(table.describe("e").holders.at(0).value == "host:1");
  CHECK(code_of(b.send(SetHoldValue{lease_b, "e", term, "me"})) == ErrorCode::kNotHeld);
  const auto large = a.send(SetHoldValue{lease_a, "e", term, std::string(64 * 1024 + 1, 'v')});
  CHECK(code_of(large) == ErrorCode::kResourceExhausted);
  CHECK(is<Done>(a.send(SetHoldValue{lease_a, "e", term, ""})));
  CHECK(table.describe("e").holders.at(0).value.empty());
}
