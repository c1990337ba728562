// The client service over a real driver, store and node: a cell of one in a directory of its own,
// called without a network.
#include "daemon/client_service.h"

#include <capnp/message.h>
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "daemon/driver.h"
#include "daemon/store.h"
#include "lockcore/base/error.h"
#include "lockcore/base/limits.h"
#include "rpc/connection.h"
#include "rpc/holdfast.capnp.h"

namespace holdfast::daemon {
namespace {

class Directory {
 public:
  Directory() {
    char path[] = "/tmp/holdfast-daemon-test-XXXXXX";
    REQUIRE(mkdtemp(path) != nullptr);
    path_ = path;
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// No peer ever comes this way.
class NoConnection final : public rpc::ConnectionHandle {
 public:
  explicit NoConnection(bool for_peers_only) : for_peers_only_(for_peers_only) {}
  const std::string& peer() const override { return name_; }
  bool open() const override { return true; }
  size_t queued_bytes() const override { return 0; }
  bool for_peers_only() const override { return for_peers_only_; }
  void admit_peer() override {}
  void close(const std::string&) override {}

 private:
  std::string name_ = "a test";
  const bool for_peers_only_;
};

struct Cell {
  explicit Cell(const std::string& directory) : driver(loop, config(directory), open(directory)) {
    set_log_level(LogLevel::kWarn);
    auto entering = holdfast().enterRequest();
    entering.setProtocol(wire::PROTOCOL_VERSION);
    cell = entering.send().wait(loop.wait_scope()).getCell();
    await([&] { return driver.node().active(); });
  }

  static Config config(const std::string& directory) {
    Config config;
    config.name = "node-1";
    config.data_dir = directory;
    config.advertise = "127.0.0.1:1";
    config.cluster = {{base::NodeId{1}, {}, config.advertise, true}};
    config.heartbeat = base::Duration::from_ms(5);
    config.election = base::Duration::from_ms(1'000);  // a slow disk deposes nobody here
    return config;
  }
  static OpenedStore open(const std::string& directory) { return open_store(config(directory)); }

  wire::Holdfast::Client holdfast(bool for_peers_only = false) {
    return service.bootstrap(std::make_shared<NoConnection>(for_peers_only))
        .castAs<wire::Holdfast>();
  }
  // Turns the loop until the condition holds.
  template <class Condition>
  void await(Condition condition) {
    const auto deadline = rpc::boottime_now() + base::Duration::from_ms(10'000);
    while (!condition()) {
      REQUIRE(rpc::boottime_now() < deadline);
      loop.timer().afterDelay(1 * kj::MILLISECONDS).wait(loop.wait_scope());
    }
  }
  template <class Request>
  auto call(Request&& request) {
    return request.send().wait(loop.wait_scope());
  }

  rpc::EventLoop loop;
  Driver driver;
  ClientService service{driver, {base::NodeId{1}, "node-1", "127.0.0.1:1", {}}};
  wire::Cell::Client cell = nullptr;
};

void number(wire::OpId::Builder op, uint64_t n) {
  op.setNumber(n);
  op.setLowestUnanswered(n);
}

void ask_for(wire::Acquire::Builder acquire, const char* name, uint64_t holder, bool wait) {
  acquire.setHolder(holder);
  acquire.setAgent(holder);
  acquire.setWait(wait);
  acquire.initLocks(1)[0].setName(name);
}

uint16_t error_of(wire::Answer::Reader answer) {
  REQUIRE(answer.isError());
  return answer.getError().getCode();
}

constexpr auto code(base::ErrorCode error) {
  return static_cast<uint16_t>(error);
}

}  // namespace

// INTERFACES 7: a client opens a lease and acquires in one round trip, so nothing may have to wait
// for an id that only comes with the answer.
TEST_CASE("client service: register, open and acquire can be sent without waiting for answers") {
  Directory directory;
  Cell cell(directory.path());
  auto registered = cell.cell.registerRequest().send();
  auto open = registered.getClient().openLeaseRequest();
  number(open.initOp(), 1);
  open.initOpen().setTtlMs(5000);
  auto opened = open.send();
  auto acquire = opened.getLease().acquireRequest();
  number(acquire.initOp(), 2);
  ask_for(acquire.initAcquire(), "a", 1, true);
  auto granted = cell.call(acquire);
  REQUIRE(granted.getAnswer().isGranted());
  CHECK(granted.getAnswer().getGranted().size() == 1);

  auto lease = opened.wait(cell.loop.wait_scope()).getAnswer().getLeaseOpened();
  CHECK(lease.getTtlMs() == 5000);
  CHECK(lease.getSecret().size() == base::kSecretBytes);

  auto describe = cell.cell.describeRequest();
  describe.setName("a");
  auto described = cell.call(describe);
  REQUIRE(described.getLock().getHolders().size() == 1);
  CHECK(described.getLock().getHolders()[0].getLease() == lease.getLease());
  CHECK(described.getLock().getHolderCount() == 1);
  CHECK(described.getLock().getWaiterCount() == 0);
}

// Rule 1 of the schema: outcomes are values. What is pipelined behind a failed call fails with the
// same value, not with an exception about a null capability.
TEST_CASE("client service: what follows a refused open is refused for the same reason") {
  Directory directory;
  Cell cell(directory.path());
  auto open = cell.cell.registerRequest().send().getClient().openLeaseRequest();
  number(open.initOp(), 1);
  open.initOpen().setTtlMs(base::kMinLeaseTtlMs - 1);
  auto opened = open.send();
  auto acquire = opened.getLease().acquireRequest();
  number(acquire.initOp(), 2);
  ask_for(acquire.initAcquire(), "a", 1, true);
  CHECK(error_of(cell.call(acquire).getAnswer()) == code(base::ErrorCode::kInvalidArgument));
  CHECK(cell.call(opened.getLease().renewRequest()).getError().getCode() ==
        code(base::ErrorCode::kInvalidArgument));
}

// DESIGN 7a: an unknown client is refused, never created; and a capability speaks for one client.
TEST_CASE("client service: a capability speaks for its own client and lease only") {
  Directory directory;
  Cell cell(directory.path());
  auto attach = cell.cell.attachRequest();
  attach.setClient(777);
  auto client = cell.call(attach).getClient();

  auto close = client.closeLeaseRequest();
  number(close.initOp(), 1);
  close.setLease(1);
  CHECK(error_of(cell.call(close).getAnswer()) == code(base::ErrorCode::kUnknownClient));

  auto foreign = client.closeLeaseRequest();
  number(foreign.initOp(), 1);
  foreign.getOp().setClient(778);
  CHECK(error_of(cell.call(foreign).getAnswer()) == code(base::ErrorCode::kInvalidArgument));

  auto open = cell.cell.registerRequest().send().getClient().openLeaseRequest();
  number(open.initOp(), 1);
  open.initOpen();
  auto lease = cell.call(open).getLease();
  auto acquire = lease.acquireRequest();
  number(acquire.initOp(), 2);
  ask_for(acquire.initAcquire(), "a", 1, true);
  acquire.getAcquire().setLease(999'999);
  CHECK(error_of(cell.call(acquire).getAnswer()) == code(base::ErrorCode::kInvalidArgument));
}

// DESIGN 7a: a dropped call ends only the notification, never the wait; a retry attaches to it.
TEST_CASE("client service: a dropped acquire waits on, and a retry gets its grant") {
  Directory directory;
  Cell cell(directory.path());
  auto client = cell.cell.registerRequest().send().getClient();
  auto open = client.openLeaseRequest();
  number(open.initOp(), 1);
  open.initOpen();
  auto lease = cell.call(open).getLease();
  const auto acquire = [&](uint64_t n, uint64_t holder) {
    auto request = lease.acquireRequest();
    number(request.initOp(), n);
    request.getOp().setLowestUnanswered(2);
    ask_for(request.initAcquire(), "a", holder, true);
    return request;
  };
  auto first = cell.call(acquire(2, 1));
  REQUIRE(first.getAnswer().isGranted());
  {
    auto waiting = acquire(3, 2).send();
    cell.await([&] { return cell.driver.node().table().counts().waiters == 1; });
    kj::Promise<void> dropped = waiting.ignoreResult();
  }
  CHECK(cell.driver.node().table().counts().waiters == 1);

  auto retry = acquire(3, 2).send();
  auto release = lease.releaseRequest();
  number(release.initOp(), 4);
  release.getOp().setLowestUnanswered(2);
  release.getRelease().setLock("a");
  release.getRelease().setToken(first.getAnswer().getGranted()[0]);
  CHECK(cell.call(release).getAnswer().isDone());
  CHECK(retry.wait(cell.loop.wait_scope()).getAnswer().isGranted());
}

TEST_CASE("client service: renewals answer for each lease in the order asked") {
  Directory directory;
  Cell cell(directory.path());
  auto open = cell.cell.registerRequest().send().getClient().openLeaseRequest();
  number(open.initOp(), 1);
  open.initOpen();
  auto opened = cell.call(open);
  auto renew = cell.cell.renewRequest();
  auto leases = renew.initLeases(3);
  leases.set(0, 4711);
  leases.set(1, opened.getAnswer().getLeaseOpened().getLease());
  leases.set(2, 4712);
  auto renewed = cell.call(renew);
  REQUIRE(renewed.getAlive().size() == 3);
  CHECK_FALSE(renewed.getAlive()[0]);
  CHECK(renewed.getAlive()[1]);
  CHECK_FALSE(renewed.getAlive()[2]);
  CHECK(cell.call(opened.getLease().renewRequest()).getAlive());
}

// DESIGN 2.10: nobody may keep the daemon's memory by asking for what costs the asker nothing.
TEST_CASE("client service: a connection keeps only so many client capabilities") {
  Directory directory;
  Cell cell(directory.path());
  std::vector<wire::ClientRecord::Client> kept;
  bool refused = false;
  for (uint64_t i = 1; i < 10'000 && !refused; ++i) {
    auto attach = cell.cell.attachRequest();
    attach.setClient(i);
    auto exception =
        kj::runCatchingExceptions([&] { kept.push_back(cell.call(attach).getClient()); });
    refused = exception != nullptr;
  }
  CHECK(refused);
  kept.clear();
  auto attach = cell.cell.attachRequest();
  attach.setClient(1);
  cell.call(attach);  // a dropped one makes room
}

// The same for leases: a refused open costs its asker nothing, and what it returns can be kept.
TEST_CASE("client service: a connection keeps only so many lease capabilities") {
  Directory directory;
  Cell cell(directory.path());
  auto client = cell.cell.registerRequest().send().getClient();
  std::vector<wire::Lease::Client> kept;
  bool refused = false;
  for (uint64_t i = 1; i < 200'000 && !refused; ++i) {
    auto open = client.openLeaseRequest();
    number(open.initOp(), i);
    open.initOpen().setTtlMs(1);
    auto opened = cell.call(open);
    REQUIRE(opened.getAnswer().isError());
    refused = !opened.hasLease();
    if (!refused) kept.push_back(opened.getLease());
  }
  CHECK(refused);
}

// The places that are left when all are taken are for peers; whoever else comes must hear why.
TEST_CASE("client service: a client for whom there is no room is told so") {
  Directory directory;
  Cell cell(directory.path());
  try {
    cell.call(cell.holdfast(true).enterRequest());
    FAIL("it got in");
  } catch (const kj::Exception& error) {
    CHECK(error.getType() == kj::Exception::Type::OVERLOADED);
  }
}

// Pages are what lists are asked for by, so none may be lost or told twice at their edges.
TEST_CASE("client service: pages of locks and leases join without gap or overlap") {
  Directory directory;
  Cell cell(directory.path());
  auto client = cell.cell.registerRequest().send().getClient();
  auto open = client.openLeaseRequest();
  number(open.initOp(), 1);
  open.initOpen();
  auto lease = cell.call(open).getLease();
  for (uint64_t i = 0; i < 25; ++i) {
    auto acquire = lease.acquireRequest();
    number(acquire.initOp(), 2 + i);
    ask_for(acquire.initAcquire(), ("p/" + std::to_string(100 + i)).c_str(), 1, true);
    REQUIRE(cell.call(acquire).getAnswer().isGranted());
  }
  std::vector<std::string> names;
  for (bool more = true; more;) {
    auto request = cell.cell.locksRequest();
    request.setPrefix("p/");
    request.setAfter(names.empty() ? "" : names.back());
    request.setLimit(10);
    auto page = cell.call(request);
    for (auto lock : page.getLocks()) names.push_back(lock.getName().cStr());
    more = page.getMore();
    REQUIRE(names.size() <= 25);
  }
  REQUIRE(names.size() == 25);
  for (size_t i = 0; i < 25; ++i) CHECK(names[i] == "p/" + std::to_string(100 + i));

  auto leases = cell.call(cell.cell.leasesRequest());
  REQUIRE(leases.getLeases().size() == 1);
  CHECK_FALSE(leases.getMore());
  CHECK(leases.getLeases()[0].getHoldCount() == 25);
  CHECK(leases.getLeases()[0].getRemainingMs() > 0);

  auto unknown = cell.cell.leaseRequest();
  unknown.setId(4711);
  CHECK(cell.call(unknown).getError().getCode() == code(base::ErrorCode::kLeaseNotFound));
  auto nameless = cell.cell.describeRequest();
  nameless.setName("a//b");
  CHECK(cell.call(nameless).getError().getCode() == code(base::ErrorCode::kInvalidArgument));
}

TEST_CASE("client service: what was granted is there after a restart") {
  Directory directory;
  uint64_t token = 0;
  {
    Cell cell(directory.path());
    auto open = cell.cell.registerRequest().send().getClient().openLeaseRequest();
    number(open.initOp(), 1);
    open.initOpen().setTtlMs(60'000);
    auto acquire = open.send().getLease().acquireRequest();
    number(acquire.initOp(), 2);
    ask_for(acquire.initAcquire(), "a", 1, true);
    token = cell.call(acquire).getAnswer().getGranted()[0];
  }
  Cell cell(directory.path());
  auto describe = cell.cell.describeRequest();
  describe.setName("a");
  auto described = cell.call(describe);
  REQUIRE(described.getLock().getHolders().size() == 1);
  CHECK(described.getLock().getHolders()[0].getToken() == token);
  auto status = cell.call(cell.cell.statusRequest()).getStatus();
  CHECK(status.getActive());
  CHECK(status.getHolds() == 1);
  CHECK(status.getLeaderAddress() == "127.0.0.1:1");
  CHECK(std::string(status.getRole().cStr()) == "leader");
}

}  // namespace holdfast::daemon
