// What the services need of whoever drives the node: to put calls before it, to read what it knows.
// In the daemon this is the driver. In the fuzz targets it is one without threads, disk or clock.
#pragma once

#include <kj/async.h>

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
  // Names a call; exactly one of command(), renew() and read() follows.
  virtual node::ClientRef begin(Call& call) = 0;
  virtual void command(node::ClientRef ref, locks::Command command) = 0;
  virtual void renew(node::ClientRef ref, std::vector<base::LeaseId> leases) = 0;
  virtual void read(node::ClientRef ref) = 0;
  // The caller is gone. After the answer it does nothing.
  virtual void drop(node::ClientRef ref) = 0;

  // A part of a snapshot of state.db, as store/state_keeper.h has it; without an id: not to be had.
  // Of a new one: all that is applied by now, or is at `at_least`, is in it.
  virtual kj::Promise<base::SnapshotPart> read_snapshot(base::SnapshotId asked, uint64_t offset,
                                                        size_t max_bytes, base::Slot at_least) = 0;

  virtual const node::Node& node() const = 0;
  // The receiving end of the peers' links.
  virtual rpc::PeerServer& peer_server() = 0;
  virtual uint64_t log_bytes() const = 0;
  virtual uint64_t state_bytes() const = 0;

 protected:
  ~NodeAccess() = default;
};

}  // namespace holdfast::daemon
