// StoreError: what is wrong, with which file, and what to do about it.
#pragma once

#include <stdexcept>
#include <string>

namespace holdfast::store {

// Some kinds need an operator (foreign, damaged, disk lost), some are the machine's (I/O error,
// disk full). None is ever retried by the process that met it (P11).
class StoreError : public std::runtime_error {
 public:
  enum class Kind { kForeign, kDamaged, kDiskLost, kIo, kFull, kInUse };
  StoreError(Kind what_kind, const std::string& message)
      : std::runtime_error(message), kind(what_kind) {}
  Kind kind;
};

// The advice that ends every message about a directory whose memory can't be trusted (P10, P11).
inline constexpr const char* kReplaceAdvice =
    "move the directory aside and bring the node back under a new id with `lockctl member replace`";

}  // namespace holdfast::store
