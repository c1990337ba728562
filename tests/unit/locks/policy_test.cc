// Drains and quotas.
#include "tests/unit/locks/table_fixture.h"

using namespace holdfast::locks;
using holdfast::base::ErrorCode;
using holdfast::base::LeaseId;
using holdfast::base::Mode;
using holdfast::base::Owner;
using holdfast::base::PolicyKind;
using holdfast::base::QuotaLimits;
using holdfast::base::Token;

namespace {

SetPolicy drain(const std::string& prefix) {
  return {{PolicyKind::kDrain, prefix}, false, {}, "new disks", "me"};
}
SetPolicy quota(PolicyKind kind, const std::string& name, QuotaLimits limits) {
  return {{kind, name}, false, limits, "shared", "me"};
}
SetPolicy end_of(SetPolicy policy) {
  policy.end = true;
  return policy;
}

struct PolicyTest : TableFixture {
  TestClient a{*this}, b{*this};
  LeaseId lease_a = a.open(), lease_b = b.open();

  LeaseId open_as(const std::string& user) {
    Owner owner;
    owner.user = user;
    const auto answer =
        a.send(OpenLease{10'000, 0, std::string(holdfast::base::kSecretBytes, 's'), owner});
    return is<LeaseOpened>(answer) ? std::get<LeaseOpened>(*answer).lease : LeaseId{};
  }
  std::string limit_of(const std::optional<Answer>& answer) {
    REQUIRE(code_of(answer) == ErrorCode::kResourceExhausted);
    const auto& detail = std::get<holdfast::base::Error>(*answer).detail;
    return detail.at(0).second + "=" + detail.at(1).second;
  }
};

}  // namespace

TEST_CASE_FIXTURE(PolicyTest,
                  "drain: nothing is granted under the prefix, and what is held stays") {
  const Token held = a.acquired(lease_a, "p/x");
  CHECK(is<Done>(a.send(drain("p/"))));
  CHECK(table.is_current("p/x", held));
  CHECK(code_of(b.acquire(lease_b, "p/y", Mode::kExclusive, 1, false)) == ErrorCode::kWouldBlock);
  CHECK_FALSE(table.could_acquire("p/y", Mode::kShared));
  CHECK(table.describe("p/y").drain == "new disks");
  CHECK(is<Granted>(b.acquire(lease_b, "q", Mode::kExclusive, 1, false)));
  CHECK(is<Done>(a.release(lease_a, "p/x", held)));
}

TEST_CASE_FIXTURE(PolicyTest, "drain: waits go on, and are served in their order when it ends") {
  const Token held = a.acquired(lease_a, "p/x");
  const uint64_t before = b.queue(lease_b, "p/x");
  a.send(drain("p/"));
  a.release(lease_a, "p/x", held);
  CHECK_FALSE(table.is_held("p/x"));
  const uint64_t during = a.queue(lease_a, "p/x");
  const uint64_t elsewhere = a.queue(lease_a, "p/free");
  CHECK(is<Done>(a.send(end_of(drain("p/")))));
  CHECK(is<Granted>(answer_to(b.id, before)));
  CHECK(is<Granted>(answer_to(a.id, elsewhere)));
  CHECK_FALSE(answer_to(a.id, during).has_value());
}

TEST_CASE_FIXTURE(PolicyTest, "drain: one that overlaps keeps what it covers closed") {
  a.send(drain("p/"));
  a.send(drain("p/x"));
  const uint64_t number = b.queue(lease_b, "p/x");
  a.send(end_of(drain("p/")));
  CHECK_FALSE(answer_to(b.id, number).has_value());
  CHECK(is<Granted>(b.acquire(lease_b, "p/y", Mode::kExclusive, 1, false)));
  a.send(end_of(drain("p/x")));
  CHECK(is<Granted>(answer_to(b.id, number)));
}

TEST_CASE_FIXTURE(PolicyTest, "drain: an upgrade waits, a downgrade doesn't") {
  const Token token = a.acquired(lease_a, "p/x", Mode::kShared);
  a.send(drain("p/"));
  CHECK(code_of(a.send(Convert{lease_a, "p/x", token, Mode::kExclusive, {}, false})) ==
        ErrorCode::kWouldBlock);
  CHECK_FALSE(a.send(Convert{lease_a, "p/x", token, Mode::kExclusive, {}, true}).has_value());
  const uint64_t upgrade = a.last_number;
  const Token other = b.acquired(lease_b, "q");
  CHECK(is<Granted>(b.send(Convert{lease_b, "q", other, Mode::kShared, {}, false})));
  a.send(end_of(drain("p/")));
  CHECK(is<Granted>(answer_to(a.id, upgrade)));
}

TEST_CASE_FIXTURE(PolicyTest, "drain: of several locks one that is drained holds up all") {
  a.send(drain("p/"));
  const Acquire both{lease_b, {1}, {}, {{"q"}, {"p/x"}}, true, ""};
  CHECK_FALSE(b.send(both).has_value());
  const uint64_t number = b.last_number;
  CHECK_FALSE(table.is_held("q"));
  a.send(end_of(drain("p/")));
  CHECK(is<Granted>(answer_to(b.id, number)));
}

TEST_CASE_FIXTURE(PolicyTest, "drain: a restart knows of it") {
  a.send(drain("p/"));
  const uint64_t number = b.queue(lease_b, "p/x");
  LockTable fresh;
  const auto problem = fresh.restore(table.rows());
  REQUIRE_MESSAGE(!problem, *problem);
  table = std::move(fresh);
  CHECK_FALSE(table.could_acquire("p/y", Mode::kNull));
  a.send(end_of(drain("p/")));
  CHECK(is<Granted>(answer_to(b.id, number)));
}

TEST_CASE_FIXTURE(PolicyTest,
                  "policy: what isn't there can't be ended, and a reason must be given") {
  CHECK(code_of(a.send(end_of(drain("p/")))) == ErrorCode::kNotHeld);
  SetPolicy silent = drain("p/");
  silent.reason = "";
  CHECK(code_of(a.send(silent)) == ErrorCode::kInvalidArgument);
  CHECK(code_of(a.send(quota(PolicyKind::kPrefixQuota, "p/", {}))) == ErrorCode::kInvalidArgument);
  CHECK(code_of(a.send(quota(PolicyKind::kPrefixQuota, "p/", {.leases = 1}))) ==
        ErrorCode::kInvalidArgument);
}

TEST_CASE_FIXTURE(PolicyTest, "quota: locks under a prefix, held or waited for") {
  a.acquired(lease_a, "p/1");
  a.send(quota(PolicyKind::kPrefixQuota, "p/", {.locks = 3, .waiters = 1}));
  b.queue(lease_b, "p/1");
  CHECK(limit_of(b.acquire(lease_b, "p/1", Mode::kExclusive, 2)) == "quotaWaiters=1");
  CHECK(is<Granted>(b.acquire(lease_b, "p/2")));
  CHECK(limit_of(b.acquire(lease_b, "p/3")) == "quotaLocks=3");
  CHECK(is<Granted>(b.acquire(lease_b, "q")));
  b.send(CloseLease{lease_b});
  CHECK(table.policies().at(0).used.locks == 1);
  const Acquire three{lease_a, {5}, {}, {{"p/3"}, {"p/4"}, {"p/5"}}, false, ""};
  CHECK(limit_of(a.send(three)) == "quotaLocks=3");
}

TEST_CASE_FIXTURE(PolicyTest, "quota: leases of a user, and what they hold") {
  a.send(quota(PolicyKind::kOwnerQuota, "ci", {.leases = 2, .locks = 1}));
  const LeaseId one = open_as("ci");
  CHECK(one);
  CHECK(open_as("ci"));
  CHECK_FALSE(open_as("ci"));
  CHECK(open_as("somebody else"));
  a.acquired(one, "x");
  CHECK(limit_of(a.acquire(one, "y")) == "quotaLocks=1");
  a.send(CloseLease{one});
  CHECK(open_as("ci"));
}

TEST_CASE_FIXTURE(PolicyTest, "quota: bytes in keys, counted from what is there") {
  const auto put = [](const std::string& key, size_t bytes) {
    return Txn{{}, {{TxnOp::Kind::kPut, key, std::string(bytes, 'v'), {}, false}}, {}};
  };
  a.send(put("p/1", 7));
  a.send(quota(PolicyKind::kPrefixQuota, "p/", {.bytes = 20}));
  CHECK(table.policies().at(0).used.bytes == 10);
  CHECK(limit_of(a.send(put("p/2", 8))) == "quotaBytes=20");
  CHECK(is<TxnDone>(a.send(put("p/2", 7))));
  CHECK(is<TxnDone>(a.send(put("p/2", 1))));
  CHECK(is<TxnDone>(a.send(put("q", 100))));
  CHECK(table.policies().at(0).used.bytes == 14);
}

TEST_CASE_FIXTURE(PolicyTest, "quota: a restart counts the same") {
  a.send(quota(PolicyKind::kPrefixQuota, "p/", {.locks = 5, .bytes = 100}));
  const Token token = a.acquired(lease_a, "p/1");
  b.queue(lease_b, "p/1");
  a.send(Txn{{}, {{TxnOp::Kind::kPut, "p/k", "v", lease_b, false}}, {}});
  LockTable fresh;
  REQUIRE_FALSE(fresh.restore(table.rows()));
  CHECK(fresh.policies().at(0).used == table.policies().at(0).used);
  CHECK(fresh.policies().at(0).used == QuotaLimits{0, 2, 1, 4});
  (void)token;
}
