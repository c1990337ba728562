// Limits (DESIGN 2.10): each is a clear error to whoever reaches it, without any other effect, and
// giving something back is always the way out.
#include "tests/unit/locks/table_fixture.h"

using namespace holdfast::locks;
using holdfast::base::Error;
using holdfast::base::ErrorCode;
using holdfast::base::LeaseId;
using holdfast::base::Mode;
using holdfast::base::Token;

namespace {

struct LimitsTest : TableFixture {
  explicit LimitsTest() {
    table = LockTable({.leases = 3,
                       .holds = 6,
                       .holds_per_lease = 4,
                       .waiters_per_lock = 2,
                       .clients = 4,
                       .answers = 20});
  }

  // Sends a command that reaches `limit`; checks that it changed nothing but its own record.
  template <class Send>
  void reaches(const std::string& limit, const std::string& value, Send send) {
    const auto before = table.rows();
    const std::optional<Answer> answer = send();
    CHECK(code_of(answer) == ErrorCode::kResourceExhausted);
    CHECK(std::get<Error>(*answer).detail ==
          decltype(Error::detail){{"limit", limit}, {"value", value}});
    const auto after = table.rows();
    CHECK(after.meta.revision == before.meta.revision);
    CHECK(after.meta.event_digest == before.meta.event_digest);
    CHECK(after.leases.size() == before.leases.size());
    CHECK(after.locks.size() == before.locks.size());
    CHECK(after.holds.size() == before.holds.size());
    CHECK(after.waiters.size() == before.waiters.size());
    CHECK(after.clients.size() == before.clients.size());
  }
};

}  // namespace

TEST_CASE_FIXTURE(LimitsTest, "limits: clients") {
  for (int i = 0; i < 4; ++i) register_client(60'000);
  reaches("clients", "4", [&] { return send({}, RegisterClient{}); });
  cell_time_ms += 60'001;  // those were idle too long
  register_client();
}

TEST_CASE_FIXTURE(LimitsTest, "limits: leases") {
  TestClient client(*this);
  const LeaseId first = client.open();
  client.open();
  client.open();
  reaches("leases", "3", [&] { return client.send(OpenLease{1000, 0, "", {}}); });
  CHECK(is<Done>(client.send(CloseLease{first})));
  client.open();
}

TEST_CASE_FIXTURE(LimitsTest, "limits: holds of a lease, waits included") {
  TestClient a(*this), b(*this);
  const LeaseId lease = a.open(), other = b.open();
  b.acquired(other, "busy");
  const Token x = a.acquired(lease, "x");
  a.acquired(lease, "y");
  a.acquired(lease, "z");
  a.queue(lease, "busy");
  reaches("holdsPerLease", "4", [&] { return a.acquire(lease, "free"); });
  CHECK(is<Done>(a.release(lease, "x", x)));
  a.acquired(lease, "free");
}

TEST_CASE_FIXTURE(LimitsTest, "limits: holds of all leases, waits included") {
  // Else a few leases with a million holds each would take every node's memory at once.
  TestClient a(*this), b(*this);
  const LeaseId lease = a.open(), other = b.open();
  for (const char* name : {"1", "2", "3"}) a.acquired(lease, name);
  const Token last = b.acquired(other, "4");
  b.acquired(other, "5");
  b.queue(other, "1");
  reaches("holds", "6", [&] { return a.acquire(lease, "free"); });
  reaches("holds", "6", [&] { return a.acquire(lease, "4"); });
  CHECK(is<Done>(b.release(other, "4", last)));
  a.acquired(lease, "free");
}

TEST_CASE_FIXTURE(LimitsTest, "limits: waiters of a lock") {
  TestClient a(*this);
  const LeaseId lease = a.open();
  const Token token = a.acquired(lease, "x");
  const uint64_t first = a.queue(lease, "x", Mode::kExclusive, 2);
  a.queue(lease, "x", Mode::kExclusive, 3);
  reaches("waitersPerLock", "2", [&] { return a.acquire(lease, "x", Mode::kExclusive, 4); });
  CHECK(is<Done>(a.release(lease, "x", token)));
  CHECK(is<Granted>(answer_to(a.id, first)));
  a.queue(lease, "x", Mode::kExclusive, 4);
}

TEST_CASE_FIXTURE(LimitsTest, "limits: answers of all clients") {
  // What one client leaves unconfirmed is bounded, but there may be millions of clients.
  TestClient a(*this), b(*this);
  const LeaseId lease = a.open();
  uint64_t number = 1;
  while (number < 20) send({b.id, ++number, 2, {}}, CloseLease{LeaseId{999}});
  reaches("answers", "20", [&] { return send({b.id, 50, 2, {}}, OpenLease{1000, 0, "", {}}); });
  CHECK(table.op_state(b.id, 50) == OpState::kNew);
  // Giving back goes on, and so does whoever confirms.
  CHECK(is<Done>(a.send(CloseLease{lease})));
  CHECK(is<LeaseOpened>(send({b.id, 50, 50, {}}, OpenLease{1000, 0, "", {}})));
}

TEST_CASE_FIXTURE(LimitsTest, "limits: a restart keeps them") {
  TestClient client(*this);
  for (int i = 0; i < 3; ++i) client.open();
  REQUIRE_FALSE(table.restore(table.rows()).has_value());
  reaches("leases", "3", [&] { return client.send(OpenLease{1000, 0, "", {}}); });
}
