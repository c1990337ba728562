// How holders and owners are shown to people.
#pragma once

#include <string>

#include "holdfast/holdfast.h"

namespace holdfast::cli {

// "host:pid"
inline std::string where(const Owner& owner) {
  return owner.host + ":" + std::to_string(owner.pid);
}

// "user program: reason", as far as known.
inline std::string who(const Owner& owner) {
  std::string out = owner.user;
  if (!owner.program.empty()) out += (out.empty() ? "" : " ") + owner.program;
  if (!owner.reason.empty()) out += (out.empty() ? "" : ": ") + owner.reason;
  return out;
}

}  // namespace holdfast::cli
