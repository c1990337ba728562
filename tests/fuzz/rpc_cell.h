// A node with the daemon's services behind a real rpc::Server, without threads, disk or clock: what
// is written is durable at once, time passes when it is told to, and node 2 is a peer that agrees
// to everything. So it leads a cell of three, and what a connection does to it is the same each
// time.
#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "daemon/client_service.h"
#include "daemon/event_polls.h"
#include "daemon/node_access.h"
#include "lockcore/base/assert.h"
#include "lockcore/node/node.h"
#include "rpc/connection.h"
#include "rpc/peer_server.h"

namespace holdfast::fuzz {

constexpr base::CellId kCell{77};

inline base::Incarnation incarnation_of(base::NodeId id) {
  return {id.value + 1000};
}
inline std::vector<base::Member> members() {
  std::vector<base::Member> all;
  for (uint64_t id = 1; id <= 3; ++id) {
    all.push_back({{id}, incarnation_of({id}), "127.0.0.1:" + std::to_string(id), true});
  }
  return all;
}

class LeadingNode final : public daemon::NodeAccess {
 public:
  LeadingNode()
      : node_(options(), recovered(), locks::LockTable{}, now_), peer_server_(peer_events()) {
    HF_ASSERT(!node_.on_hello(hello_of({2}), now_, fx_));
    for (int ticks = 0; !node_.active(); ++ticks) {
      HF_ASSERT(ticks < 1000);
      pass_ms(10);
    }
  }

  // As node `id` says it when its link comes up for the first time.
  paxos::Hello hello_of(base::NodeId id) const {
    paxos::Hello hello = node_.hello();
    hello.node = id;
    hello.incarnation = incarnation_of(id);
    hello.start_count = 1;
    hello.process_nonce = id.value;
    hello.promised = {};
    hello.highest_accepted = {};
    hello.address = members()[id.value - 1].address;
    return hello;
  }
  void pass_ms(int64_t ms) {
    now_ = now_ + base::Duration::from_ms(ms);
    node_.on_tick(now_, fx_);
    finish_turn();
  }
  // Returns whether anybody was answered.
  bool finish_turn() {
    bool answered = false;
    do {
      node_.finish_turn(now_, node::WallClock{1'700'000'000'000}, fx_);
      node_.check_invariants();
      node::Effects fx = std::exchange(fx_, {});
      ended_ |= fx.paxos.fatal.has_value();  // a peer convinced it that it can't go on
      if (ended_) break;
      store(fx);
      for (paxos::Outgoing& out : fx.paxos.messages) agree(out);
      answered |= answer_all(fx.replies) | answer_all(fx.renewals) | answer_all(fx.reads);
      fed_ = !fx.paxos.messages.empty() || !fx.paxos.writes.empty() || !fx.paxos.reads.empty();
    } while (fed_);
    if (!ended_) answered |= event_polls_.look(node_.table(), now_);
    return answered;
  }
  size_t calls() const { return calls_.size(); }
  bool ended() const { return ended_; }

  // -- daemon::NodeAccess -------------------------------------------------------------------------
  node::ClientRef begin(daemon::Call& call) override { return calls_.add(call); }
  void command(node::ClientRef ref, locks::Command command) override {
    node_.on_command(ref, std::move(command), now_, fx_);
  }
  void renew(node::ClientRef ref, node::RenewRequest request) override {
    node_.on_renew(ref, std::move(request), now_, fx_);
  }
  void disconnected(uint64_t connection) override { node_.on_disconnected(connection, now_, fx_); }
  void read(node::ClientRef ref) override { node_.on_read(ref, now_, fx_); }
  void read_here(node::ClientRef ref) override { node_.on_read_here(ref, now_, fx_); }
  void admin(node::ClientRef ref, node::AdminRequest request) override {
    node_.on_admin(ref, std::move(request), now_, fx_);
  }
  void drop(node::ClientRef ref) override {
    if (calls_.take(ref) != nullptr) node_.on_dropped(ref);
  }
  kj::Promise<base::SnapshotPart> read_snapshot(base::SnapshotId, uint64_t, size_t,
                                                base::Slot) override {
    return base::SnapshotPart{};
  }
  // It has no disk to read from.
  uint64_t ask_record(store::StateQuestion, std::function<void(store::StateAnswer&&)>) override {
    return 0;
  }
  void forget_record(uint64_t) override {}
  daemon::EventPolls& event_polls() override { return event_polls_; }
  std::variant<base::Slot, base::Error> propose_barrier() override {
    return node_.propose_barrier(now_, fx_);
  }
  void verify() override {}
  daemon::Verification verification() const override { return {}; }
  const node::Node& node() const override { return node_; }
  rpc::PeerServer& peer_server() override { return peer_server_; }
  uint64_t log_bytes() const override { return 1; }
  uint64_t state_bytes() const override { return 2; }

 private:
  static node::Options options() {
    node::Options options;
    options.paxos.self = {1};
    options.paxos.address = members()[0].address;
    options.paxos.cluster = members();
    options.paxos.heartbeat = base::Duration::from_ms(5);  // it leads after few ticks
    options.paxos.election = base::Duration::from_ms(20);
    options.paxos.random_seed = 1;
    options.paxos.process_nonce = 1;
    options.paxos.new_cell = kCell;
    return options;
  }
  static base::RecoveredLog recovered() {
    base::RecoveredLog log;
    log.self = {1};
    log.incarnation = incarnation_of({1});
    log.start_count = 1;
    log.founding = base::FoundingState::kFounded;
    log.config = {kCell, {1}, members()};
    return log;
  }
  rpc::PeerServerEvents peer_events() {
    rpc::PeerServerEvents events;
    events.hello = [this] { return node_.hello(); };
    events.on_hello = [this](const paxos::Hello& peer) { return node_.on_hello(peer, now_, fx_); };
    events.on_message = [this](base::NodeId from, paxos::Message message) {
      node_.on_message(from, std::move(message), now_, fx_);
    };
    events.on_down = [this](base::NodeId peer) { node_.on_peer_lost(peer, now_, fx_); };
    return events;
  }

  void store(node::Effects& fx) {
    for (const base::LogWrite& write : fx.paxos.writes) {
      for (const base::Entry& entry : write.entries) log_[entry.slot] = entry;
    }
    if (!fx.paxos.writes.empty()) node_.on_written(fx.paxos.writes.back().id, now_, fx_);
    if (fx.record) node_.on_recorded(fx.record->meta.applied, now_, fx_);
    for (const paxos::LogRead& read : fx.paxos.reads) {
      std::vector<base::Entry> rows;
      for (auto at = log_.lower_bound(read.from); at != log_.end() && at->first <= read.to; ++at) {
        rows.push_back(at->second);
      }
      node_.on_log_read(read.id, std::move(rows), now_, fx_);
    }
  }

  // Node 2's answers.
  void agree(const paxos::Outgoing& out) {
    if (out.to != base::NodeId{2}) return;
    std::optional<paxos::Message> answer;
    if (const auto* probe = std::get_if<paxos::Probe>(&out.message)) {
      answer = paxos::ProbeReply{probe->ballot, true, {}};
    } else if (const auto* prepare = std::get_if<paxos::Prepare>(&out.message)) {
      answer = paxos::Promise{prepare->ballot, {1}, {}, {}, 0, 1};
    } else if (const auto* accept = std::get_if<paxos::Accept>(&out.message)) {
      paxos::Accepted accepted{accept->ballot, {}, accept->confirm};
      for (const base::Entry& entry : accept->entries) accepted.slots.push_back(entry.slot);
      answer = std::move(accepted);
    } else if (const auto* beat = std::get_if<paxos::Heartbeat>(&out.message)) {
      answer = paxos::HeartbeatReply{beat->ballot, beat->confirm, beat->chosen_upto, {}, {}};
    }
    if (answer) node_.on_message(out.to, std::move(*answer), now_, fx_);
  }

  template <class Replies>
  bool answer_all(const Replies& replies) {
    for (const auto& reply : replies) {
      if (daemon::Call* call = calls_.take(reply.ref)) call->on_reply(reply);
    }
    return !replies.empty();
  }

  base::Instant now_{1'000'000'000};
  daemon::CallTable calls_;
  daemon::EventPolls event_polls_;
  node::Node node_;
  node::Effects fx_;
  bool fed_ = false;
  bool ended_ = false;
  std::map<base::Slot, base::Entry> log_;
  rpc::PeerServer peer_server_;
};

// A connection to it, of which the other end is a descriptor.
class RpcCell {
 public:
  explicit RpcCell(rpc::EventLoop& loop)
      : loop_(loop),
        service_(node_, {{1}, "node-1", members()[0].address, members()}),
        server_(
            loop.port(),
            [this](std::shared_ptr<rpc::ConnectionHandle> connection) {
              return service_.bootstrap(std::move(connection));
            },
            nullptr) {
    int fds[2];
    HF_ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
    fd_ = fds[1];
    server_.serve(kj::heap<rpc::BufferedStream>(loop.port(), kj::AutoCloseFd(fds[0])), "a fuzzer");
    loop.set_turn_end([this] { return !node_.ended() && node_.finish_turn(); });
  }
  ~RpcCell() {
    loop_.set_turn_end(nullptr);
    if (fd_ >= 0) ::close(fd_);
  }
  RpcCell(const RpcCell&) = delete;
  RpcCell& operator=(const RpcCell&) = delete;

  LeadingNode& node() { return node_; }
  // Until there is nothing more to do.
  void turn() {
    for (int i = 0; i < 3; ++i) loop_.wait_scope().poll();
  }
  // False: the server has hung up.
  bool send(std::string_view bytes) {
    return ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) >= 0 || errno == EAGAIN;
  }
  // All that it has said since.
  std::string receive() {
    std::string said;
    char bytes[65536];
    ssize_t count = 0;
    while ((count = ::recv(fd_, bytes, sizeof bytes, 0)) > 0) {
      said.append(bytes, static_cast<size_t>(count));
    }
    return said;
  }
  void hang_up() {
    ::close(std::exchange(fd_, -1));
    turn();
  }
  size_t connections() const { return server_.counts().open; }

 private:
  rpc::EventLoop& loop_;
  LeadingNode node_;
  daemon::ClientService service_;
  rpc::Server server_;
  int fd_ = -1;
};

}  // namespace holdfast::fuzz
