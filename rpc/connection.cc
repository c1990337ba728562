#include "rpc/connection.h"

#include <capnp/message.h>
#include <kj/debug.h>

#include <utility>

#include "rpc/socket.h"

namespace holdfast::rpc {

namespace {

using capnp::rpc::twoparty::Side;

void set_client_patience(BufferedStream& stream) {
  set_patience(KJ_ASSERT_NONNULL(stream.getFd()), kClientKeepaliveIdleS, kClientKeepaliveIntervalS,
               kClientUserTimeoutMs);
}

}  // namespace

// One accepted connection, owned by its task.
class Server::Accepted {
 public:
  Accepted(Server& server, kj::Own<BufferedStream> stream, std::shared_ptr<Handle> handle);
  ~Accepted() noexcept(false);
  KJ_DISALLOW_COPY(Accepted);

  kj::Promise<void> run();
  void admit_peer();
  void close(const std::string& reason);
  size_t queued_bytes() const { return stream_->queued_bytes(); }

 private:
  kj::Promise<void> silence();

  Server& server_;
  std::shared_ptr<Handle> handle_;
  kj::Own<BufferedStream> stream_;
  MessageNetwork network_;
  kj::Own<kj::PromiseFulfiller<void>> closer_;
  kj::Promise<void> close_wanted_ = nullptr;
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> system_;  // first to go
};

class Server::Handle final : public ConnectionHandle {
 public:
  Handle(std::string peer, bool for_peers_only)
      : peer_(std::move(peer)), for_peers_only_(for_peers_only) {}

  const std::string& peer() const override { return peer_; }
  bool open() const override { return accepted_ != nullptr; }
  size_t queued_bytes() const override {
    return accepted_ == nullptr ? 0 : accepted_->queued_bytes();
  }
  bool for_peers_only() const override { return for_peers_only_; }
  void admit_peer() override {
    for_peers_only_ = false;
    if (accepted_ != nullptr) accepted_->admit_peer();
  }
  void close(const std::string& reason) override {
    if (accepted_ != nullptr) accepted_->close(reason);
  }

 private:
  friend class Accepted;
  const std::string peer_;
  bool for_peers_only_;           // and not admitted
  Accepted* accepted_ = nullptr;  // null: not open yet, or closed
};

Server::Accepted::Accepted(Server& server, kj::Own<BufferedStream> stream,
                           std::shared_ptr<Handle> handle)
    : server_(server),
      handle_(std::move(handle)),
      stream_(kj::mv(stream)),
      network_(*stream_, Side::SERVER, kMaxStrangerFrameBytes),
      system_(capnp::makeRpcServer(network_, server.bootstrap_(handle_))) {
  auto paf = kj::newPromiseAndFulfiller<void>();
  closer_ = kj::mv(paf.fulfiller);
  close_wanted_ = kj::mv(paf.promise);
  network_.set_pause_when_congested();
  network_.set_max_open_calls(server_.limits_.max_open_calls);
  stream_->set_ends_with_other_side();
  stream_->set_max_queued_bytes(server_.limits_.max_queued_bytes);
  set_client_patience(*stream_);
  system_.setFlowLimit(server_.limits_.max_unanswered_call_bytes / sizeof(capnp::word));
  handle_->accepted_ = this;
  ++server_.counts_.open;
}

Server::Accepted::~Accepted() noexcept(false) {
  handle_->accepted_ = nullptr;
  --server_.counts_.open;
  if (server_.counts_.open < server_.limits_.max_connections) server_.told_full_ = false;
}

kj::Promise<void> Server::Accepted::run() {
  // The RPC system hears of a failed stream only when it reads or writes next, which may be never.
  return network_.on_disconnect()
      .exclusiveJoin(stream_->whenWriteDisconnected())
      .then([this]() {
        if (!stream_->failed()) return;
        if (stream_->error().getType() != kj::Exception::Type::OVERLOADED) return;
        ++server_.counts_.slow_total;
        server_.tell(Severity::kWarning,
                     handle_->peer() + " does not read its answers: connection closed");
      })
      .exclusiveJoin(kj::mv(close_wanted_))
      .exclusiveJoin(silence());
}

// Ends when the other side should have said something, and hasn't.
kj::Promise<void> Server::Accepted::silence() {
  const auto patience = handle_->for_peers_only() ? server_.limits_.peers_only_timeout_ms
                                                  : server_.limits_.first_message_timeout_ms;
  auto& timer = server_.port_.timer();
  return timer.afterDelay(patience * kj::MILLISECONDS).then([this]() -> kj::Promise<void> {
    if (handle_->for_peers_only()) return kj::READY_NOW;  // people know that there is no room
    if (network_.messages_received() > 0) return kj::NEVER_DONE;
    ++server_.counts_.silent_total;
    server_.tell(Severity::kInfo, handle_->peer() + " never said anything: connection closed");
    return kj::READY_NOW;
  });
}

void Server::Accepted::admit_peer() {
  network_.set_max_frame_bytes(kMaxPeerFrameBytes);
  set_patience(KJ_ASSERT_NONNULL(stream_->getFd()), kPeerKeepaliveIdleS, kPeerKeepaliveIntervalS,
               kPeerUserTimeoutMs);
}

void Server::Accepted::close(const std::string& reason) {
  if (!closer_->isWaiting()) return;
  server_.tell(Severity::kInfo, handle_->peer() + ": connection closed: " + reason);
  closer_->fulfill();
}

Server::Server(UvEventPort& port, Bootstrap bootstrap, NoticeSink notices, ServerLimits limits)
    : port_(port),
      bootstrap_(std::move(bootstrap)),
      notices_(std::move(notices)),
      limits_(limits),
      connections_(*this) {}

Server::~Server() noexcept(false) = default;

void Server::serve(kj::Own<BufferedStream> stream, std::string peer) {
  const bool full = counts_.open >= limits_.max_connections;
  if (full) {
    ++counts_.rejected_total;
    if (!told_full_) {
      tell(Severity::kWarning, "limit of " + std::to_string(limits_.max_connections) +
                                   " connections reached: new clients are refused");
    }
    told_full_ = true;
    if (counts_.open >= limits_.max_connections + limits_.places_for_peers) return;
  }
  ++counts_.accepted_total;
  auto accepted =
      kj::heap<Accepted>(*this, kj::mv(stream), std::make_shared<Handle>(std::move(peer), full));
  auto task = accepted->run();
  connections_.add(task.attach(kj::mv(accepted)));
}

void Server::taskFailed(kj::Exception&& exception) {
  tell(Severity::kError,
       std::string("a connection ended with: ") + exception.getDescription().cStr());
}

void Server::tell(Severity severity, std::string text) {
  if (notices_) notices_(severity, std::move(text));
}

// -- Client ---------------------------------------------------------------------------------------

Client::Client(kj::Own<BufferedStream> stream)
    : stream_(kj::mv(stream)),
      network_(*stream_, Side::CLIENT, kMaxPeerFrameBytes),
      system_(capnp::makeRpcClient(network_)) {}

Client::~Client() noexcept(false) = default;

capnp::Capability::Client Client::bootstrap() {
  capnp::MallocMessageBuilder message(4);
  auto server = message.initRoot<capnp::rpc::twoparty::VatId>();
  server.setSide(Side::SERVER);
  return system_.bootstrap(server);
}

}  // namespace holdfast::rpc
