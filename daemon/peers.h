// The links with the other nodes of the cell: one that we dial and speak on, one that they dial and
// speak on.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "daemon/log.h"
#include "lockcore/base/log_row.h"
#include "lockcore/paxos/message.h"
#include "lockcore/paxos/replica.h"
#include "rpc/notice.h"

namespace holdfast::rpc {
class PeerLink;
class PeerServer;
class UvEventPort;
}  // namespace holdfast::rpc

namespace holdfast::daemon {

// Whom the links report to: the driver.
class PeerHandler {
 public:
  virtual paxos::Hello hello() const = 0;
  // nullopt: admitted.
  virtual std::optional<paxos::Refusal> on_hello(const paxos::Hello& peer) = 0;
  virtual void on_refused(base::NodeId by, const paxos::Refusal& refusal) = 0;
  virtual void on_message(base::NodeId from, paxos::Message message) = 0;
  // Neither link with this peer is left.
  virtual void on_peer_lost(base::NodeId peer) = 0;

 protected:
  ~PeerHandler() = default;
};

class Peers {
 public:
  Peers(rpc::UvEventPort& port, base::NodeId self, PeerHandler& handler);
  ~Peers();

  // Dials these members, this node aside, and hangs up on whoever isn't among them any more.
  void set_members(const std::vector<base::Member>& members);
  // What is sent goes out with the next flush(), which doesn't wait for the turn's end.
  void send(base::NodeId to, paxos::Message message);
  void flush();
  // The receiving end, to which the RPC server hands Holdfast.peer().
  rpc::PeerServer& server() { return *server_; }

 private:
  struct Peer {
    std::unique_ptr<rpc::PeerLink> link;
    std::string address;
    bool inbound = false;   // it has a link to us
    bool outbound = false;  // we have a link to it
  };
  void dial(const base::Member& member);
  void set_inbound(base::NodeId id, bool up);
  void set_outbound(base::NodeId id, bool up);
  void follow_address(const paxos::Hello& peer);
  // Admitted or refused, by the node; a refusal is logged, but not each time that the peer knocks.
  std::optional<paxos::Refusal> admit(const paxos::Hello& peer);

  rpc::UvEventPort& port_;
  const base::NodeId self_;
  PeerHandler& handler_;
  std::map<base::NodeId, Peer> peers_;
  std::unique_ptr<rpc::PeerServer> server_;
  Throttle throttle_;
};

}  // namespace holdfast::daemon
