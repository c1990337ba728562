// PeerLink: this node's way to tell one peer something. It dials the peer's address for ever,
// introduces itself (P10), and delivers messages one way. The peer's messages come on the peer's
// own link, to peer_server.h.
#pragma once

#include <kj/async.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lockcore/base/random.h"
#include "lockcore/paxos/message.h"
#include "lockcore/paxos/replica.h"
#include "rpc/address.h"
#include "rpc/notice.h"
#include "rpc/uv_event_port.h"

namespace holdfast::rpc {

// All are called on the loop's thread, from KJ events, never from within a call into the link.
struct PeerLinkEvents {
  // This node's hello, as of now.
  std::function<paxos::Hello()> hello;
  // The peer let us in and said hello itself. A refusal closes the link again; it will be
  // redialled.
  std::function<std::optional<paxos::Refusal>(const paxos::Hello& peer)> on_up;
  // The peer refused us. The link is redialled, slowly.
  std::function<void(const paxos::Refusal&)> on_refused;
  // The link was up and is no more.
  std::function<void(const std::string& why)> on_down;
  NoticeSink notices;
};

class PeerLink {
 public:
  PeerLink(UvEventPort& port, base::NodeId peer, Address address, uint64_t random_seed,
           PeerLinkEvents events);
  ~PeerLink() noexcept(false);
  PeerLink(const PeerLink&) = delete;
  PeerLink& operator=(const PeerLink&) = delete;

  // Gathers messages until flush(), which puts them on the wire at once, as one delivery (or a few,
  // under kMaxPeerMessageBytes). While the link is down, or kMaxDeliveriesInFlight or
  // kMaxDeliveryBytesInFlight are under way, messages are dropped: Paxos tolerates loss, and a peer
  // that does not read must not make this node grow.
  void send(paxos::Message message);
  void flush();

  // The peer's connection to us has just come up: it lives, so dial now rather than after the
  // backoff.
  void hurry();

  // The peer says that it is reached here: tried as well, in turn with its address, as long as the
  // link is down.
  void also_try(Address address);

  bool up() const;
  base::NodeId peer() const;
  const Address& address() const;
  struct Counts {
    uint64_t deliveries_total = 0, messages_total = 0, dropped_total = 0, dials_total = 0;
  };
  Counts counts() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace holdfast::rpc
