// Node: what a leader may answer, and when; what it decides by itself; what it records.
#include "lockcore/node/node.h"

#include <doctest/doctest.h>

#include "lockcore/base/limits.h"
#include "tests/unit/node/bench.h"

using namespace holdfast;
using namespace holdfast::node;
using namespace holdfast::node::test;
using base::ErrorCode;
using base::LeaseId;

namespace {

ErrorCode code_of(const locks::Answer& answer) {
  REQUIRE(std::holds_alternative<base::Error>(answer));
  return std::get<base::Error>(answer).code;
}

void cut_off(Bench& bench, uint32_t victim) {
  bench.lost = [victim](uint32_t from, uint32_t to, const paxos::Message&) {
    return from == victim || to == victim;
  };
}

void heal(Bench& bench) {
  bench.lost = [](uint32_t, uint32_t, const paxos::Message&) { return false; };
}

}  // namespace

TEST_CASE("node: a cell of one and a cell of three found themselves, elect, grant and release") {
  for (const uint32_t size : {1u, 3u, 5u}) {
    Bench bench(size);
    const uint32_t leader = bench.elect();
    const auto client = bench.register_client(leader);
    const auto lease = bench.open_lease(leader, client, 1, 10'000);
    const auto granted = bench.run(leader, make(client, 2, acquire(lease, "a")));
    REQUIRE(std::holds_alternative<locks::Granted>(granted));
    const base::Token token = std::get<locks::Granted>(granted).tokens.at(0);
    CHECK(bench.node(leader).table().is_current("a", token));
    const auto released = bench.run(leader, make(client, 3, locks::Release{lease, "a", token}));
    CHECK(std::holds_alternative<locks::Done>(released));
    CHECK_FALSE(bench.node(leader).table().is_held("a"));
  }
}

TEST_CASE("node: a renewal is answered only after a confirm round that began after it arrived") {
  // P8. If an echo that was under way already were enough, a leader that was deposed between the
  // echo and the renewal would promise a lease that its successor may be ending.
  Bench bench(3);
  const uint32_t leader = bench.elect();
  const auto client = bench.register_client(leader);
  const auto lease = bench.open_lease(leader, client, 1, 10'000);
  bench.lost = [leader](uint32_t, uint32_t to, const paxos::Message&) { return to == leader; };
  const ClientRef ref = bench.renew(leader, {lease});
  bench.settle();
  CHECK_FALSE(bench.answers.renewals.contains(ref));
  heal(bench);
  bench.pass_ms(200);
  REQUIRE(bench.answers.renewals.contains(ref));
  CHECK(bench.answers.renewals[ref].leases == std::vector{Renewal::kAlive});
}

TEST_CASE("node: a leader that is cut off answers every pending call with notLeader") {
  Bench bench(3);
  const uint32_t leader = bench.elect();
  const auto client = bench.register_client(leader);
  const auto lease = bench.open_lease(leader, client, 1, 10'000);
  cut_off(bench, leader);
  const ClientRef renewal = bench.renew(leader, {lease});
  const ClientRef read = bench.read(leader);
  const ClientRef command = bench.command(leader, make(client, 2, acquire(lease, "a")));
  bench.pass_ms(3'000);
  REQUIRE(bench.answers.renewals.contains(renewal));
  CHECK(bench.answers.renewals[renewal].error->code == ErrorCode::kNotLeader);
  REQUIRE(bench.answers.reads.contains(read));
  CHECK(bench.answers.reads[read].error->code == ErrorCode::kNotLeader);
  REQUIRE(bench.answers.commands.contains(command));
  CHECK(code_of(bench.answers.commands[command]) == ErrorCode::kNotLeader);
  CHECK_FALSE(bench.node(leader).active());
}

TEST_CASE("node: a leader that won phase 1 serves nobody before its NewLeader is applied") {
  // P3. What its predecessor told clients may lie in slots that it has yet to choose again: a read
  // would miss them, and a lease's full TTL would begin too early.
  Bench bench(3);
  const uint32_t first = bench.elect();
  const auto client = bench.register_client(first);
  bench.open_lease(first, client, 1, 10'000);
  bench.lost = [first](uint32_t from, uint32_t to, const paxos::Message& message) {
    return from == first || to == first || std::holds_alternative<paxos::Accept>(message);
  };
  const auto second = [&]() -> std::optional<uint32_t> {
    for (uint32_t i = 0; i < 3; ++i) {
      if (i != first && bench.node(i).replica().role() == paxos::Role::kLeader) return i;
    }
    return std::nullopt;
  };
  for (int tries = 0; tries < 400 && !second(); ++tries) bench.pass_ms(10);
  REQUIRE(second());
  bench.pass_ms(20);  // confirm rounds go through
  CHECK_FALSE(bench.node(*second()).active());
  const ClientRef read = bench.read(*second());
  const ClientRef command = bench.command(*second(), make(client, 2, locks::CancelWait{1}));
  // It is about to lead, so it keeps them for a moment; but not for as long as that takes.
  bench.pass_ms(50);
  CHECK_FALSE(bench.answers.reads.contains(read));
  bench.pass_ms(200);
  REQUIRE(bench.answers.reads.contains(read));
  CHECK(bench.answers.reads[read].error->code == ErrorCode::kNotLeader);
  CHECK(code_of(bench.answers.commands.at(command)) == ErrorCode::kNotLeader);
}

TEST_CASE("node: a lease that nobody renews ends, and its waiter is granted in the same slot") {
  Bench bench(3);
  const uint32_t leader = bench.elect();
  const auto client = bench.register_client(leader);
  const auto dying = bench.open_lease(leader, client, 1, 500);
  const auto living = bench.open_lease(leader, client, 2, 60'000);
  bench.run(leader, make(client, 3, acquire(dying, "a")));
  const ClientRef waiting = bench.command(leader, make(client, 4, acquire(living, "a")));
  bench.pass_ms(450);
  CHECK_FALSE(bench.answers.commands.contains(waiting));
  bench.pass_ms(200);
  REQUIRE(bench.answers.commands.contains(waiting));
  CHECK(std::holds_alternative<locks::Granted>(bench.answers.commands[waiting]));
  CHECK(bench.node(leader).table().lease(dying) == nullptr);
}

TEST_CASE("node: a follower answers a read once it has applied what the leader knew chosen") {
  Bench bench(3);
  const uint32_t leader = bench.elect();
  const uint32_t follower = (leader + 1) % 3;
  const auto client = bench.register_client(leader);
  const auto lease = bench.open_lease(leader, client, 1, 10'000);
  // It doesn't hear that the grant is chosen, which its client is told.
  bench.lost = [follower](uint32_t, uint32_t to, const paxos::Message&) { return to == follower; };
  bench.run(leader, make(client, 2, acquire(lease, "a")));
  REQUIRE_FALSE(bench.node(follower).table().is_held("a"));
  const ClientRef ref = bench.read_here(follower);
  bench.settle();
  CHECK_FALSE(bench.answers.reads.contains(ref));
  heal(bench);
  bench.pass_ms(150);
  REQUIRE(bench.answers.reads.contains(ref));
  CHECK_FALSE(bench.answers.reads[ref].error);
  CHECK(bench.node(follower).table().is_held("a"));
}

TEST_CASE("node: a follower that no leader answers says so, and who leads answers by itself") {
  Bench bench(3);
  const uint32_t leader = bench.elect();
  const uint32_t follower = (leader + 1) % 3;
  cut_off(bench, follower);
  const ClientRef cut = bench.read_here(follower);
  const ClientRef own = bench.read_here(leader);
  bench.pass_ms(400);
  REQUIRE(bench.answers.reads.contains(cut));
  CHECK(bench.answers.reads[cut].error->code == ErrorCode::kNotLeader);
  REQUIRE(bench.answers.reads.contains(own));
  CHECK_FALSE(bench.answers.reads[own].error);
}

TEST_CASE("node: a leader that was stopped reads the renewals in its sockets before it expires") {
  // DESIGN 6. The renewal arrived while the process was stopped; the process finds the lease due
  // and the renewal unread at the same moment.
  Bench bench(3);
  const uint32_t leader = bench.elect();
  const auto client = bench.register_client(leader);
  const auto lease = bench.open_lease(leader, client, 1, 500);
  bench.jump_ms(600);
  Effects fx;
  bench.node(leader).on_tick(bench.now(), fx);  // the timer comes first ...
  bench.turn(leader);
  const ClientRef ref = bench.renew(leader, {lease});  // ... then what lies in the socket
  bench.pass_ms(300);
  REQUIRE(bench.answers.renewals.contains(ref));
  if (!bench.answers.renewals[ref].error) {
    CHECK(bench.answers.renewals[ref].leases == std::vector{Renewal::kAlive});
  }
  CHECK(bench.node(leader).table().lease(lease) != nullptr);
}

TEST_CASE("node: a new leader gives every lease its full TTL from the moment it is active") {
  Bench bench(3);
  const uint32_t first = bench.elect();
  const auto client = bench.register_client(first);
  const auto lease = bench.open_lease(first, client, 1, 5'000);
  bench.pass_ms(1'000);
  cut_off(bench, first);
  for (uint32_t i = 0; i < 3; ++i) {
    Effects fx;
    if (i != first) bench.node(i).on_peer_lost(base::NodeId{first + 1}, bench.now(), fx);
  }
  std::optional<uint32_t> second;
  for (int tries = 0; tries < 400 && !second; ++tries) {
    bench.pass_ms(10);
    for (uint32_t i = 0; i < 3; ++i) {
      if (i != first && bench.node(i).active()) second = i;
    }
  }
  REQUIRE(second);
  CHECK(bench.node(*second).remaining_ms(lease, bench.now()).value() > 4'900);
}

TEST_CASE(
    "node: a renewal of a lease whose close is proposed waits for the close, then says gone") {
  Bench bench(3);
  const uint32_t leader = bench.elect();
  const auto client = bench.register_client(leader);
  const auto lease = bench.open_lease(leader, client, 1, 10'000);
  // The followers' disks stand still: confirm rounds go through, commits don't.
  for (uint32_t i = 0; i < 3; ++i) bench.disk_stalled[i] = i != leader;
  const ClientRef close = bench.command(leader, make(client, 2, locks::CloseLease{lease}));
  bench.settle();
  const ClientRef renewal = bench.renew(leader, {lease});
  bench.pass_ms(100);
  CHECK_FALSE(bench.answers.commands.contains(close));
  CHECK_FALSE(bench.answers.renewals.contains(renewal));
  for (uint32_t i = 0; i < 3; ++i) bench.disk_stalled[i] = false;
  bench.settle();
  CHECK(std::holds_alternative<locks::Done>(bench.answers.commands.at(close)));
  CHECK(bench.answers.renewals.at(renewal).leases == std::vector{Renewal::kNotFound});
}

TEST_CASE("node: a renewal that waits for a close is answered when the leader steps down") {
  // P3: every pending call gets its notLeader, once (Bench checks that). The client must try
  // elsewhere, not sit out its timeout.
  Bench bench(3);
  const uint32_t leader = bench.elect();
  const auto client = bench.register_client(leader);
  const auto lease = bench.open_lease(leader, client, 1, 10'000);
  for (uint32_t i = 0; i < 3; ++i) bench.disk_stalled[i] = i != leader;
  const ClientRef close = bench.command(leader, make(client, 2, locks::CloseLease{lease}));
  bench.settle();
  const ClientRef renewal = bench.renew(leader, {lease});
  bench.pass_ms(50);
  REQUIRE_FALSE(bench.answers.renewals.contains(renewal));
  cut_off(bench, leader);
  bench.pass_ms(3'000);
  REQUIRE(bench.answers.renewals.contains(renewal));
  CHECK(bench.answers.renewals[renewal].error->code == ErrorCode::kNotLeader);
  CHECK(code_of(bench.answers.commands.at(close)) == ErrorCode::kNotLeader);
}

TEST_CASE("node: of many leases renewed at once, only those whose end is proposed are waited for") {
  // A process with many sessions renews all of them in one call and closes some all the time. Were
  // the whole call judged anew whenever one close is through, it would meet the next one.
  Bench bench(3);
  const uint32_t leader = bench.elect();
  const auto client = bench.register_client(leader);
  const auto a = bench.open_lease(leader, client, 1, 10'000);
  const auto b = bench.open_lease(leader, client, 2, 10'000);
  const auto c = bench.open_lease(leader, client, 3, 10'000);
  for (uint32_t i = 0; i < 3; ++i) bench.disk_stalled[i] = i != leader;
  bench.command(leader, make(client, 4, locks::CloseLease{b}));
  bench.settle();
  const ClientRef renewal = bench.renew(leader, {a, b, c});
  bench.settle();
  bench.command(leader, make(client, 5, locks::CloseLease{c}));  // after c was found alive
  bench.settle();
  REQUIRE_FALSE(bench.answers.renewals.contains(renewal));
  // The first close gets through, the second doesn't.
  bench.lost = [leader, held = 0](uint32_t from, uint32_t, const paxos::Message& message) mutable {
    const auto* accepted = std::get_if<paxos::Accepted>(&message);
    return from != leader && accepted != nullptr && !accepted->slots.empty() && held++ >= 2;
  };
  for (uint32_t i = 0; i < 3; ++i) bench.disk_stalled[i] = false;
  bench.settle();
  REQUIRE(bench.answers.renewals.contains(renewal));
  CHECK(bench.answers.renewals[renewal].leases ==
        std::vector{Renewal::kAlive, Renewal::kNotFound, Renewal::kAlive});
}

TEST_CASE("node: renewals that wait for a close are bounded like all that waits") {
  // DESIGN 2.10. Confirm rounds go through and take renewals out of one queue; commits don't, and
  // the other queue would grow as long as the followers' disks stall.
  Bench bench(3);
  const uint32_t leader = bench.elect();
  const auto client = bench.register_client(leader);
  const auto lease = bench.open_lease(leader, client, 1, 10'000);
  for (uint32_t i = 0; i < 3; ++i) bench.disk_stalled[i] = i != leader;
  bench.command(leader, make(client, 2, locks::CloseLease{lease}));
  bench.settle();
  ClientRef last = 0;
  for (int round = 0; round < 2; ++round) {
    for (size_t i = 0; i <= base::kMaxPendingReads / 2; ++i) last = bench.renew(leader, {lease});
    bench.settle();
  }
  REQUIRE(bench.answers.renewals.contains(last));
  REQUIRE(bench.answers.renewals[last].error);
  CHECK(bench.answers.renewals[last].error->code == ErrorCode::kResourceExhausted);
}

TEST_CASE("node: renewals that wait are bounded by the leases that they name") {
  // DESIGN 2.10: few calls may name very many leases.
  Bench bench(3);
  const uint32_t leader = bench.elect();
  const std::vector<LeaseId> many(base::kMaxRenewalsPerCall, LeaseId{1});
  ClientRef last = 0;
  for (size_t named = 0; named <= base::kMaxLeases; named += many.size()) {
    last = bench.renew(leader, many);
  }
  bench.turn(leader);
  REQUIRE(bench.answers.renewals.contains(last));
  CHECK(bench.answers.renewals[last].error->code == ErrorCode::kResourceExhausted);
  bench.settle();
  const ClientRef later = bench.renew(leader, many);
  bench.settle();
  CHECK_FALSE(bench.answers.renewals.at(later).error);
}

TEST_CASE("node: a retry attaches to the operation under way, and both calls are answered") {
  // DESIGN 7a: a retry, on whichever node, has the first attempt's effect and answer.
  Bench bench(3);
  const uint32_t leader = bench.elect();
  const auto client = bench.register_client(leader);
  const auto lease = bench.open_lease(leader, client, 1, 10'000);
  const ClientRef first = bench.command(leader, make(client, 2, acquire(lease, "a")));
  const ClientRef second = bench.command(leader, make(client, 2, acquire(lease, "a")));
  bench.settle();
  CHECK(std::get<locks::Granted>(bench.answers.commands.at(first)) ==
        std::get<locks::Granted>(bench.answers.commands.at(second)));
  // Later still, the record answers.
  const auto third = bench.run(leader, make(client, 2, acquire(lease, "a")));
  CHECK(std::get<locks::Granted>(third) ==
        std::get<locks::Granted>(bench.answers.commands.at(first)));
  CHECK(bench.node(leader).table().describe("a").holders.size() == 1);
}

TEST_CASE("node: a dropped call ends the notification, never the wait") {
  Bench bench(1);
  const uint32_t leader = bench.elect();
  const auto client = bench.register_client(leader);
  const auto lease = bench.open_lease(leader, client, 1, 60'000);
  const auto holder = bench.run(leader, make(client, 2, acquire(lease, "a", 1)));
  const ClientRef waiter = bench.command(leader, make(client, 3, acquire(lease, "a", 2)));
  bench.settle();
  bench.node(leader).on_dropped(waiter);
  locks::Command release =
      make(client, 4, locks::Release{lease, "a", std::get<locks::Granted>(holder).tokens[0]});
  release.op.lowest_unanswered = 3;  // it still wants that answer
  bench.run(leader, std::move(release));
  CHECK_FALSE(bench.answers.commands.contains(waiter));
  CHECK(bench.node(leader).table().is_held("a"));
  // Coming back with the same number finds the grant.
  const auto again = bench.run(leader, make(client, 3, acquire(lease, "a", 2)));
  CHECK(std::holds_alternative<locks::Granted>(again));
}

TEST_CASE("node: an unknown client is refused after a confirm round, and never created") {
  Bench bench(3);
  const uint32_t leader = bench.elect();
  const auto answer =
      bench.run(leader, make(base::ClientId{999'999}, 1, locks::CloseLease{LeaseId{5}}));
  CHECK(code_of(answer) == ErrorCode::kUnknownClient);
  CHECK(bench.node(leader).table().counts().clients == 0);
}

TEST_CASE("node: what is out of range is refused before it reaches the log") {
  Bench bench(1);
  const uint32_t leader = bench.elect();
  const auto client = bench.register_client(leader);
  const base::Slot before = bench.node(leader).table().meta().applied;
  locks::OpenLease open;
  open.ttl_ms = 1;
  open.secret = "0123456789abcdef";
  CHECK(code_of(bench.run(leader, make(client, 1, open))) == ErrorCode::kInvalidArgument);
  CHECK(bench.node(leader).table().meta().applied == before);
}

TEST_CASE("node: a slot is recorded only after this node's own log holds it durably") {
  // DESIGN 8. Node 0 stops writing while the others choose; it hears of the choice and applies it,
  // but must not record it. (Bench::carry_out checks every record.)
  Bench bench(3);
  uint32_t leader = bench.elect();
  const auto client = bench.register_client(leader);
  const auto lease = bench.open_lease(leader, client, 1, 60'000);
  const uint32_t slow = leader == 0 ? 1 : 0;
  bench.disk_stalled[slow] = true;
  bench.run(leader, make(client, 2, acquire(lease, "a")));
  bench.pass_ms(400);
  CHECK(bench.node(slow).recorded() <= bench.node(slow).replica().durable_upto());
  bench.disk_stalled[slow] = false;
  bench.pass_ms(600);
  CHECK(bench.node(slow).table().is_held("a"));
  CHECK(bench.node(slow).recorded() == bench.node(slow).table().meta().applied);
}

TEST_CASE("node: two hundred commands of one turn share few slots") {
  // P12: a batch gathers while the writer is busy; no timer is involved.
  Bench bench(3);
  const uint32_t leader = bench.elect();
  const auto client = bench.register_client(leader);
  const auto lease = bench.open_lease(leader, client, 1, 60'000);
  const base::Slot before = bench.node(leader).table().meta().applied;
  std::vector<ClientRef> refs;
  for (uint64_t i = 0; i < 200; ++i) {
    locks::Command command =
        make(client, 2 + i, acquire(lease, "lock/" + std::to_string(i), i + 1));
    command.op.lowest_unanswered = 2;
    refs.push_back(bench.command(leader, std::move(command)));
  }
  bench.settle();
  for (const ClientRef ref : refs) {
    CHECK(std::holds_alternative<locks::Granted>(bench.answers.commands.at(ref)));
  }
  CHECK(bench.node(leader).table().meta().applied.value - before.value <= 3);
}

TEST_CASE("node: an expiry decided by a deposed leader does nothing when it is dug up later") {
  // P13. The first leader proposes Expire, and only its own disk has it. A second leader, in a
  // ballot that never sees that slot, renews the lease. In the third ballot the first leader's row
  // comes to light, is re-proposed as P3 demands, and is applied: without the guard it would end a
  // lease whose owner was just told that it lives.
  Bench bench(3);
  const uint32_t first = bench.elect();
  const auto client = bench.register_client(first);
  const auto lease = bench.open_lease(first, client, 1, 500);
  const auto other = bench.open_lease(first, client, 2, 60'000);
  const base::Slot before = bench.node(first).table().meta().applied;
  bench.lost = [first](uint32_t from, uint32_t, const paxos::Message& message) {
    return from == first && std::holds_alternative<paxos::Accept>(message);
  };
  bench.command(first,
                make(client, 3, acquire(other, "filler")));  // the slot of the next NewLeader
  bench.pass_ms(
      700);  // heartbeats go through: it leads, confirms, and decides that the lease is over
  REQUIRE(bench.node(first).active());
  // That the expiry is proposed shows in what renewals get: this one has to wait for it.
  const ClientRef held = bench.renew(first, {lease});
  const ClientRef answered = bench.renew(first, {other});
  bench.pass_ms(100);
  REQUIRE_FALSE(bench.answers.renewals.contains(held));
  REQUIRE(bench.answers.renewals.contains(answered));

  // The next active leader, with everybody but `gone`. A deposed one that doesn't know it yet still
  // counts itself active: it is the ballot that tells.
  base::Ballot newest = bench.node(first).replica().ballot();
  const auto elect_without = [&](uint32_t gone) {
    cut_off(bench, gone);
    for (uint32_t i = 0; i < 3; ++i) {
      Effects fx;
      if (i != gone) bench.node(i).on_peer_lost(base::NodeId{gone + 1}, bench.now(), fx);
    }
    for (int tries = 0; tries < 400; ++tries) {
      bench.pass_ms(10);
      for (uint32_t i = 0; i < 3; ++i) {
        if (i == gone || !bench.node(i).active()) continue;
        if (bench.node(i).replica().ballot() <= newest) continue;
        newest = bench.node(i).replica().ballot();
        return i;
      }
    }
    REQUIRE(false);
    return gone;
  };
  const uint32_t second = elect_without(first);
  const ClientRef renewal = bench.renew(second, {lease});
  bench.pass_ms(20);
  REQUIRE(bench.answers.renewals.at(renewal).leases == std::vector{Renewal::kAlive});

  const uint32_t third = elect_without(second);
  // Two NewLeaders, and between them what was dug up.
  REQUIRE(bench.node(third).table().meta().applied.value == before.value + 3);
  CHECK(bench.node(third).table().lease(lease) != nullptr);
  CHECK(bench.node(third).remaining_ms(lease, bench.now()).value() > 0);
}

// Its own word alone makes a leader active, and its fence of P13. A value that was proposed again
// may be anything, also a NewLeader of the very ballot in which it is; applied first, it made the
// node active before its time, and its own NewLeader then ended the process.
TEST_CASE("node: a lock-delay ends by time alone, on an idle cell, also under a new leader") {
  // Cell time moves with batches. Without one of the leader's own nobody would ever get the lock.
  Bench bench(3);
  const uint32_t leader = bench.elect();
  const auto client = bench.register_client(leader);
  locks::OpenLease careful{60'000, 2'000, "0123456789abcdef", {}};
  const auto opened = bench.run(leader, make(client, 1, careful));
  const LeaseId lost = std::get<locks::LeaseOpened>(opened).lease;
  const auto lease = bench.open_lease(leader, client, 2, 60'000);
  const auto granted = bench.run(leader, make(client, 3, acquire(lost, "a")));
  const base::Token token = std::get<locks::Granted>(granted).tokens.at(0);
  bench.run(leader, make(client, 4, locks::ForceRelease{"a", token, "lost", ""}));
  const ClientRef waits = bench.command(leader, make(client, 5, acquire(lease, "a")));
  uint32_t next = leader;
  SUBCASE("the same leader") {
    bench.pass_ms(1'900);
    CHECK_FALSE(bench.answers.commands.contains(waits));
    bench.pass_ms(200);
    CHECK(bench.answers.commands.contains(waits));
  }
  SUBCASE("another leader") {
    bench.pass_ms(100);
    cut_off(bench, leader);
    for (int tries = 0; tries < 400 && next == leader; ++tries) {
      bench.pass_ms(10);
      for (uint32_t i = 0; i < 3; ++i) {
        if (i != leader && bench.node(i).active()) next = i;
      }
    }
    REQUIRE(next != leader);
    bench.pass_ms(2'000);
  }
  const locks::LockInfo now = bench.node(next).table().describe("a");
  REQUIRE(now.holders.size() == 1);
  CHECK(now.holders[0].lease == lease);
  CHECK(now.delay_until_ms == 0);
}

TEST_CASE("node: a NewLeader of somebody else's making makes nobody active") {
  Bench bench(3);
  const uint32_t leader = bench.elect();
  bench.settle();
  const uint32_t liar = (leader + 1) % 3, follower = (leader + 2) % 3;
  cut_off(bench, liar);
  const base::Ballot ballot{bench.node(leader).replica().ballot().round + 1,
                            base::NodeId{liar + 1}};
  base::Slot slot = bench.node(leader).replica().chosen_upto();
  paxos::Accept accept{ballot, {}, {}, {}};
  for (uint64_t round = ballot.round + 1; round < ballot.round + 20; ++round) {
    for (const uint32_t node : {leader, follower}) {
      const locks::Batch batch{0, 0, {{{}, locks::NewLeader{{round, base::NodeId{node + 1}}}}}};
      slot = slot.next();
      accept.entries.push_back({slot, ballot, base::EntryKind::kCommands,
                                std::make_shared<const std::string>(locks::encode_batch(batch))});
    }
  }
  Effects fx;
  bench.node(follower).on_message(base::NodeId{liar + 1}, std::move(accept), bench.now(), fx);
  for (int i = 0; i < 200 && bench.node(leader).active(); ++i) bench.pass_ms(10);
  const uint32_t next = bench.elect();
  CHECK(bench.node(next).replica().ballot() > ballot);
  CHECK(bench.node(next).table().meta().applied > slot);  // its own NewLeader, behind them all
}
