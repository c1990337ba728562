// Small things about sockets that streams, dialling and listening share.
#pragma once

#include <kj/exception.h>

namespace holdfast::rpc {

// The exception for an errno: DISCONNECTED if the other side, or the way to it, is gone.
kj::Exception socket_error(kj::StringPtr doing, int error);

// How soon a silent host is given up: after `user_timeout_ms` if it doesn't acknowledge what was
// sent, after a few unanswered probes if nothing is under way. Does nothing for a unix socket.
void set_patience(int fd, int idle_s, int interval_s, int user_timeout_ms);

}  // namespace holdfast::rpc
