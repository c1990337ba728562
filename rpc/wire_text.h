// Texts and bytes in messages, for the files that convert them.
#pragma once

#include <capnp/blob.h>
#include <kj/exception.h>

#include <string>
#include <string_view>

#include "lockcore/base/error.h"
#include "rpc/convert.h"

namespace holdfast::rpc::detail {

inline std::string text(capnp::Text::Reader from) {
  return std::string(from.begin(), from.size());
}
inline capnp::Text::Reader text(const std::string& from) {
  return capnp::Text::Reader(from.c_str(), from.size());
}
inline std::string bytes(capnp::Data::Reader from) {
  return std::string(reinterpret_cast<const char*>(from.begin()), from.size());
}
inline capnp::Data::Reader bytes(const std::string& from) {
  return capnp::Data::Reader(reinterpret_cast<const kj::byte*>(from.data()), from.size());
}

inline base::Error too_many(std::string_view what, size_t count, std::string_view limit,
                            size_t most) {
  return base::Error{base::ErrorCode::kResourceExhausted,
                     std::to_string(count) + " " + std::string(what) + " are too many: at most " +
                         std::to_string(most) + " fit one call",
                     {{"limit", std::string(limit)}, {"value", std::to_string(most)}}};
}

// What this version can't read must not be taken for something else that it can.
inline base::Error not_known(std::string_view what) {
  return {base::ErrorCode::kUnsupported,
          "a " + std::string(what) + " is asked for that this version doesn't know",
          {}};
}

// Reads what may be damaged: a bad pointer, a list outside of the message, text without an end.
template <class T, class ReadIt>
Read<T> guarded(std::string_view what, ReadIt&& read_it) {
  try {
    return read_it();
  } catch (const kj::Exception& damage) {
    return base::Error{
        base::ErrorCode::kInvalidArgument,
        "the " + std::string(what) + " can't be read: " + damage.getDescription().cStr(),
        {}};
  }
}

}  // namespace holdfast::rpc::detail
