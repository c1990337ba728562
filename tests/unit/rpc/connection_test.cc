// Server and Client over real sockets: what strangers may do, and that it harms nobody but them.
#include "rpc/connection.h"

#include <capnp/message.h>
#include <capnp/rpc.capnp.h>
#include <capnp/serialize.h>
#include <doctest/doctest.h>
#include <sys/un.h>

#include <cstring>
#include <string>
#include <vector>

#include "lockcore/base/limits.h"
#include "rpc/dial.h"
#include "rpc/holdfast.capnp.h"
#include "rpc/listener.h"
#include "tests/unit/rpc/rpc_fixture.h"

namespace holdfast::rpc {

namespace {

// What the services of a connection see.
struct Seen {
  std::shared_ptr<ConnectionHandle> connection;  // of the last one
  size_t waiting = 0;                            // calls that never return
  size_t most_waiting = 0;
  size_t answered = 0;
  kj::ForkedPromise<void> gate = kj::Promise<void>(kj::NEVER_DONE).fork();
};

// locks() answers with a text of `limit` bytes, leases() with as much, but only when the gate is
// opened, describe() never.
class TestCell final : public wire::Cell::Server {
 public:
  explicit TestCell(Seen& seen) : seen_(seen) {}

  kj::Promise<void> locks(LocksContext context) override {
    ++seen_.answered;
    const std::string text(context.getParams().getLimit(), 'x');
    context.getResults().initLocks(1)[0].setName(text);
    return kj::READY_NOW;
  }
  kj::Promise<void> leases(LeasesContext context) override {
    context.allowCancellation();
    return seen_.gate.addBranch()
        .then([this, context]() mutable {
          ++seen_.answered;
          const std::string text(context.getParams().getLimit(), 'x');
          context.getResults().initError().setMessage(text);
        })
        .attach(kj::heap<Waiting>(seen_));
  }
  kj::Promise<void> describe(DescribeContext context) override {
    context.allowCancellation();
    return kj::Promise<void>(kj::NEVER_DONE).attach(kj::heap<Waiting>(seen_));
  }
  kj::Promise<void> lease(LeaseContext) override { KJ_FAIL_REQUIRE("this one throws"); }
  kj::Promise<void> status(StatusContext) override {
    ++seen_.answered;
    return kj::READY_NOW;
  }

 private:
  struct Waiting {
    explicit Waiting(Seen& seen_in) : seen(seen_in) {
      seen.most_waiting = std::max(seen.most_waiting, ++seen.waiting);
    }
    ~Waiting() { --seen.waiting; }
    KJ_DISALLOW_COPY(Waiting);
    Seen& seen;
  };
  Seen& seen_;
};

class TestHoldfast final : public wire::Holdfast::Server {
 public:
  TestHoldfast(Seen& seen, std::shared_ptr<ConnectionHandle> connection)
      : seen_(seen), connection_(std::move(connection)) {
    seen_.connection = connection_;
  }
  kj::Promise<void> enter(EnterContext context) override {
    KJ_REQUIRE(!connection_->for_peers_only(), "too many connections");
    context.getResults().setCell(kj::heap<TestCell>(seen_));
    return kj::READY_NOW;
  }
  kj::Promise<void> peer(PeerContext) override {
    connection_->admit_peer();
    return kj::READY_NOW;
  }

 private:
  Seen& seen_;
  const std::shared_ptr<ConnectionHandle> connection_;
};

struct World {
  explicit World(ServerLimits limits = {})
      : server(
            loop.port(),
            [this](std::shared_ptr<ConnectionHandle> connection) -> capnp::Capability::Client {
              return kj::heap<TestHoldfast>(seen, std::move(connection));
            },
            [this](Severity, std::string text) { notices.push_back(std::move(text)); }, limits),
        address(test_address("connection")),
        listener(Listener::listen(
            loop.port(), address,
            [this](kj::Own<BufferedStream> stream, std::string peer) {
              server.serve(kj::mv(stream), std::move(peer));
            },
            nullptr)) {}

  // A well-behaved client.
  kj::Own<Client> client() {
    return kj::heap<Client>(dial(loop.port(), address).wait(loop.wait_scope()));
  }
  wire::Cell::Client cell(Client& client) {
    return client.bootstrap().castAs<wire::Holdfast>().enterRequest().send().getCell();
  }
  // Somebody who does as he likes.
  kj::AutoCloseFd stranger() {
    const size_t before = server.counts().accepted_total + server.counts().rejected_total;
    kj::AutoCloseFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    std::memcpy(to.sun_path, address.host.data(), address.host.size());
    REQUIRE(::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
    CHECK(run_until(loop, [&] {
      return server.counts().accepted_total + server.counts().rejected_total > before;
    }));
    return fd;
  }
  // Sends while the loop turns, until all is sent or the server has hung up: then false.
  bool send(int fd, kj::ArrayPtr<const kj::byte> bytes) {
    bool gone = false;
    run_until(loop, [&] {
      while (bytes.size() > 0) {
        const ssize_t sent = ::send(fd, bytes.begin(), bytes.size(), MSG_NOSIGNAL);
        if (sent < 0) {
          gone = errno != EAGAIN;
          return gone;
        }
        bytes = bytes.slice(static_cast<size_t>(sent), bytes.size());
      }
      return true;
    });
    return !gone && bytes.size() == 0;
  }
  // As much as goes without the server reading: false when it stopped before the end.
  bool send_for(int64_t ms, int fd, kj::ArrayPtr<const kj::byte> bytes) {
    const auto deadline = boottime_now() + base::Duration::from_ms(ms);
    while (bytes.size() > 0 && boottime_now() < deadline) {
      const ssize_t sent = ::send(fd, bytes.begin(), bytes.size(), MSG_NOSIGNAL);
      if (sent > 0) bytes = bytes.slice(static_cast<size_t>(sent), bytes.size());
      if (sent < 0 && errno != EAGAIN) return false;
      loop.timer().afterDelay(1 * kj::MILLISECONDS).wait(loop.wait_scope());
    }
    return bytes.size() == 0;
  }
  // Whether the server hangs up.
  bool hangs_up(int fd) {
    return run_until(loop, [&] {
      char buffer[65536];
      const ssize_t count = ::recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
      return count == 0 || (count < 0 && errno != EAGAIN);
    });
  }
  // Everything still works for somebody else.
  void check_alive() {
    auto other = client();
    cell(*other).statusRequest().send().wait(loop.wait_scope());
  }
  bool all_closed() {
    return run_until(loop, [&] { return server.counts().open == 0; });
  }

  EventLoop loop;
  Seen seen;
  std::vector<std::string> notices;
  Server server;
  Address address;
  kj::Own<Listener> listener;
};

// -- messages made by hand -----------------------------------------------------------------------

using Bytes = std::vector<kj::byte>;

kj::ArrayPtr<const kj::byte> view(const Bytes& bytes) {
  return {bytes.data(), bytes.size()};
}

void append(Bytes& to, capnp::MessageBuilder& message) {
  auto words = capnp::messageToFlatArray(message);
  to.insert(to.end(), words.asBytes().begin(), words.asBytes().end());
}

// Asks for the first capability.
Bytes bootstrap(uint32_t question) {
  capnp::MallocMessageBuilder message;
  message.initRoot<capnp::rpc::Message>().initBootstrap().setQuestionId(question);
  Bytes bytes;
  append(bytes, message);
  return bytes;
}

// Calls a method of what `on` will bring: with an empty path the capability itself, else the one in
// its results' first pointer.
template <class Params, class Fill>
void append_call(Bytes& to, uint32_t question, uint32_t on, bool in_results, uint64_t interface,
                 uint16_t method, Fill fill) {
  capnp::MallocMessageBuilder message;
  auto call = message.initRoot<capnp::rpc::Message>().initCall();
  call.setQuestionId(question);
  call.setInterfaceId(interface);
  call.setMethodId(method);
  auto target = call.initTarget().initPromisedAnswer();
  target.setQuestionId(on);
  if (in_results) target.initTransform(1)[0].setGetPointerField(0);
  fill(call.initParams().getContent().initAs<Params>());
  append(to, message);
}

// Bootstrap and enter(), as questions 0 and 1: calls on the cell are made on question 1.
Bytes entering() {
  Bytes bytes = bootstrap(0);
  append_call<wire::Holdfast::EnterParams>(bytes, 1, 0, false, capnp::typeId<wire::Holdfast>(), 0,
                                           [](auto params) { params.setProtocol(1); });
  return bytes;
}

constexpr uint16_t kDescribe = 3;
constexpr uint16_t kLocks = 4;
constexpr uint16_t kLeases = 6;

void append_describe(Bytes& to, uint32_t question, size_t name_bytes) {
  append_call<wire::Cell::DescribeParams>(
      to, question, 1, true, capnp::typeId<wire::Cell>(), kDescribe,
      [&](auto params) { params.setName(std::string(name_bytes, 'n')); });
}
void append_locks(Bytes& to, uint32_t question, uint32_t answer_bytes) {
  append_call<wire::Cell::LocksParams>(to, question, 1, true, capnp::typeId<wire::Cell>(), kLocks,
                                       [&](auto params) { params.setLimit(answer_bytes); });
}
void append_leases(Bytes& to, uint32_t question, uint32_t answer_bytes) {
  append_call<wire::Cell::LeasesParams>(to, question, 1, true, capnp::typeId<wire::Cell>(), kLeases,
                                        [&](auto params) { params.setLimit(answer_bytes); });
}

// A frame's beginning that claims these segments' sizes, in words.
Bytes claim(const std::vector<uint32_t>& segments) {
  std::vector<uint32_t> table{static_cast<uint32_t>(segments.size() - 1)};
  table.insert(table.end(), segments.begin(), segments.end());
  if (table.size() % 2 != 0) table.push_back(0);
  Bytes bytes(table.size() * sizeof(uint32_t));
  std::memcpy(bytes.data(), table.data(), bytes.size());
  return bytes;
}
constexpr uint32_t words(size_t bytes) {
  return static_cast<uint32_t>(bytes / sizeof(capnp::word));
}

}  // namespace

TEST_CASE("connection: calls pipeline, and a method that throws fails its own call alone") {
  // Why: a round trip saved at every start; and one bad request is no reason to drop a client.
  World world;
  auto client = world.client();
  auto cell = world.cell(*client);
  CHECK_THROWS_AS(cell.leaseRequest().send().wait(world.loop.wait_scope()), kj::Exception);
  auto request = cell.locksRequest();
  request.setLimit(100'000);
  auto response = request.send().wait(world.loop.wait_scope());
  CHECK(response.getLocks()[0].getName().size() == 100'000);
}

TEST_CASE("connection: when it goes, its calls are dropped and its promises break") {
  // Why: a client that drops its connection while it waits must leave nothing behind in the
  // daemon, and one that waits must learn that nobody will answer.
  World world;
  auto client = world.client();
  auto waiting = world.cell(*client).describeRequest().send().ignoreResult();
  REQUIRE(run_until(world.loop, [&] { return world.seen.waiting == 1; }));
  SUBCASE("the client goes") {
    client = nullptr;
    CHECK(world.all_closed());
    CHECK_FALSE(world.seen.connection->open());
  }
  SUBCASE("the server goes") {
    world.seen.connection->close("a test");
    bool told = false;
    auto watch = client->on_disconnect().then([&] { told = true; }).eagerlyEvaluate(nullptr);
    CHECK(run_until(world.loop, [&] { return told; }));
    try {
      waiting.wait(world.loop.wait_scope());
      FAIL("the call can't have been answered");
    } catch (const kj::Exception& error) {
      CHECK(error.getType() == kj::Exception::Type::DISCONNECTED);
    }
  }
  CHECK(world.seen.waiting == 0);
}

TEST_CASE("connection: what is no message ends its own connection only") {
  // Why: one port for all, and anybody can send bytes to it.
  World world;
  std::vector<Bytes> nonsense;
  nonsense.push_back(claim({words(kMaxStrangerFrameBytes) + 1}));
  nonsense.push_back(claim({0xffffffff, 0xffffffff}));       // 64 GiB
  nonsense.push_back(claim(std::vector<uint32_t>(512, 0)));  // as many segments as may be
  nonsense.push_back(claim(std::vector<uint32_t>(513, 0)));  // one more
  nonsense.push_back({0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0});  // 2^32 of them
  nonsense.push_back(claim({0}));                            // no root
  Bytes nested = claim({2});                                 // a root that points nowhere
  nested.insert(nested.end(), 16, 0xff);
  nonsense.push_back(nested);
  Bytes late = entering();
  late.insert(late.end(), 64, 0xff);  // good, then bad
  nonsense.push_back(late);
  for (const Bytes& bytes : nonsense) {
    auto fd = world.stranger();
    world.send(fd.get(), view(bytes));
    CHECK(world.hangs_up(fd.get()));
    world.check_alive();
  }
  CHECK(world.all_closed());
}

TEST_CASE("connection: a stranger's message may be as large as a request, a peer's larger") {
  // Why: what a message header claims is allocated as it comes, so strangers get small limits.
  World world;
  auto client = world.client();
  auto holdfast = client->bootstrap().castAs<wire::Holdfast>();
  auto cell = holdfast.enterRequest().send().wait(world.loop.wait_scope()).getCell();
  const auto ask = [&](size_t bytes) {
    auto request = cell.locksRequest();
    request.setPrefix(std::string(bytes, 'p'));
    return request.send().ignoreResult();
  };
  ask(base::kMaxMessageBytes).wait(world.loop.wait_scope());
  SUBCASE("a stranger") {
    CHECK_THROWS_AS(ask(kMaxStrangerFrameBytes).wait(world.loop.wait_scope()), kj::Exception);
    CHECK(world.all_closed());
  }
  SUBCASE("an admitted peer") {
    holdfast.peerRequest().send().wait(world.loop.wait_scope());
    ask(base::kMaxPeerMessageBytes).wait(world.loop.wait_scope());
  }
  world.check_alive();
}

TEST_CASE("connection: whoever never says anything is hung up on") {
  // Why: a port scanner must not hold descriptors.
  World world({.first_message_timeout_ms = 30});
  auto silent = world.stranger();
  auto half = world.stranger();
  const Bytes bytes = bootstrap(0);
  world.send(half.get(), view(bytes).slice(0, 12));
  auto talking = world.stranger();
  world.send(talking.get(), view(bytes));
  CHECK(world.hangs_up(silent.get()));
  CHECK(world.hangs_up(half.get()));
  CHECK(world.server.counts().silent_total == 2);
  CHECK(world.server.counts().open == 1);
}

TEST_CASE("connection: an end that is half closed is closed") {
  // Why: nobody will send Finish for its calls any more; they would stay for ever.
  World world;
  auto fd = world.stranger();
  Bytes bytes = entering();
  append_describe(bytes, 2, 10);
  world.send(fd.get(), view(bytes));
  REQUIRE(run_until(world.loop, [&] { return world.seen.waiting == 1; }));
  ::shutdown(fd.get(), SHUT_WR);
  CHECK(world.hangs_up(fd.get()));
  CHECK(world.seen.waiting == 0);
  CHECK(world.all_closed());
}

TEST_CASE("connection: who doesn't read answers asks no more, and loses none when he reads on") {
  // Why: backpressure, not memory, is what a slow reader costs.
  World world;
  auto fd = world.stranger();
  constexpr uint32_t kAnswer = 8 * 1024;
  constexpr uint32_t kAsked = 500;
  Bytes bytes = entering();
  for (uint32_t i = 0; i < kAsked; ++i) append_locks(bytes, 2 + i, kAnswer);
  world.send_for(200, fd.get(), view(bytes));
  CHECK(world.seen.answered < kAsked);
  CHECK(world.seen.connection->queued_bytes() < 2 * kWriteWatermarkBytes);
  size_t received = 0;
  CHECK(run_until(world.loop, [&] {
    char buffer[65536];
    const ssize_t count = ::recv(fd.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (count > 0) received += static_cast<size_t>(count);
    return received >= size_t{kAnswer} * kAsked;
  }));
  CHECK(world.server.counts().slow_total == 0);
}

TEST_CASE("connection: who lets large answers pile up is hung up on, and people are told") {
  // Why: what was asked before the queue filled is still answered; a limit ends that.
  World world({.max_queued_bytes = 1024 * 1024});
  auto gate = kj::newPromiseAndFulfiller<void>();
  world.seen.gate = gate.promise.fork();
  auto fd = world.stranger();
  Bytes bytes = entering();
  for (uint32_t i = 0; i < 100; ++i) append_leases(bytes, 2 + i, 100'000);
  REQUIRE(world.send(fd.get(), view(bytes)));
  REQUIRE(run_until(world.loop, [&] { return world.seen.waiting == 100; }));
  gate.fulfiller->fulfill();
  REQUIRE(run_until(world.loop, [&] { return world.server.counts().slow_total == 1; }));
  CHECK(world.all_closed());
  CHECK(world.seen.answered <= 100);
  REQUIRE(world.notices.size() == 1);
  CHECK(world.notices[0].find("does not read") != std::string::npos);
  world.check_alive();
}

TEST_CASE("connection: calls that wait are bounded in bytes, and gone with their connection") {
  // Why: a waiting call keeps its memory as long as its client likes. When the bound is reached
  // nothing more is read, so that the end of the connection has to be noticed in another way.
  World world({.max_unanswered_call_bytes = 256 * 1024});
  auto fd = world.stranger();
  constexpr size_t kName = 1000;
  Bytes bytes = entering();
  for (uint32_t i = 0; i < 2000; ++i) append_describe(bytes, 2 + i, kName);
  CHECK_FALSE(world.send_for(200, fd.get(), view(bytes)));
  CHECK(world.seen.waiting > 200);
  CHECK(world.seen.most_waiting <= 256 * 1024 / kName + 1);
  world.check_alive();
  SUBCASE("closed") {
    fd = nullptr;
  }
  SUBCASE("half closed") {
    ::shutdown(fd.get(), SHUT_WR);
  }
  CHECK(world.all_closed());
  CHECK(world.seen.waiting == 0);
}

TEST_CASE("connection: calls that wait, and answers that nobody says to have got, are counted") {
  // Why: each keeps a few hundred bytes in the tables of the RPC system until its Finish comes,
  // and a stranger needn't send one.
  World world({.max_open_calls = 1000});
  auto fd = world.stranger();
  Bytes bytes = entering();
  SUBCASE("bootstraps") {
    for (uint32_t i = 2; i < 1500; ++i) {
      const Bytes one = bootstrap(i);
      bytes.insert(bytes.end(), one.begin(), one.end());
    }
  }
  SUBCASE("answered calls") {
    for (uint32_t i = 2; i < 1500; ++i) append_locks(bytes, i, 1);
  }
  SUBCASE("waiting calls") {
    for (uint32_t i = 2; i < 1500; ++i) append_describe(bytes, i, 1);
  }
  world.send(fd.get(), view(bytes));
  CHECK(world.hangs_up(fd.get()));
  CHECK(world.all_closed());
  CHECK(world.seen.most_waiting <= 1000);
  CHECK(world.seen.answered <= 1000);
  world.check_alive();
}

TEST_CASE("connection: a client that finishes its calls may make as many as it likes") {
  // Why: the count is of calls that are open, not of calls that were made.
  World world({.max_open_calls = 10});
  auto client = world.client();
  auto cell = world.cell(*client);
  for (int i = 0; i < 100; ++i) cell.statusRequest().send().wait(world.loop.wait_scope());
  CHECK(world.seen.answered == 100);
}

TEST_CASE("connection: above their limit clients are told so, until an old one goes") {
  // Why: descriptors and memory are for those who are there already, and reaching a limit is a
  // clear error (DESIGN 2.10).
  World world({.max_connections = 2});
  auto first = world.client();
  auto second = world.client();
  for (auto* client : {&first, &second}) {
    world.cell(**client).statusRequest().send().wait(world.loop.wait_scope());
  }
  auto third = world.client();
  try {
    world.cell(*third).statusRequest().send().wait(world.loop.wait_scope());
    FAIL("there is no room for a third");
  } catch (const kj::Exception& error) {
    CHECK(std::string(error.getDescription().cStr()).find("too many connections") !=
          std::string::npos);
  }
  CHECK(world.server.counts().rejected_total == 1);
  CHECK(world.notices.size() == 1);
  third = nullptr;
  first = nullptr;
  REQUIRE(run_until(world.loop, [&] { return world.server.counts().open == 1; }));
  world.check_alive();
}

TEST_CASE("connection: clients that fill all places don't keep a peer out") {
  // Why: a cell whose nodes can't reach each other serves nobody, whoever is connected to it.
  World world({.max_connections = 1, .places_for_peers = 2, .peers_only_timeout_ms = 100});
  auto client = world.client();
  world.cell(*client).statusRequest().send().wait(world.loop.wait_scope());
  auto peer = world.client();
  auto holdfast = peer->bootstrap().castAs<wire::Holdfast>();
  holdfast.peerRequest().send().wait(world.loop.wait_scope());
  auto stranger = world.stranger();
  auto one_too_many = world.stranger();
  CHECK(world.hangs_up(one_too_many.get()));
  const Bytes bytes = bootstrap(0);
  world.send(stranger.get(), view(bytes));
  CHECK(world.hangs_up(stranger.get()));  // it is no peer
  CHECK(world.server.counts().open == 2);
  holdfast.peerRequest().send().wait(world.loop.wait_scope());
}

}  // namespace holdfast::rpc
