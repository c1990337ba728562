// Adoption: another client takes over a living lease with all that is held under it.
#include "tests/unit/locks/table_fixture.h"

using namespace holdfast::locks;
using holdfast::base::AgentId;
using holdfast::base::ErrorCode;
using holdfast::base::EventType;
using holdfast::base::HolderId;
using holdfast::base::LeaseId;
using holdfast::base::LockKind;
using holdfast::base::Mode;
using holdfast::base::Token;

namespace {

struct AdoptionTest : TableFixture {
  TestClient old{*this}, heir{*this}, other{*this};
  LeaseId lease = old.open();

  static AdoptLease adopt(LeaseId lease, char secret = 's') {
    return {lease, std::string(holdfast::base::kSecretBytes, secret), {.host = "new"}};
  }
  std::optional<Answer> take_up(const std::string& lock, Mode mode = Mode::kExclusive) {
    return heir.acquire(lease, lock, mode, 77, false, AgentId{9});
  }
};

}  // namespace

TEST_CASE_FIXTURE(AdoptionTest, "adoption: the lease keeps its id and its holds") {
  const Token token = old.acquired(lease, "x");
  table.take_changes();
  const auto answer = heir.send(adopt(lease));
  REQUIRE(is<LeaseOpened>(answer));
  CHECK(std::get<LeaseOpened>(*answer).lease == lease);
  CHECK(applied.opened.empty());  // its clock goes on as it was: adoption renews nothing
  CHECK(applied.ended.empty());
  CHECK(table.lease(lease)->client == heir.id);
  CHECK(table.lease(lease)->owner->host == "new");
  CHECK(table.is_current("x", token));
  const auto events = *table.take_changes().events;
  REQUIRE(events.size() == 1);
  CHECK(events[0].type == EventType::kLeaseOpen);
  CHECK(std::string(events[0].cause) == "adopted");
}

TEST_CASE_FIXTURE(AdoptionTest, "adoption: the id alone, which everybody can see, is not enough") {
  CHECK(code_of(heir.send(adopt(lease, 'x'))) == ErrorCode::kPermissionDenied);
  CHECK(code_of(heir.send(AdoptLease{lease, "short", {}})) == ErrorCode::kInvalidArgument);
  CHECK(code_of(heir.send(AdoptLease{{}, std::string(16, 's'), {}})) ==
        ErrorCode::kInvalidArgument);
  CHECK(code_of(heir.send(adopt(LeaseId{999}))) == ErrorCode::kLeaseNotFound);
  CHECK(table.lease(lease)->client == old.id);
}

TEST_CASE_FIXTURE(AdoptionTest, "adoption: for its former client the lease has ended") {
  const Token token = old.acquired(lease, "x");
  const LeaseId others = other.open();
  const Token y = other.acquired(others, "y");
  const uint64_t waiting = old.queue(lease, "y");
  heir.send(adopt(lease));
  CHECK(code_of(answer_to(old.id, waiting)) == ErrorCode::kLeaseNotFound);
  old.settle(waiting);
  CHECK(code_of(old.acquire(lease, "z")) == ErrorCode::kLeaseNotFound);
  CHECK(code_of(old.release(lease, "x", token)) == ErrorCode::kLeaseNotFound);
  CHECK(code_of(old.send(Convert{lease, "x", token, Mode::kShared, {}, false})) ==
        ErrorCode::kLeaseNotFound);
  CHECK(code_of(old.send(SetHoldValue{lease, "x", token, "v"})) == ErrorCode::kLeaseNotFound);
  Txn put{{}, {{TxnOp::Kind::kPut, "k", "v", lease, false}}, {}};
  CHECK(code_of(old.send(put)) == ErrorCode::kLeaseNotFound);
  CHECK(code_of(old.send(CloseLease{lease})) == ErrorCode::kLeaseNotFound);
  // Strangers who know the id may do what they could before: scripts do.
  CHECK(is<Done>(other.release(lease, "x", token)));
  // What came free by the wait's end is free.
  CHECK(is<Done>(other.release(others, "y", y)));
  CHECK(is<Granted>(heir.acquire(lease, "y")));
}

TEST_CASE_FIXTURE(AdoptionTest, "adoption: the end of the former's waits lets others pass") {
  const LeaseId others = other.open();
  const Token shared = other.acquired(others, "x", Mode::kShared);
  const uint64_t exclusive = old.queue(lease, "x");
  const uint64_t behind = other.queue(others, "x", Mode::kShared, 2);
  heir.send(adopt(lease));
  CHECK(code_of(answer_to(old.id, exclusive)) == ErrorCode::kLeaseNotFound);
  CHECK(is<Granted>(answer_to(other.id, behind)));
  CHECK(table.is_current("x", shared));
}

TEST_CASE_FIXTURE(AdoptionTest, "adoption: what is held is taken up with a new token") {
  const Token token = old.acquired(lease, "x");
  heir.send(adopt(lease));
  CHECK(table.is_current("x", token));
  const Token taken = token_of(take_up("x"));
  CHECK(taken > token);
  CHECK_FALSE(table.is_current("x", token));
  CHECK(table.is_current("x", taken));
  const auto holds = table.rows().holds;
  REQUIRE(holds.size() == 1);
  CHECK(holds[0].holder == HolderId{77});
  CHECK(holds[0].agent == AgentId{9});
  // Once: a second holder of the same lease contends with the first.
  CHECK(code_of(heir.acquire(lease, "x", Mode::kExclusive, 78, false)) == ErrorCode::kWouldBlock);
  CHECK(code_of(take_up("x")) == ErrorCode::kInvalidArgument);  // that holder has it
}

TEST_CASE_FIXTURE(AdoptionTest, "adoption: a hold is taken up as it is held, and alone") {
  const Token token = old.acquired(lease, "x", Mode::kShared);
  heir.send(adopt(lease));
  const auto refused = take_up("x", Mode::kExclusive);
  CHECK(code_of(refused) == ErrorCode::kInvalidArgument);
  CHECK(message_of(refused).find("token " + std::to_string(token.value)) != std::string::npos);
  CHECK(message_of(refused).find("shared") != std::string::npos);
  Acquire both{lease, HolderId{5}, AgentId{9}, {{"w"}, {"x", Mode::kShared}}, true, ""};
  CHECK(code_of(heir.send(both)) == ErrorCode::kInvalidArgument);
  CHECK(token_of(take_up("x", Mode::kShared)) > token);
}

TEST_CASE_FIXTURE(AdoptionTest, "adoption: a leader that came back begins a new term") {
  Acquire campaign{lease, HolderId{1}, AgentId{1}, {{"e"}}, false, "", "old"};
  campaign.locks[0].kind = LockKind::kElection;
  const Token term = token_of(old.send(campaign));
  heir.send(adopt(lease));
  campaign.holder = HolderId{2};
  campaign.value = "heir";
  CHECK(token_of(heir.send(campaign)) > term);
  CHECK(table.rows().holds.at(0).value == "heir");
}

TEST_CASE_FIXTURE(AdoptionTest,
                  "adoption: one that is retried, or of one's own lease, is the same") {
  const Token token = old.acquired(lease, "x");
  const OpId op = heir.next_op();
  CHECK(is<LeaseOpened>(send(op, adopt(lease))));
  CHECK(is<LeaseOpened>(send(op, adopt(lease))));
  CHECK(token_of(take_up("x")) > token);
  CHECK(is<LeaseOpened>(heir.send(adopt(lease))));
  CHECK(table.lease(lease)->former == old.id);  // the heir isn't shut out by itself
  CHECK(is<Done>(heir.send(CloseLease{lease})));
  CHECK(table.rows().holds.empty());
}

TEST_CASE_FIXTURE(AdoptionTest,
                  "adoption: the heir's record lives with the lease, not the former's") {
  heir.send(adopt(lease));
  cell_time_ms += 100'000'000;
  register_client();  // which looks for records that nobody uses
  CHECK(table.op_state(heir.id, 999) == OpState::kNew);
  CHECK(table.op_state(old.id, 999) == OpState::kUnknownClient);
}

TEST_CASE_FIXTURE(AdoptionTest, "adoption: a checkpoint of before doesn't count any more") {
  lead(3);
  apply({{{}, CheckpointLeases{table.meta().leader, {{lease, 500}}}}});
  REQUIRE(table.lease(lease)->left_ms == 500);
  heir.send(adopt(lease));
  CHECK(table.lease(lease)->left_ms == 0);
}

TEST_CASE_FIXTURE(AdoptionTest, "adoption: quotas follow the lease to its new owner") {
  const auto quota = [](const std::string& user) {
    SetPolicy set;
    set.key = {holdfast::base::PolicyKind::kOwnerQuota, user};
    set.limits.locks = 1;
    set.reason = "test";
    return set;
  };
  other.send(quota("ann"));
  other.send(quota("bob"));
  const std::string secret(holdfast::base::kSecretBytes, 's');
  const auto opened = old.send(OpenLease{10'000, 0, secret, {.user = "ann"}});
  const LeaseId anns = std::get<LeaseOpened>(*opened).lease;
  old.acquired(anns, "x");
  REQUIRE(is<LeaseOpened>(heir.send(AdoptLease{anns, secret, {.user = "bob"}})));
  CHECK(code_of(heir.acquire(anns, "y")) == ErrorCode::kResourceExhausted);
  const auto again = old.send(OpenLease{10'000, 0, secret, {.user = "ann"}});
  CHECK(is<Granted>(old.acquire(std::get<LeaseOpened>(*again).lease, "z")));
}
