// The errors with which lock commands are refused: same words on every node, at every replay.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lockcore/base/error.h"
#include "lockcore/base/ids.h"

namespace holdfast::locks {

base::Error invalid(std::string message);
base::Error unsupported(std::string message);
// `limit` is the limit's name as in limits.h, without kMax and in camel case; `value` its value.
base::Error exhausted(std::string_view limit, uint64_t value, std::string message);
base::Error lease_not_found(base::LeaseId lease);
base::Error unknown_client(base::ClientId client);
// A late copy of an operation whose client has its answer already.
base::Error already_answered(uint64_t number);
// What an acquire answers whose place in the queue was given up.
base::Error wait_cancelled(std::string_view why);

}  // namespace holdfast::locks
