// Between the RPC structs of events, blockers and SQL rows and plain structs.
#pragma once

#include "lockcore/base/state_rows.h"
#include "rpc/holdfast.capnp.h"

namespace holdfast::rpc {

void fill_event(const base::EventRow& event, wire::Event::Builder to);
// A bound on the bytes that this takes in an answer.
size_t wire_bytes(const base::EventRow& event);

}  // namespace holdfast::rpc
