// DESIGN 7a: a retry has the first attempt's effect and answer, a late copy does nothing.
#include "lockcore/locks/dedup.h"
#include "tests/unit/locks/table_fixture.h"

using namespace holdfast::locks;
using holdfast::base::ClientId;
using holdfast::base::ErrorCode;
using holdfast::base::LeaseId;
using holdfast::base::Mode;
using holdfast::base::Token;

namespace {

struct OnceTest : TableFixture {
  TestClient a{*this}, b{*this};
  LeaseId lease_a = a.open(), lease_b = b.open();

  static Acquire acquire(LeaseId lease, const std::string& lock, uint64_t holder = 1) {
    return {lease, {holder}, {1}, {{lock, Mode::kExclusive, 1, 0}}, true, ""};
  }
};

}  // namespace

TEST_CASE_FIXTURE(OnceTest, "once: a retry gets the recorded answer and changes nothing") {
  const OpId op{a.id, 10, 10, {}};
  const auto first = send(op, acquire(lease_a, "x"));
  const auto revision = table.meta().revision;
  CHECK(table.op_state(a.id, 10) == OpState::kAnswered);
  CHECK(send(op, acquire(lease_a, "x")) == first);
  CHECK(table.meta().revision == revision);
  CHECK(table.recorded_answer(a.id, 10) == first);
}

TEST_CASE_FIXTURE(OnceTest, "once: a refusal is as final for its number as a success") {
  b.acquired(lease_b, "x");
  Acquire attempt = acquire(lease_a, "x");
  attempt.wait = false;
  const OpId op{a.id, 10, 10, {}};
  CHECK(code_of(send(op, attempt)) == ErrorCode::kWouldBlock);
  b.release(lease_b, "x", table.describe("x").holders.at(0).token);
  CHECK(code_of(send(op, attempt)) == ErrorCode::kWouldBlock);
  CHECK_FALSE(table.is_held("x"));
}

TEST_CASE_FIXTURE(OnceTest, "once: a copy that arrives after the client moved on does nothing") {
  // The first attempt of 10 lingers in the network; its retry was answered, then released.
  const OpId op{a.id, 10, 10, {}};
  const Token token = token_of(send(op, acquire(lease_a, "x")));
  CHECK(is<Done>(send({a.id, 11, 11, {}}, Release{lease_a, "x", token})));
  CHECK(table.op_state(a.id, 10) == OpState::kSettled);
  CHECK(code_of(send(op, acquire(lease_a, "x"))) == ErrorCode::kCancelled);
  CHECK_FALSE(table.is_held("x"));
}

TEST_CASE_FIXTURE(OnceTest, "once: answers above the lowest unanswered go when they are told of") {
  b.acquired(lease_b, "x");
  send({a.id, 10, 10, {}}, acquire(lease_a, "x"));  // waits: 10 stays the lowest
  const Token y = token_of(send({a.id, 11, 10, {}}, acquire(lease_a, "y")));
  CHECK(table.op_state(a.id, 11) == OpState::kAnswered);
  send({a.id, 12, 10, {11}}, Release{lease_a, "y", y});
  CHECK(table.op_state(a.id, 10) == OpState::kWaiting);
  CHECK(table.op_state(a.id, 11) == OpState::kSettled);
  CHECK(table.op_state(a.id, 12) == OpState::kAnswered);
  CHECK(table.op_state(a.id, 13) == OpState::kNew);
  CHECK(code_of(send({a.id, 11, 10, {}}, acquire(lease_a, "y"))) == ErrorCode::kCancelled);
}

TEST_CASE_FIXTURE(OnceTest, "once: a copy of a waiting acquire attaches, and is granted once") {
  const Token token = b.acquired(lease_b, "x");
  const OpId op{a.id, 10, 10, {}};
  CHECK_FALSE(send(op, acquire(lease_a, "x")).has_value());
  CHECK_FALSE(send(op, acquire(lease_a, "x")).has_value());
  CHECK(table.describe("x").waiters.size() == 1);
  b.release(lease_b, "x", token);
  const auto granted = answer_to(a.id, 10);
  CHECK(is<Granted>(granted));
  CHECK(send(op, acquire(lease_a, "x")) == granted);
}

TEST_CASE_FIXTURE(OnceTest, "once: an unknown client is refused, never created") {
  const auto answer = send({ClientId{4711}, 1, 1, {}}, OpenLease{1000, 0, "", {}});
  CHECK(code_of(answer) == ErrorCode::kUnknownClient);
  CHECK(table.op_state(ClientId{4711}, 1) == OpState::kUnknownClient);
  CHECK(table.counts().leases == 2);
}

TEST_CASE_FIXTURE(OnceTest, "once: cancelling an unseen number keeps its copy from being granted") {
  // The acquire was sent and lost sight of; the cancel overtakes it.
  CHECK(is<WaitCancelled>(send({a.id, 11, 10, {}}, CancelWait{10})));
  CHECK(code_of(send({a.id, 10, 10, {}}, acquire(lease_a, "x"))) == ErrorCode::kCancelled);
  CHECK_FALSE(table.is_held("x"));
}

TEST_CASE_FIXTURE(OnceTest, "once: cancelling a waiting acquire takes it out of the queue") {
  const Token token = b.acquired(lease_b, "x");
  send({a.id, 10, 10, {}}, acquire(lease_a, "x"));
  CHECK(is<WaitCancelled>(send({a.id, 11, 10, {}}, CancelWait{10})));
  CHECK(code_of(answer_to(a.id, 10)) == ErrorCode::kCancelled);
  b.release(lease_b, "x", token);
  CHECK_FALSE(table.is_held("x"));
  CHECK(code_of(send({a.id, 10, 10, {}}, acquire(lease_a, "x"))) == ErrorCode::kCancelled);
}

TEST_CASE_FIXTURE(OnceTest,
                  "once: cancelling what was granted changes nothing and tells the grant") {
  const auto granted = send({a.id, 10, 10, {}}, acquire(lease_a, "x"));
  CHECK(send({a.id, 11, 10, {}}, CancelWait{10}) == granted);
  CHECK(table.is_held("x"));
}

TEST_CASE_FIXTURE(OnceTest, "once: cancelling what was refused or settled finds nothing granted") {
  CHECK(code_of(send({a.id, 10, 10, {}}, acquire(LeaseId{999}, "x"))) == ErrorCode::kLeaseNotFound);
  CHECK(is<WaitCancelled>(send({a.id, 11, 10, {}}, CancelWait{10})));
  CHECK(is<WaitCancelled>(send({a.id, 12, 12, {}}, CancelWait{10})));
}

TEST_CASE_FIXTURE(OnceTest, "once: only an earlier number can be cancelled") {
  CHECK(code_of(send({a.id, 10, 10, {}}, CancelWait{10})) == ErrorCode::kInvalidArgument);
  CHECK(code_of(send({a.id, 10, 10, {}}, CancelWait{11})) == ErrorCode::kInvalidArgument);
  CHECK(table.op_state(a.id, 11) == OpState::kNew);
}

TEST_CASE_FIXTURE(OnceTest, "once: an operation whose number makes no sense leaves no trace") {
  const auto before = table.rows().clients;
  CHECK(code_of(send({a.id, 0, 0, {}}, OpenLease{})) == ErrorCode::kInvalidArgument);
  CHECK(code_of(send({a.id, 10, 11, {}}, OpenLease{})) == ErrorCode::kInvalidArgument);
  CHECK(code_of(send({a.id, 10, 10, {10}}, OpenLease{})) == ErrorCode::kInvalidArgument);
  CHECK(code_of(send({a.id, UINT64_MAX, 1, {}}, OpenLease{})) == ErrorCode::kInvalidArgument);
  CHECK(code_of(send({{}, 10, 10, {}}, OpenLease{})) == ErrorCode::kInvalidArgument);
  CHECK(table.op_state(a.id, 10) == OpState::kNew);
  CHECK(table.rows().clients.size() == before.size());
}

TEST_CASE_FIXTURE(OnceTest, "once: a wait that its client calls answered is given up") {
  // A contradiction, but left alone it would end in a grant that nobody knows of.
  const Token token = b.acquired(lease_b, "x");
  send({a.id, 10, 10, {}}, acquire(lease_a, "x"));
  send({a.id, 11, 11, {}}, acquire(lease_a, "y"));
  CHECK(table.describe("x").waiters.empty());
  // Whoever still listens for it is not left waiting for ever.
  CHECK(code_of(answer_to(a.id, 10)) == ErrorCode::kCancelled);
  b.release(lease_b, "x", token);
  CHECK_FALSE(table.is_held("x"));
}

TEST_CASE_FIXTURE(OnceTest, "once: too many unconfirmed answers are refused, giving back isn't") {
  const Token token = token_of(send({a.id, 2, 2, {}}, acquire(lease_a, "x")));
  uint64_t number = 2;
  while (table.op_state(a.id, number + 1) == OpState::kNew) {
    const auto answer = send({a.id, ++number, 2, {}}, acquire(LeaseId{999}, "y"));
    if (code_of(answer) == ErrorCode::kResourceExhausted) break;
    REQUIRE(number < 3 * holdfast::base::kMaxAnswersPerClient);
  }
  CHECK(number == 2 + holdfast::base::kMaxAnswersPerClient);
  // Not recorded: the number may be used again, once there is room.
  CHECK(table.op_state(a.id, number) == OpState::kNew);
  CHECK(is<Done>(send({a.id, number + 1, 2, {}}, Release{lease_a, "x", token})));
  CHECK(code_of(send({a.id, number, number, {}}, acquire(LeaseId{999}, "y"))) ==
        ErrorCode::kLeaseNotFound);
}

TEST_CASE_FIXTURE(OnceTest, "once: gaps between answered numbers are bounded") {
  const size_t limit = holdfast::base::kMaxAckRangesPerClient;
  std::vector<uint64_t> every_other;
  for (uint64_t i = 0; i < limit; ++i) every_other.push_back(12 + 2 * i);
  CHECK(is<LeaseOpened>(send({a.id, 11, 10, every_other}, OpenLease{1000, 0, "", {}})));
  const uint64_t beyond = 100 + 2 * limit;
  const auto refused = send({a.id, 13, 10, {beyond}}, OpenLease{1000, 0, "", {}});
  CHECK(code_of(refused) == ErrorCode::kResourceExhausted);
  CHECK(table.op_state(a.id, beyond) == OpState::kNew);
  CHECK(is<Done>(send({a.id, 13, 10, {beyond}}, CloseLease{lease_a})));
  // The way out: the lowest unanswered moves on.
  CHECK(is<LeaseOpened>(send({a.id, 5001, 5001, {}}, OpenLease{1000, 0, "", {}})));
  CHECK(table.rows().clients.at(0).acked.empty());
}

TEST_CASE_FIXTURE(OnceTest, "once: a client that says goodbye leaves its leases, not its waits") {
  b.acquired(lease_b, "x");
  send({a.id, 10, 10, {}}, acquire(lease_a, "x"));
  CHECK(is<Done>(send({a.id, 11, 10, {}}, ForgetClient{})));
  CHECK(code_of(answer_to(a.id, 10)) == ErrorCode::kCancelled);
  CHECK(table.op_state(a.id, 10) == OpState::kUnknownClient);
  CHECK(table.describe("x").waiters.empty());
  // `lockctl lease open` opens a lease, says goodbye, and the lease goes on.
  CHECK(table.lease(lease_a) != nullptr);
  CHECK(is<Done>(b.send(CloseLease{lease_a})));
}

TEST_CASE_FIXTURE(OnceTest, "once: a client that was idle longer than its TTL is dropped") {
  const ClientId idle = register_client(60'000);
  cell_time_ms += 60'001;
  const ClientId second = register_client(60'000);
  CHECK(table.op_state(idle, 1) == OpState::kUnknownClient);
  CHECK(table.op_state(second, 1) == OpState::kNew);
  // a and b have leases: they stay, however long they are silent.
  cell_time_ms += 10 * holdfast::base::kClientTtlMs;
  for (int i = 0; i < 10; ++i) register_client();
  CHECK(table.op_state(a.id, 99) == OpState::kNew);
  CHECK(table.op_state(second, 1) == OpState::kUnknownClient);
}

TEST_CASE_FIXTURE(OnceTest, "once: a client isn't dropped as soon as its long wait is over") {
  // Else nobody could ask for the grant any more, and nobody would know of it. The lease may be
  // another client's.
  b.acquired(lease_b, "x");
  const ClientId waits = register_client(60'000);
  send({waits, 1, 1, {}}, acquire(lease_b, "x", 2));
  cell_time_ms += 10 * holdfast::base::kClientTtlMs;
  b.release(lease_b, "x", table.describe("x").holders.at(0).token);
  for (int i = 0; i < 10; ++i) register_client();
  CHECK(table.op_state(waits, 1) == OpState::kAnswered);
  cell_time_ms += 60'001;
  for (int i = 0; i < 10; ++i) register_client();
  CHECK(table.op_state(waits, 1) == OpState::kUnknownClient);
}

TEST_CASE_FIXTURE(OnceTest, "once: answers outlive the lease, however long it lived") {
  const OpId op{a.id, 10, 10, {}};
  const auto granted = send(op, acquire(lease_a, "x"));
  lead(1);
  cell_time_ms += 10 * holdfast::base::kClientTtlMs;
  expire({lease_a});
  for (int i = 0; i < 10; ++i) register_client();
  CHECK(table.recorded_answer(a.id, 10) == granted);
}

TEST_CASE_FIXTURE(OnceTest, "once: use extends a client's life") {
  const ClientId id = register_client(60'000);
  for (uint64_t i = 1; i <= 10; ++i) {
    cell_time_ms += 30'000;
    send({id, i, i, {}}, CloseLease{LeaseId{999}});
    register_client();
  }
  CHECK(table.op_state(id, 11) == OpState::kNew);
}

TEST_CASE("once: answered numbers are kept as ranges that never touch") {
  NumberRanges ranges;
  for (uint64_t number : {5, 7, 9, 6, 12, 5}) add_number(ranges, number);
  CHECK(ranges == NumberRanges{{5, 7}, {9, 9}, {12, 12}});
  add_number(ranges, 8);
  CHECK(ranges == NumberRanges{{5, 9}, {12, 12}});
  CHECK(contains(ranges, 9));
  CHECK_FALSE(contains(ranges, 10));
  CHECK(drop_below(ranges, 7) == 10);
  CHECK(ranges == NumberRanges{{12, 12}});
  CHECK(drop_below(ranges, 11) == 11);
  CHECK(drop_below(ranges, 13) == 13);
  CHECK(ranges.empty());
}
