// What rpc/ has to tell people. The daemon logs it; the client library drops most of it.
#pragma once

#include <functional>
#include <string>

namespace holdfast::rpc {

enum class Severity { kInfo, kWarning, kError };

// Called on the loop's thread, never once per request.
using NoticeSink = std::function<void(Severity, std::string)>;

}  // namespace holdfast::rpc
