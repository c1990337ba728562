// What the services need of whoever drives the node: to put calls before it, to read what it knows.
// In the daemon this is the driver. In the fuzz targets it is one without threads, disk or clock.
#pragma once

#include <cstdint>
#include <vector>

#include "daemon/calls.h"
#include "lockcore/node/node.h"

namespace holdfast::rpc {
class PeerServer;
}

namespace holdfast::daemon {

class NodeAccess {
 public:
  // Names a call; exactly one of command(), renew(), read() and admin() follows.
  virtual node::ClientRef begin(Call& call) = 0;
  virtual void command(node::ClientRef ref, locks::Command command) = 0;
  virtual void renew(node::ClientRef ref, std::vector<base::LeaseId> leases) = 0;
  virtual void read(node::ClientRef ref) = 0;
  virtual void admin(node::ClientRef ref, node::AdminRequest request) = 0;
  // The caller is gone. After the answer it does nothing.
  virtual void drop(node::ClientRef ref) = 0;

  virtual const node::Node& node() const = 0;
  // The receiving end of the peers' links.
  virtual rpc::PeerServer& peer_server() = 0;
  virtual uint64_t log_bytes() const = 0;
  virtual uint64_t state_bytes() const = 0;

 protected:
  ~NodeAccess() = default;
};

}  // namespace holdfast::daemon
