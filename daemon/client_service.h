// What clients may call: the servers of rpc/holdfast.capnp, over the node.
//
// Every expected outcome is a value in the results; an exception means that the message was
// malformed or the connection broke.
#pragma once

#include <capnp/capability.h>

#include <memory>
#include <string>
#include <vector>

#include "daemon/config.h"
#include "daemon/node_access.h"

namespace holdfast::rpc {
class ConnectionHandle;
}

namespace holdfast::daemon {

// Who this node says that it is, in `status`.
struct Identity {
  base::NodeId id;
  std::string name;
  std::string address;
  std::vector<base::Member> cluster;  // --cluster: the members as long as none are stored
};

// One for all connections: what a call needs to know comes with the call, or with the capability
// on which it is made.
class ClientService {
 public:
  // The node must outlive every capability handed out.
  ClientService(NodeAccess& access, Identity identity);
  ~ClientService();

  // The first capability of a new connection.
  capnp::Capability::Client bootstrap(std::shared_ptr<rpc::ConnectionHandle> connection);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace holdfast::daemon
