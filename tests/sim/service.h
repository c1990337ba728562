// What a node's client service makes of a request (daemon/client_service.cc), without RPC.
#pragma once

#include <functional>
#include <optional>

#include "bindings/cpp/src/messages.h"
#include "tests/sim/machine.h"

namespace holdfast::sim {

// In an event of the machine's process. `answer` is called once, or never if the process ends.
// Returns the call that waits there, which may be dropped; none: it is answered already.
std::optional<node::ClientRef> serve(Machine& machine, const client::Request& request,
                                     std::function<void(client::Response)> answer);

}  // namespace holdfast::sim
