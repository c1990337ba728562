// The calls that read what happened: `events`, from memory or from the record, at once or when
// there is something; and `sql`, over the record.
#pragma once

#include <capnp/capability.h>
#include <kj/async.h>

#include "daemon/node_access.h"
#include "rpc/holdfast.capnp.h"

namespace holdfast::daemon {

using EventsContext = capnp::CallContext<wire::Cell::EventsParams, wire::Cell::EventsResults>;
using SqlContext = capnp::CallContext<wire::Cell::SqlParams, wire::Cell::SqlResults>;

kj::Promise<void> answer_events(NodeAccess& access, EventsContext context);
kj::Promise<void> answer_sql(NodeAccess& access, SqlContext context);

}  // namespace holdfast::daemon
