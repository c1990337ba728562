// What a client holds besides plain locks: several at once, in any mode, of any kind.
#pragma once

#include <vector>

#include "lockcore/locks/command.h"

namespace holdfast::sim {

struct Claims {
  std::vector<locks::LockRequest> locks;
  std::vector<base::Token> tokens;  // one each, once they are granted
  base::AgentId agent;
};

}  // namespace holdfast::sim
