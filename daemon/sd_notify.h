// The service manager's notification protocol, sd_notify(3): a datagram to $NOTIFY_SOCKET.
#pragma once

#include <string_view>

namespace holdfast::daemon {

// "READY=1", "STOPPING=1", "STATUS=...", one per line. Without a NOTIFY_SOCKET it does nothing; a
// manager that doesn't listen is no reason to stop serving, so failures are only logged.
void notify_service_manager(std::string_view state);

}  // namespace holdfast::daemon
