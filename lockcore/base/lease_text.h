// A lease's id as people read and type it, in messages, tables and scripts alike: lower-case
// hexadecimal.
#pragma once

#include <charconv>
#include <string>

#include "lockcore/base/ids.h"

namespace holdfast::base {

inline std::string lease_text(LeaseId lease) {
  char buffer[16];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, lease.value, 16).ptr;
  return {buffer, end};
}

}  // namespace holdfast::base
