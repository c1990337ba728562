#include "lockcore/locks/refusal.h"

#include "lockcore/base/lease_text.h"

namespace holdfast::locks {

using base::Error;
using base::ErrorCode;

Error invalid(std::string message) {
  return {ErrorCode::kInvalidArgument, std::move(message), {}};
}

Error unsupported(std::string message) {
  return {ErrorCode::kUnsupported, std::move(message), {}};
}

Error exhausted(std::string_view limit, uint64_t value, std::string message) {
  return {ErrorCode::kResourceExhausted,
          std::move(message),
          {{"limit", std::string(limit)}, {"value", std::to_string(value)}}};
}

Error lease_not_found(base::LeaseId lease) {
  std::string id = base::lease_text(lease);
  return {ErrorCode::kLeaseNotFound,
          "lease " + id + " is not there: it expired, was closed or adopted, or never was",
          {{"lease", id}}};
}

Error unknown_client(base::ClientId client) {
  std::string id = std::to_string(client.value);
  return {ErrorCode::kUnknownClient,
          "client " + id + " is not registered: it was idle too long, said goodbye, or never was",
          {{"client", id}}};
}

Error already_answered(uint64_t number) {
  return {ErrorCode::kCancelled,
          "operation " + std::to_string(number) +
              " was answered already, as its client said: this late copy does nothing",
          {}};
}

Error wait_cancelled(std::string_view why) {
  return {ErrorCode::kCancelled, "the acquire was cancelled: " + std::string(why), {}};
}

}  // namespace holdfast::locks
