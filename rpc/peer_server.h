// PeerServer: the receiving end of peers' links. The daemon's Holdfast server hands its peer()
// calls to it.
#pragma once

#include <kj/async.h>

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "lockcore/paxos/message.h"
#include "lockcore/paxos/replica.h"
#include "rpc/connection.h"
#include "rpc/holdfast.capnp.h"
#include "rpc/notice.h"

namespace holdfast::rpc {

// All are called on the loop's thread.
struct PeerServerEvents {
  // This node's hello, as of now.
  std::function<paxos::Hello()> hello;
  // A peer introduces itself. A refusal is told to it, and no message of it comes through.
  std::function<std::optional<paxos::Refusal>(const paxos::Hello& peer)> on_hello;
  // From an admitted peer, in the order in which it sent them.
  std::function<void(base::NodeId from, paxos::Message message)> on_message;
  // The last link from this peer is gone.
  std::function<void(base::NodeId peer)> on_down;
  NoticeSink notices;
};

class PeerServer {
 public:
  explicit PeerServer(PeerServerEvents events);
  ~PeerServer() noexcept(false);  // links that are still open say nothing from then on
  PeerServer(const PeerServer&) = delete;
  PeerServer& operator=(const PeerServer&) = delete;

  using Context = capnp::CallContext<wire::Holdfast::PeerParams, wire::Holdfast::PeerResults>;
  // Answers Holdfast.peer().
  kj::Promise<void> peer(Context context, std::shared_ptr<ConnectionHandle> connection);
  size_t links(base::NodeId peer) const;
  // Ends the connections of all other peers: who was removed is told so when it says hello again.
  void keep_only(const std::vector<base::NodeId>& peers);

 private:
  class Link;
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace holdfast::rpc
