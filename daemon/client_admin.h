// What an operator may call: handing over, changing who belongs to the cell.
#pragma once

#include <kj/async.h>

#include "daemon/node_access.h"
#include "rpc/holdfast.capnp.h"

namespace holdfast::daemon {

using TransferLeaderContext =
    capnp::CallContext<wire::Cell::TransferLeaderParams, wire::Cell::TransferLeaderResults>;
using ChangeMemberContext =
    capnp::CallContext<wire::Cell::ChangeMemberParams, wire::Cell::ChangeMemberResults>;
kj::Promise<void> transfer_leader(NodeAccess& access, TransferLeaderContext context);
kj::Promise<void> change_member(NodeAccess& access, ChangeMemberContext context);

// This node is about to end: if it leads, another one is to lead first. Never fails.
kj::Promise<void> hand_over(NodeAccess& access);

}  // namespace holdfast::daemon
