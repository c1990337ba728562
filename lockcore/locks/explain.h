// Why somebody waits: who is in the way, and who is in their way, and so on, for people.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lockcore/base/state_rows.h"

namespace holdfast::locks {

// One who is in the way.
struct Blocker {
  enum class Kind : uint8_t { kHolder = 0, kWaiter = 1, kDelay = 2, kDrain = 3 };  // wire values

  int parent = -1;   // index of whom it keeps waiting; -1: of who asks
  std::string lock;  // where it is in the way
  Kind kind = Kind::kHolder;
  base::LeaseId lease;
  base::HolderId holder;
  base::Token token;  // of a holder
  base::Mode mode = base::Mode::kExclusive;
  uint32_t permits = 0;
  uint64_t position = 0;       // of a waiter, from 1
  uint64_t since_cell_ms = 0;  // held or waiting since
  uint64_t until_cell_ms = 0;  // of a delay
  std::string reason;
  std::shared_ptr<const base::Owner> owner;
  bool seen = false;  // its agent is in the list before: what keeps it waiting is told there
};

// A tree as a list: parents come before their children.
struct Explanation {
  std::vector<Blocker> blockers;
  bool truncated = false;  // there are more than were asked for
};

}  // namespace holdfast::locks
