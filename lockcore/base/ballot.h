// Ballot: (round, node id), totally ordered. The leader of a ballot is its node.
#pragma once

#include "lockcore/base/ids.h"

namespace holdfast::base {

struct Ballot {
  uint64_t round = 0;
  NodeId node;

  constexpr auto operator<=>(const Ballot&) const = default;
  constexpr explicit operator bool() const { return round != 0; }
};

}  // namespace holdfast::base
