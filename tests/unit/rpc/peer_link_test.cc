// PeerLink and PeerServer over real sockets: hellos, refusals, redialling, order, pressure.
#include "rpc/peer_link.h"

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

#include "rpc/connection.h"
#include "rpc/dial.h"
#include "rpc/holdfast.capnp.h"
#include "rpc/limits.h"
#include "rpc/listener.h"
#include "rpc/peer_convert.h"
#include "rpc/peer_server.h"
#include "tests/unit/rpc/rpc_fixture.h"

namespace holdfast::rpc {

namespace {

constexpr base::NodeId kNear{1};  // the one that dials
constexpr base::NodeId kFar{2};

paxos::Hello hello_of(base::NodeId node) {
  paxos::Hello hello;
  hello.node = node;
  hello.cell = {77};
  hello.address = "10.0.0." + std::to_string(node.value) + ":7420";
  return hello;
}

paxos::Message fetch(uint64_t from) {
  return paxos::Fetch{{from}, {from}};
}

// The node that is dialled: a server whose peer() calls go to a PeerServer.
struct Far {
  Far(EventLoop& loop_in, Address address_in) : loop(loop_in), address(std::move(address_in)) {
    PeerServerEvents events;
    events.hello = [this] { return hello_of(claimed); };
    events.on_hello = [this](const paxos::Hello& peer) {
      hellos.push_back(peer);
      return refusal;
    };
    events.on_message = [this](base::NodeId from, paxos::Message message) {
      CHECK(from == kNear);
      received.push_back(std::move(message));
    };
    events.on_down = [this](base::NodeId) { ++downs; };
    events.notices = [this](Severity, std::string text) { notices.push_back(std::move(text)); };
    peers.emplace(std::move(events));
    open();
  }

  // A server whose deliver() calls don't return while `stalled`.
  class Stalling final : public wire::peer::Link::Server {
   public:
    explicit Stalling(Far& far) : far_(far) {}
    kj::Promise<void> deliver(DeliverContext context) override {
      ++far_.deliveries;
      context.allowCancellation();
      return kj::NEVER_DONE;
    }

   private:
    Far& far_;
  };
  class Front final : public wire::Holdfast::Server {
   public:
    Front(Far& far, std::shared_ptr<ConnectionHandle> connection)
        : far_(far), connection_(std::move(connection)) {}
    kj::Promise<void> peer(PeerContext context) override {
      far_.connections.push_back(connection_);
      if (!far_.stalled) return far_.peers->peer(context, connection_);
      fill_hello(hello_of(far_.claimed), context.getResults().initHello());
      context.getResults().setLink(kj::heap<Stalling>(far_));
      return kj::READY_NOW;
    }

   private:
    Far& far_;
    const std::shared_ptr<ConnectionHandle> connection_;
  };

  void open() {
    server.emplace(
        loop.port(),
        [this](std::shared_ptr<ConnectionHandle> connection) -> capnp::Capability::Client {
          return kj::heap<Front>(*this, std::move(connection));
        },
        nullptr);
    listener = Listener::listen(
        loop.port(), address,
        [this](kj::Own<BufferedStream> stream, std::string peer) {
          server->serve(kj::mv(stream), std::move(peer));
        },
        nullptr);
  }
  void shut() {
    listener = nullptr;
    server.reset();
  }

  EventLoop& loop;
  const Address address;
  base::NodeId claimed = kFar;
  std::optional<paxos::Refusal> refusal;
  bool stalled = false;
  std::vector<paxos::Hello> hellos;
  std::vector<paxos::Message> received;
  std::vector<std::string> notices;
  std::vector<std::shared_ptr<ConnectionHandle>> connections;
  size_t deliveries = 0;
  size_t downs = 0;
  std::optional<PeerServer> peers;
  std::optional<Server> server;
  kj::Own<Listener> listener;
};

// The node that dials.
struct Near {
  Near(EventLoop& loop, const Address& address) {
    PeerLinkEvents events;
    events.hello = [] { return hello_of(kNear); };
    events.on_up = [this](const paxos::Hello& peer) {
      CHECK(peer.node == kFar);
      if (!refusal) ++ups;
      return refusal;
    };
    events.on_refused = [this](const paxos::Refusal& why) { refused.push_back(why); };
    events.on_down = [this](const std::string&) { ++downs; };
    events.notices = [this](Severity, std::string text) { notices.push_back(std::move(text)); };
    link.emplace(loop.port(), kFar, address, 7, std::move(events));
  }

  std::optional<paxos::Refusal> refusal;
  size_t ups = 0;
  size_t downs = 0;
  std::vector<paxos::Refusal> refused;
  std::vector<std::string> notices;
  std::optional<PeerLink> link;
};

struct World {
  bool until(const std::function<bool()>& condition) { return run_until(loop, condition); }
  void pass(int64_t ms) { loop.timer().afterDelay(ms * kj::MILLISECONDS).wait(loop.wait_scope()); }

  EventLoop loop;
  Far far{loop, test_address("peer")};
  Near near{loop, far.address};
};

uint64_t from_of(const paxos::Message& message) {
  return std::get<paxos::Fetch>(message).from.value;
}

}  // namespace

TEST_CASE("peer link: both say hello, then messages come in order, a turn's in one delivery") {
  // Why: P2 counts on order; and a call for each message would cost more than what is in it.
  World world;
  REQUIRE(world.until([&] { return world.near.link->up(); }));
  REQUIRE(world.far.hellos.size() == 1);
  CHECK(world.far.hellos[0].node == kNear);
  CHECK(world.far.hellos[0].cell == base::CellId{77});
  CHECK(world.near.ups == 1);
  CHECK(world.far.peers->links(kNear) == 1);

  constexpr uint64_t kTurns = 200;
  constexpr uint64_t kEach = 50;
  uint64_t sent = 0;
  for (uint64_t turn = 0; turn < kTurns; ++turn) {
    for (uint64_t i = 0; i < kEach; ++i) world.near.link->send(fetch(sent++));
    world.near.link->flush();
    world.loop.timer().afterDelay(0 * kj::MILLISECONDS).wait(world.loop.wait_scope());
    if (turn % 20 == 0) world.until([&] { return world.far.received.size() == sent; });
  }
  REQUIRE(world.until([&] { return world.far.received.size() == sent; }));
  bool in_order = true;
  for (uint64_t i = 0; i < sent; ++i) in_order &= from_of(world.far.received[i]) == i;
  CHECK(in_order);
  const PeerLink::Counts counts = world.near.link->counts();
  CHECK(counts.messages_total == sent);
  CHECK(counts.deliveries_total <= kTurns);
  CHECK(counts.dropped_total == 0);
}

TEST_CASE("peer link: large messages are parted into deliveries that the other side takes") {
  // Why: a delivery above the frame limit would end the link, again and again.
  World world;
  REQUIRE(world.until([&] { return world.near.link->up(); }));
  for (uint64_t i = 0; i < 12; ++i) {
    paxos::Accept accept;
    accept.entries = {{{i + 1},
                       {1, kNear},
                       base::EntryKind::kCommands,
                       std::make_shared<const std::string>(512 * 1024, 'x')}};
    world.near.link->send(accept);
  }
  world.near.link->flush();
  REQUIRE(world.until([&] { return world.far.received.size() == 12; }));
  CHECK(world.near.link->counts().deliveries_total >= 2);
  CHECK(world.near.downs == 0);
}

TEST_CASE("peer link: whoever is refused hears why, is not let in, and knocks slowly") {
  // Why: P10. A wiped node must learn that it is one; and it must not do so a hundred times a
  // second.
  World world;
  world.far.refusal = paxos::Refusal{"go away", true};
  REQUIRE(world.until([&] { return !world.near.refused.empty(); }));
  CHECK(world.near.refused[0].reason == "go away");
  CHECK(world.near.refused[0].disk_lost);
  CHECK_FALSE(world.near.link->up());
  CHECK(world.far.peers->links(kNear) == 0);
  world.near.link->send(fetch(1));
  CHECK(world.near.link->counts().dropped_total == 1);
  world.pass(300);
  CHECK(world.near.refused.size() == 1);
  CHECK(world.near.notices.size() == 1);
  world.far.refusal.reset();
  REQUIRE(world.until([&] { return world.near.link->up(); }));
  CHECK(world.far.received.empty());
  CHECK(world.near.downs == 0);  // it was never up
}

TEST_CASE("peer link: a peer that we refuse, or that is another node, gets no messages") {
  // Why: what a node says is for the member that it says it to.
  World world;
  SUBCASE("refused") {
    world.near.refusal = paxos::Refusal{"an old copy", false};
  }
  SUBCASE("another node at this address") {
    world.far.claimed = base::NodeId{3};
  }
  REQUIRE(world.until([&] { return !world.near.notices.empty(); }));
  CHECK_FALSE(world.near.link->up());
  world.near.link->send(fetch(1));
  world.pass(50);
  CHECK(world.far.received.empty());
  CHECK(world.near.ups == 0);
}

TEST_CASE("peer link: what a stranger delivers without having been admitted doesn't count") {
  // Why: an Accepted from nobody must not make a quorum.
  World world;
  world.far.refusal = paxos::Refusal{"who are you?", false};
  auto client =
      kj::heap<Client>(dial(world.loop.port(), world.far.address).wait(world.loop.wait_scope()));
  auto request = client->bootstrap().castAs<wire::Holdfast>().peerRequest();
  fill_hello(hello_of(base::NodeId{9}), request.initHello());
  auto answer = request.send();
  auto deliver = answer.getLink().deliverRequest();
  fill_message(fetch(1), deliver.initMessages(1)[0]);
  CHECK_THROWS_AS(deliver.send().wait(world.loop.wait_scope()), kj::Exception);
  CHECK(answer.wait(world.loop.wait_scope()).getRefusal().getReason() == "who are you?");
  CHECK(world.far.received.empty());
  // Nor may it be as large as a peer's.
  auto large = client->bootstrap().castAs<wire::Holdfast>().peerRequest();
  large.initHello().setAddress(std::string(kMaxStrangerFrameBytes, 'x'));
  CHECK_THROWS_AS(large.send().wait(world.loop.wait_scope()), kj::Exception);
}

TEST_CASE("peer link: redials with growing pauses, or at once when told that the peer lives") {
  // Why: a peer that is down for a night must not cost a CPU, nor a second when it is back.
  World world;
  REQUIRE(world.until([&] { return world.near.link->up(); }));
  world.far.shut();
  REQUIRE(world.until([&] { return world.near.downs == 1; }));
  CHECK_FALSE(world.near.link->up());
  const uint64_t before = world.near.link->counts().dials_total;
  world.pass(1500);
  const uint64_t dials = world.near.link->counts().dials_total - before;
  CHECK(dials >= 4);
  CHECK(dials <= 10);
  CHECK(world.near.notices.size() <= 2);  // not one for each attempt
  world.far.open();
  const auto came_back = boottime_now();
  world.near.link->hurry();
  REQUIRE(world.until([&] { return world.near.link->up(); }));
  CHECK((boottime_now() - came_back).ms_ceil() < 300);
  CHECK(world.near.downs == 1);
}

TEST_CASE("peer link: a peer that takes nothing costs bounded memory, and messages are dropped") {
  // Why: a stopped peer's link stays open; what it would be told grows without end otherwise.
  World world;
  world.far.stalled = true;
  REQUIRE(world.until([&] { return world.near.link->up(); }));
  for (uint64_t i = 0; i < 200; ++i) {
    world.near.link->send(fetch(i));
    world.near.link->flush();
    world.loop.timer().afterDelay(0 * kj::MILLISECONDS).wait(world.loop.wait_scope());
  }
  CHECK(world.near.link->counts().deliveries_total == kMaxDeliveriesInFlight);
  CHECK(world.near.link->counts().dropped_total == 200 - kMaxDeliveriesInFlight);
  CHECK(world.until([&] { return world.far.deliveries == kMaxDeliveriesInFlight; }));
  CHECK(world.near.link->up());  // a slow peer is not a dead one
  // In bytes as well: a new link, then large messages.
  world.far.connections.back()->close("a test");
  REQUIRE(world.until([&] { return world.near.ups == 2; }));
  const uint64_t before = world.near.link->counts().messages_total;
  for (uint64_t i = 0; i < 20; ++i) {
    paxos::Accept accept;
    accept.entries = {{{i + 1},
                       {1, kNear},
                       base::EntryKind::kCommands,
                       std::make_shared<const std::string>(1024 * 1024, 'x')}};
    world.near.link->send(accept);
    world.near.link->flush();
    world.loop.timer().afterDelay(0 * kj::MILLISECONDS).wait(world.loop.wait_scope());
  }
  CHECK(world.near.link->counts().messages_total - before <=
        kMaxDeliveryBytesInFlight / (1024 * 1024));
}

TEST_CASE("peer link: a peer is lost when the last of its links is") {
  // Why: a link that was cut and the one that replaced it overlap; only the last one's end says
  // that a leader is gone (P7).
  World world;
  REQUIRE(world.until([&] { return world.near.link->up(); }));
  std::optional<Near> second(std::in_place, world.loop, world.far.address);
  REQUIRE(world.until([&] { return world.far.peers->links(kNear) == 2; }));
  second.reset();
  REQUIRE(world.until([&] { return world.far.peers->links(kNear) == 1; }));
  CHECK(world.far.downs == 0);
  world.near.link.reset();
  CHECK(world.until([&] { return world.far.downs == 1; }));
  CHECK(world.far.peers->links(kNear) == 0);
}

TEST_CASE("peer link: a removed peer loses its links, and is told why when it knocks") {
  World world;
  REQUIRE(world.until([&] { return world.far.peers->links(kNear) == 1; }));
  world.far.peers->keep_only({kNear});
  world.pass(20);
  CHECK(world.far.peers->links(kNear) == 1);
  world.far.refusal = paxos::Refusal{"removed", false, {7}};
  world.far.peers->keep_only({});
  REQUIRE(world.until([&] { return !world.near.refused.empty(); }));
  CHECK(world.near.downs == 1);
  CHECK(world.far.peers->links(kNear) == 0);
  CHECK(world.near.refused[0].removed_by == base::ConfigVersion{7});
}

TEST_CASE("peer link: a message that makes no sense is dropped and told, its neighbours count") {
  // Why: P11; and one damaged entry is no reason to lose the heartbeat beside it.
  World world;
  auto client =
      kj::heap<Client>(dial(world.loop.port(), world.far.address).wait(world.loop.wait_scope()));
  auto request = client->bootstrap().castAs<wire::Holdfast>().peerRequest();
  fill_hello(hello_of(kNear), request.initHello());
  auto link = request.send().getLink();
  std::vector<kj::Promise<void>> deliveries;  // answered by the group: nobody waits for one
  const auto deliver = [&](unsigned count) {
    auto delivery = link.deliverRequest();
    auto messages = delivery.initMessages(count);
    for (unsigned i = 0; i < count; ++i) fill_message(fetch(i), messages[i]);
    auto accept = messages[0].initAccept();
    accept.initEntries(1)[0].setSlot(5);  // without its checksum
    deliveries.push_back(delivery.send().ignoreResult());
  };
  deliver(3);
  deliver(3);
  REQUIRE(world.until([&] { return world.far.received.size() == 4; }));
  CHECK(from_of(world.far.received[0]) == 1);
  REQUIRE(world.far.notices.size() == 1);  // once a link
  CHECK(world.far.notices[0].find("slot 5") != std::string::npos);
  deliver(kMaxMessagesPerDelivery + 1);
  CHECK_THROWS_AS(deliveries.back().wait(world.loop.wait_scope()), kj::Exception);
}

}  // namespace holdfast::rpc
