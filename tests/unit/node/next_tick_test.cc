// When a node wants to be called again: never at once for something that only a message or the disk
// can bring, or its loop would spin.
#include <doctest/doctest.h>

#include "tests/unit/node/bench.h"

using namespace holdfast;
using namespace holdfast::node;
using namespace holdfast::node::test;

TEST_CASE("node: a lease that is due makes no busy loop while its confirm round is under way") {
  // Cut off from its quorum, the leader can't know whether it may expire the lease. It has an
  // election timeout to wait, and nothing to do meanwhile.
  Bench bench(3);
  const uint32_t leader = bench.elect();
  const auto client = bench.register_client(leader);
  bench.open_lease(leader, client, 1, 500);
  bench.pass_ms(400);
  bench.lost = [leader](uint32_t, uint32_t to, const paxos::Message&) { return to == leader; };
  for (int i = 0; i < 40 && bench.node(leader).active(); ++i) {
    bench.pass_ms(5);
    CHECK(bench.node(leader).next_tick() > bench.now());
  }
  CHECK(bench.node(leader).active());
}

TEST_CASE("node: what can't be recorded yet makes no busy loop") {
  // A follower whose disk stalls applies what the others made durable, and may record none of it
  // before its own log has it (DESIGN 8).
  Bench bench(3);
  const uint32_t leader = bench.elect();
  const uint32_t slow = leader == 0 ? 1 : 0;
  const auto client = bench.register_client(leader);
  bench.pass_ms(600);
  bench.disk_stalled[slow] = true;
  bench.open_lease(leader, client, 1, 60'000);
  bench.pass_ms(400);
  REQUIRE(bench.node(slow).table().meta().applied > bench.node(slow).replica().durable_upto());
  CHECK(bench.node(slow).next_tick() > bench.now());
  bench.disk_stalled[slow] = false;
  bench.settle();
  CHECK(bench.node(slow).recorded() == bench.node(slow).table().meta().applied);
}
