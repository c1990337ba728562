// Connecting to an address.
#pragma once

#include <kj/async.h>
#include <kj/memory.h>

#include "rpc/address.h"
#include "rpc/buffered_stream.h"

namespace holdfast::rpc {

// Resolves the name and tries its addresses one after the other. Fails with DISCONNECTED and a
// sentence saying what was tried. Has no timeout of its own: drop the promise, or
// timer.timeoutAfter(). The port must outlive the promise.
kj::Promise<kj::Own<BufferedStream>> dial(UvEventPort& port, const Address& address);

}  // namespace holdfast::rpc
