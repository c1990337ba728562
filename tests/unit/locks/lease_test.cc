// Leases: opening, closing, expiring, and what becomes of what is held under them.
#include "tests/unit/locks/table_fixture.h"

using namespace holdfast::locks;
using holdfast::base::Ballot;
using holdfast::base::ErrorCode;
using holdfast::base::EventType;
using holdfast::base::LeaseId;
using holdfast::base::Mode;
using holdfast::base::NodeId;
using holdfast::base::Token;

namespace {

struct LeaseTest : TableFixture {
  TestClient a{*this}, b{*this}, c{*this};
};

}  // namespace

TEST_CASE_FIXTURE(LeaseTest, "leases: a lease's id is the revision at which it was opened") {
  const LeaseId lease = a.open(2000);
  CHECK(lease.value == table.meta().revision.value);
  CHECK(applied.opened == std::vector{lease});
  REQUIRE(table.lease(lease) != nullptr);
  CHECK(table.lease(lease)->ttl_ms == 2000);
  CHECK(table.lease(lease)->client == a.id);
  CHECK(table.lease(LeaseId{12345}) == nullptr);
}

TEST_CASE_FIXTURE(LeaseTest, "leases: no TTL asks for the default, one out of range is refused") {
  CHECK(table.lease(a.open(0))->ttl_ms == holdfast::base::kDefaultLeaseTtlMs);
  const auto refused = a.send(OpenLease{499, 0, "", {}});
  CHECK(code_of(refused) == ErrorCode::kInvalidArgument);
  CHECK(message_of(refused).find("500 to 86400000 ms") != std::string::npos);
  CHECK(code_of(a.send(OpenLease{86'400'001, 0, "", {}})) == ErrorCode::kInvalidArgument);
  CHECK(code_of(a.send(OpenLease{1000, 60'001, "", {}})) == ErrorCode::kInvalidArgument);
}

TEST_CASE_FIXTURE(LeaseTest,
                  "leases: closing lets go of all holds in grant order, each passed on") {
  const LeaseId lease = a.open(), other = b.open();
  const Token y = a.acquired(lease, "y"), x = a.acquired(lease, "x");
  const uint64_t wants_x = b.queue(other, "x"), wants_y = b.queue(other, "y");
  table.take_changes();
  CHECK(is<Done>(a.send(CloseLease{lease})));
  CHECK(applied.ended == std::vector{lease});
  const auto events = *table.take_changes().events;
  REQUIRE(events.size() == 5);
  CHECK(events[0].type == EventType::kLeaseClose);
  CHECK(events[1].token == y);
  CHECK(events[2].token == x);
  CHECK(events[3].name == "y");  // served in the order in which they came free
  CHECK(events[4].name == "x");
  CHECK(is<Granted>(answer_to(b.id, wants_x)));
  CHECK(is<Granted>(answer_to(b.id, wants_y)));
  CHECK(code_of(a.send(CloseLease{lease})) == ErrorCode::kLeaseNotFound);
}

TEST_CASE_FIXTURE(LeaseTest, "leases: a waiter of a lease that ended is never granted") {
  // Etcd once returned a lock whose lease had ended while it waited (#11456).
  const LeaseId first = a.open(), second = b.open(), third = c.open();
  const Token token = a.acquired(first, "x");
  const uint64_t dead = b.queue(second, "x");
  const uint64_t alive = c.queue(third, "x");
  b.send(CloseLease{second});
  CHECK(code_of(answer_to(b.id, dead)) == ErrorCode::kLeaseNotFound);
  a.release(first, "x", token);
  CHECK(is<Granted>(answer_to(c.id, alive)));
}

TEST_CASE_FIXTURE(LeaseTest, "leases: a lease's hold doesn't pass to its own waiter as it ends") {
  const LeaseId lease = a.open();
  a.acquired(lease, "x", Mode::kExclusive, 1);
  const uint64_t waits = a.queue(lease, "x", Mode::kExclusive, 2);
  a.send(CloseLease{lease});
  CHECK(code_of(answer_to(a.id, waits)) == ErrorCode::kLeaseNotFound);
  CHECK(table.counts().locks == 0);
}

TEST_CASE_FIXTURE(LeaseTest, "leases: many expire in one command, and none inherits from another") {
  lead(3);
  const LeaseId first = a.open(), second = b.open(), third = c.open();
  a.acquired(first, "x");
  const uint64_t doomed = b.queue(second, "x"), lives = c.queue(third, "x");
  // Named twice, unknown, in any order: each ends once.
  expire({first, LeaseId{999}, second, first});
  CHECK(applied.ended == std::vector{first, second});
  CHECK(code_of(answer_to(b.id, doomed)) == ErrorCode::kLeaseNotFound);
  CHECK(is<Granted>(answer_to(c.id, lives)));
  CHECK(table.counts().expirations_total == 2);
}

TEST_CASE_FIXTURE(LeaseTest, "leases: an expiry says so in the record") {
  lead(3);
  const LeaseId lease = a.open();
  const Token token = a.acquired(lease, "x");
  table.take_changes();
  expire({lease});
  const auto events = *table.take_changes().events;
  REQUIRE(events.size() == 2);
  CHECK(events[0].type == EventType::kLeaseExpire);
  CHECK(events[1].type == EventType::kExpire);
  CHECK(events[1].token == token);
}

TEST_CASE_FIXTURE(LeaseTest, "leases: P13: an expiry decided in another ballot does nothing") {
  // Decided by the leader of (2, 1), accepted by a minority, dug up by a later leader under which
  // the lease was renewed.
  lead(2);
  const LeaseId lease = a.open();
  const Ballot stale = table.meta().leader;
  lead(3, 2);
  CHECK(table.meta().leader == Ballot{3, NodeId{2}});
  apply({{{}, ExpireLeases{stale, {lease}}}});
  CHECK(table.lease(lease) != nullptr);
  // A ballot to come is another one as well.
  apply({{{}, ExpireLeases{{4, NodeId{2}}, {lease}}}});
  CHECK(table.lease(lease) != nullptr);
  apply({{{}, ExpireLeases{{3, NodeId{2}}, {lease}}}});
  CHECK(table.lease(lease) == nullptr);
}

TEST_CASE_FIXTURE(LeaseTest,
                  "leases: only the cell itself may let leases expire or name a leader") {
  lead(1);
  const LeaseId lease = a.open();
  CHECK(code_of(b.send(ExpireLeases{table.meta().leader, {lease}})) ==
        ErrorCode::kPermissionDenied);
  CHECK(code_of(b.send(NewLeader{{9, NodeId{9}}})) == ErrorCode::kPermissionDenied);
  CHECK(table.lease(lease) != nullptr);
  CHECK(table.meta().leader == Ballot{1, NodeId{1}});
}

TEST_CASE_FIXTURE(LeaseTest, "leases: one process's leases share one copy of its owner") {
  const holdfast::base::Owner owner{"host", 42, "boot", "program", "user", "", "1.0", 7};
  std::vector<LeaseId> ids;
  for (int i = 0; i < 3; ++i) {
    a.send(OpenLease{1000, 0, "", owner});
    ids.push_back(applied.opened.at(0));
  }
  CHECK(table.lease(ids[0])->owner == table.lease(ids[2])->owner);
  CHECK(*table.lease(ids[0])->owner == owner);
  a.send(CloseLease{ids[0]});
  CHECK(table.lease(ids[1])->owner == table.lease(ids[2])->owner);
}

TEST_CASE_FIXTURE(LeaseTest, "leases: ids are listed in order, page by page, whatever has ended") {
  std::vector<LeaseId> ids;
  for (int i = 0; i < 300; ++i) ids.push_back(a.open());
  std::vector<LeaseId> left;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i % 7 == 0) {
      left.push_back(ids[i]);
    } else {
      a.send(CloseLease{ids[i]});
    }
  }
  CHECK(table.lease_ids({}, 1000) == left);
  CHECK(table.lease_ids(left[2], 2) == std::vector{left[3], left[4]});
  size_t visited = 0;
  using Row = holdfast::base::LeaseRow;
  table.for_each_lease([](void* context, const Row&) { ++*static_cast<size_t*>(context); },
                       &visited);
  CHECK(visited == left.size());
}

TEST_CASE_FIXTURE(LeaseTest, "leases: a description tells of holds in grant order and of waits") {
  const LeaseId lease = a.open(), other = b.open();
  const Token y = a.acquired(lease, "y"), x = a.acquired(lease, "x");
  b.acquired(other, "z");
  a.queue(lease, "z");
  const auto info = table.describe_lease(lease);
  REQUIRE(info.has_value());
  CHECK(info->holds == std::vector<std::pair<std::string, Token>>{{"y", y}, {"x", x}});
  CHECK(info->waits == 1);
  CHECK_FALSE(table.describe_lease(LeaseId{999}).has_value());
}

TEST_CASE_FIXTURE(LeaseTest, "leases: cell time never goes back, wall time is only told") {
  cell_time_ms = 5000;
  a.open();
  cell_time_ms = 4000;
  wall_ms -= 60'000;
  a.open();
  CHECK(table.meta().cell_time_ms == 5000);
  CHECK(table.meta().wall_ms == wall_ms);
}

TEST_CASE_FIXTURE(LeaseTest, "leases: a checkpoint that an older leader decided does nothing") {
  // P13: dug up two leaders later, it would shorten a lease that was renewed since.
  lead(2);
  const LeaseId lease = a.open(60'000);
  const Ballot stale = table.meta().leader;
  lead(3, 2);
  apply({{{}, CheckpointLeases{stale, {{lease, 500}}}}});
  CHECK(table.lease(lease)->left_ms == 0);
  apply({{{}, CheckpointLeases{table.meta().leader, {{lease, 500}}}}});
  CHECK(table.lease(lease)->left_ms == 500);
}

TEST_CASE_FIXTURE(LeaseTest,
                  "members: a change of another configuration than the present does nothing") {
  // P9: two changes that were decided beside each other must not add up to one that skips a quorum.
  using holdfast::base::Config;
  const auto change = [&](uint64_t version, uint64_t node) {
    Config config;
    config.version = {version};
    config.members = {{{node}, {5}, "a:1", true}};
    apply({{{}, Reconfigure{config, "tested"}}});
  };
  change(2, 1);
  REQUIRE(table.config().version.value == 2);
  change(2, 2);
  change(4, 2);
  CHECK(table.config().version.value == 2);
  CHECK(table.config().members[0].id == NodeId{1});
  change(3, 2);
  CHECK(table.config().members[0].id == NodeId{2});
}
