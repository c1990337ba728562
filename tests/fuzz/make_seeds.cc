// Writes seeds for the corpora of bytes that only real code makes: sessions of a client and a peer
// as they come over a connection (rpc_stream), messages of peers (peer_wire), batches and answers
// (command_bytes). Usage: make_seeds DIRECTORY
#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/io.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>

#include "rpc/convert.h"
#include "rpc/holdfast.capnp.h"
#include "rpc/peer_convert.h"
#include "tests/fuzz/rpc_cell.h"

namespace holdfast::fuzz {
namespace {

void write_seed(const std::filesystem::path& directory, const std::string& name,
                std::string_view bytes) {
  std::filesystem::create_directories(directory);
  std::ofstream(directory / name, std::ios::binary) << bytes;
}

// -- rpc_stream -----------------------------------------------------------------------------------

// A client whose bytes to the server are kept.
class Recorder {
 public:
  Recorder() : cell_(loop_) {
    int fds[2];
    HF_ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
    fd_ = kj::AutoCloseFd(fds[1]);
    client_ =
        kj::heap<rpc::Client>(kj::heap<rpc::BufferedStream>(loop_.port(), kj::AutoCloseFd(fds[0])));
  }

  wire::Holdfast::Client holdfast() { return client_->bootstrap().castAs<wire::Holdfast>(); }
  wire::Cell::Client enter() {
    auto request = holdfast().enterRequest();
    request.setProtocol(wire::PROTOCOL_VERSION);
    request.setLibrary("seeds");
    return request.send().getCell();
  }
  // Carries bytes to and fro until nobody says anything.
  void settle() {
    for (int quiet = 0; quiet < 3;) {
      cell_.turn();
      char bytes[65536];
      const ssize_t count = ::recv(fd_, bytes, sizeof bytes, 0);
      if (count > 0) {
        said_.append(bytes, static_cast<size_t>(count));
        HF_ASSERT(cell_.send({bytes, static_cast<size_t>(count)}));
      }
      cell_.turn();
      const std::string heard = cell_.receive();
      HF_ASSERT(::send(fd_, heard.data(), heard.size(), 0) == static_cast<ssize_t>(heard.size()));
      quiet = count > 0 || !heard.empty() ? 0 : quiet + 1;
    }
  }
  template <class Promise>
  auto wait(Promise promise) {
    settle();
    return promise.wait(loop_.wait_scope());
  }
  LeadingNode& node() { return cell_.node(); }
  const std::string& said() const { return said_; }

 private:
  rpc::EventLoop loop_;
  RpcCell cell_;
  kj::AutoCloseFd fd_;
  kj::Own<rpc::Client> client_;
  std::string said_;
};

void number(wire::OpId::Builder op, uint64_t n) {
  op.setNumber(n);
  op.setLowestUnanswered(n);
}

template <class Capability>
auto acquire_request(Capability& capability, uint64_t n, const char* name, bool wait) {
  auto request = capability.acquireRequest();
  number(request.initOp(), n);
  auto acquire = request.initAcquire();
  acquire.setHolder(n);
  acquire.setAgent(n);
  acquire.setWait(wait);
  acquire.setReason("a reason");
  acquire.initLocks(1)[0].setName(name);
  return request;
}

auto open_request(wire::ClientRecord::Client& client, uint64_t n) {
  auto request = client.openLeaseRequest();
  number(request.initOp(), n);
  auto open = request.initOpen();
  open.setTtlMs(10'000);
  auto owner = open.initOwner();
  owner.setHost("host");
  owner.setPid(7);
  owner.setProgram("seeds");
  return request;
}

// Everything pipelined behind what isn't answered yet.
void pipelined(Recorder& session) {
  auto cell = session.enter();
  auto client = cell.registerRequest().send().getClient();
  auto lease = open_request(client, 1).send().getLease();
  auto granted = acquire_request(lease, 2, "a/b", true).send();
  auto renewed = lease.renewRequest().send();
  auto close = lease.closeRequest();
  number(close.initOp(), 3);
  session.wait(close.send());
}

void reads(Recorder& session) {
  auto cell = session.enter();
  auto client = cell.registerRequest().send().getClient();
  auto opened = session.wait(open_request(client, 1).send());
  const uint64_t lease = opened.getAnswer().getLeaseOpened().getLease();
  auto of_lease = opened.getLease();
  session.wait(acquire_request(of_lease, 2, "a", false).send());
  auto describe = cell.describeRequest();
  describe.setName("a");
  session.wait(describe.send());
  auto locks = cell.locksRequest();
  locks.setLimit(10);
  session.wait(locks.send());
  auto one = cell.leaseRequest();
  one.setId(lease);
  session.wait(one.send());
  auto all = cell.leasesRequest();
  all.setLimit(10);
  session.wait(all.send());
  auto renew = cell.renewRequest();
  renew.initLeases(1).set(0, lease);
  session.wait(renew.send());
  session.wait(cell.statusRequest().send());
}

// A wait that is cancelled, one that is granted, one that is dropped.
void waits(Recorder& session) {
  auto cell = session.enter();
  auto client = cell.registerRequest().send().getClient();
  auto holder = session.wait(open_request(client, 1).send()).getLease();
  auto waiter = session.wait(open_request(client, 2).send()).getLease();
  auto granted = session.wait(acquire_request(holder, 3, "x", false).send());
  auto cancelled = acquire_request(waiter, 4, "x", true).send();
  session.settle();
  auto cancel = client.cancelWaitRequest();
  number(cancel.initOp(), 5);
  cancel.setTarget(4);
  session.wait(cancel.send());
  auto waiting = acquire_request(waiter, 6, "x", true).send();
  {
    auto dropped = acquire_request(waiter, 7, "y", true).send();
    session.settle();
  }
  auto release = holder.releaseRequest();
  number(release.initOp(), 8);
  release.initRelease().setLock("x");
  release.getRelease().setToken(granted.getAnswer().getGranted()[0]);
  session.wait(release.send());
  session.wait(kj::mv(waiting));
  auto forget = client.forgetRequest();
  number(forget.initOp(), 9);
  session.wait(forget.send());
}

void attached(Recorder& session) {
  auto attach = session.enter().attachRequest();
  attach.setClient(12345);
  auto client = attach.send().getClient();
  session.wait(open_request(client, 1).send());
  auto close = client.closeLeaseRequest();
  number(close.initOp(), 2);
  close.setLease(3);
  session.wait(close.send());
}

std::vector<paxos::Message> peer_messages(base::Ballot ballot, base::Slot slot) {
  const locks::Batch batch{1000, 1'700'000'000'000, {{{}, locks::RegisterClient{60'000}}}};
  const std::vector<base::Entry> entries{
      {slot, ballot, base::EntryKind::kCommands,
       std::make_shared<const std::string>(locks::encode_batch(batch))},
      {slot.next(), ballot, base::EntryKind::kNoOp, std::make_shared<const std::string>()}};
  return {paxos::FoundPropose{{kCell, {1}, members()}},
          paxos::FoundAck{kCell},
          paxos::FoundCommit{kCell},
          paxos::Probe{ballot},
          paxos::ProbeReply{ballot, true, ballot},
          paxos::Prepare{ballot, slot},
          paxos::Promise{ballot, {1}, slot, entries, 0, 1},
          paxos::Accept{ballot, entries, slot, {7}},
          paxos::Accepted{ballot, {slot, slot.next()}, {7}},
          paxos::Heartbeat{ballot, slot, {8}},
          paxos::HeartbeatReply{ballot, {8}, slot, slot, slot},
          paxos::Reject{ballot, ballot},
          paxos::Fetch{{1}, slot},
          paxos::FetchReply{slot, {1}, slot.next(), entries}};
}

void peer_link(Recorder& session) {
  auto request = session.holdfast().peerRequest();
  rpc::fill_hello(session.node().hello_of({3}), request.initHello());
  auto link = request.send().getLink();
  const base::Ballot ballot{session.node().node().replica().ballot().round + 1, {3}};
  const auto messages = peer_messages(ballot, {3});
  for (const paxos::Message& message : messages) {
    auto deliver = link.deliverRequest();
    rpc::fill_message(message, deliver.initMessages(1)[0]);
    deliver.send().detach([](kj::Exception&&) {});
    session.settle();
  }
}

void write_sessions(const std::filesystem::path& directory) {
  const std::pair<const char*, std::function<void(Recorder&)>> sessions[] = {
      {"pipelined", pipelined}, {"reads", reads},         {"waits", waits},
      {"attached", attached},   {"peer_link", peer_link},
  };
  for (const auto& [name, run] : sessions) {
    Recorder session;
    run(session);
    write_seed(directory, name, session.said() + '\0');
  }
}

// -- messages and commands ------------------------------------------------------------------------

std::string to_bytes(capnp::MessageBuilder& message) {
  kj::VectorOutputStream out;
  capnp::writeMessage(out, message);
  const auto bytes = out.getArray();
  return {reinterpret_cast<const char*>(bytes.begin()), bytes.size()};
}

void write_peer_messages(const std::filesystem::path& directory) {
  int count = 0;
  for (const paxos::Message& message : peer_messages({5, {3}}, {4})) {
    capnp::MallocMessageBuilder builder;
    rpc::fill_message(message, builder.initRoot<wire::peer::Message>());
    write_seed(directory, "message-" + std::to_string(count++), to_bytes(builder));
  }
  capnp::MallocMessageBuilder builder;
  rpc::fill_hello(LeadingNode().hello_of({3}), builder.initRoot<wire::peer::Hello>());
  write_seed(directory, "hello", to_bytes(builder));
}

void write_commands(const std::filesystem::path& directory) {
  const base::Owner owner{"host", 1, "boot", "program", "user", "reason", "1.0", 2};
  const std::string secret(base::kSecretBytes, 's');
  const locks::Command commands[] = {
      {{}, locks::RegisterClient{60'000}},
      {{{1}, 1, 1, {}}, locks::OpenLease{10'000, 0, secret, owner}},
      {{{1}, 2, 1, {1}}, locks::Acquire{{2}, {1}, {1}, {{"a/b"}, {"c"}}, true, "why"}},
      {{{1}, 2, 1, {}}, locks::Acquire{{2}, {1}, {1}, {{"a"}}, true, "why"}},
      {{{1}, 3, 1, {}}, locks::Release{{2}, "a", {3}}},
      {{{1}, 4, 1, {2, 3}}, locks::CancelWait{2}},
      {{{1}, 5, 5, {}}, locks::CloseLease{{2}}},
      {{{1}, 6, 6, {}}, locks::ForgetClient{}},
      {{}, locks::ExpireLeases{{1, {1}}, {{2}, {3}}}},
      {{}, locks::NewLeader{{1, {1}}}}};
  int count = 0;
  locks::Batch all{1000, 1'700'000'000'000, {}};
  for (const locks::Command& command : commands) {
    all.commands.push_back(command);
    write_seed(directory, "batch-" + std::to_string(count++),
               locks::encode_batch({1000, 1'700'000'000'000, {command}}));
  }
  write_seed(directory, "batch-of-all", locks::encode_batch(all));
  const locks::Answer answers[] = {
      locks::ClientRegistered{{1}},
      locks::LeaseOpened{{2}, 10'000, secret},
      locks::Granted{{{3}, {4}}},
      locks::Done{{5}},
      locks::WaitCancelled{},
      base::Error{base::ErrorCode::kNotLeader, "not here", {{"leader", "h:1"}}}};
  count = 0;
  for (const locks::Answer& answer : answers) {
    write_seed(directory, "answer-" + std::to_string(count++), locks::encode_answer(answer));
  }
}

}  // namespace
}  // namespace holdfast::fuzz

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_seeds DIRECTORY\n");
    return 2;
  }
  const std::filesystem::path directory(argv[1]);
  holdfast::fuzz::write_sessions(directory / "rpc_stream");
  holdfast::fuzz::write_peer_messages(directory / "peer_wire");
  holdfast::fuzz::write_commands(directory / "command_bytes");
  return 0;
}
