// The two ends of an RPC connection: Server accepts connections and gives each its bootstrap
// capability; Client is the other end.
#pragma once

#include <capnp/capability.h>
#include <capnp/rpc-twoparty.h>
#include <kj/memory.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "rpc/address.h"
#include "rpc/buffered_stream.h"
#include "rpc/limits.h"
#include "rpc/message_network.h"
#include "rpc/notice.h"
#include "rpc/uv_event_port.h"

namespace holdfast::rpc {

// An accepted connection as the services behind it see it. They may outlive it: calls that are
// under way keep their objects alive, and this says that it is gone.
class ConnectionHandle {
 public:
  virtual ~ConnectionHandle() = default;
  virtual const std::string& peer() const = 0;  // who connected, for people
  virtual bool open() const = 0;
  // Bytes of answers that its reader has not taken yet. A service that is about to build a large
  // answer may look at it first; at kMaxQueuedBytes the connection is closed.
  virtual size_t queued_bytes() const = 0;
  // It came when max_connections was reached: there is room for a peer only. It is closed soon, if
  // admit_peer() isn't called before.
  virtual bool for_peers_only() const = 0;
  // Admitted as a node of the cell: larger messages, quicker notice of a dead host.
  virtual void admit_peer() = 0;
  // Ends it at the end of this turn, and tells people why.
  virtual void close(const std::string& reason) = 0;
};

struct ServerLimits {
  size_t max_connections = kMaxConnections;
  size_t places_for_peers = kPlacesForPeers;
  int64_t peers_only_timeout_ms = kPeersOnlyTimeoutMs;
  size_t max_queued_bytes = kMaxQueuedBytes;
  size_t max_unanswered_call_bytes = kMaxUnansweredCallBytes;
  size_t max_open_calls = kMaxOpenCalls;
  int64_t first_message_timeout_ms = kFirstMessageTimeoutMs;
};

// Serves any number of connections. Nothing that a stranger sends does more than end his own.
class Server : private kj::TaskSet::ErrorHandler {
 public:
  // Makes the bootstrap capability of one connection.
  using Bootstrap = std::function<capnp::Capability::Client(std::shared_ptr<ConnectionHandle>)>;

  Server(UvEventPort& port, Bootstrap bootstrap, NoticeSink notices, ServerLimits limits = {});
  ~Server() noexcept(false);  // closes all connections
  KJ_DISALLOW_COPY(Server);

  // Takes a connection over; the Listener's OnAccept calls this.
  void serve(kj::Own<BufferedStream> stream, std::string peer);

  struct Counts {
    size_t open = 0;
    uint64_t accepted_total = 0;
    uint64_t rejected_total = 0;  // above max_connections, those for peers only among them
    uint64_t slow_total = 0;      // closed because it did not read
    uint64_t silent_total = 0;    // closed because it never said anything
  };
  const Counts& counts() const { return counts_; }

 private:
  class Accepted;
  class Handle;

  void taskFailed(kj::Exception&& exception) override;
  void tell(Severity severity, std::string text);

  UvEventPort& port_;
  Bootstrap bootstrap_;
  NoticeSink notices_;
  const ServerLimits limits_;
  Counts counts_;
  bool told_full_ = false;   // people know that max_connections was reached
  kj::TaskSet connections_;  // last: each one, while it ends, counts itself out
};

// A connection to a server. Capabilities got through it break with DISCONNECTED when it goes.
class Client {
 public:
  explicit Client(kj::Own<BufferedStream> stream);
  ~Client() noexcept(false);
  KJ_DISALLOW_COPY(Client);

  capnp::Capability::Client bootstrap();
  kj::Promise<void> on_disconnect() { return network_.on_disconnect(); }
  size_t queued_bytes() const { return stream_->queued_bytes(); }
  BufferedStream& stream() { return *stream_; }

 private:
  kj::Own<BufferedStream> stream_;
  MessageNetwork network_;
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> system_;
};

}  // namespace holdfast::rpc
