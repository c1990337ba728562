// Strong identifiers: every counter and id of the system has a type of its own.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace holdfast::base {

// A 64-bit number that can't be mixed up with another kind of number. 0 means "none" everywhere.
template <class Tag>
struct Id {
  uint64_t value = 0;

  constexpr auto operator<=>(const Id&) const = default;
  constexpr explicit operator bool() const { return value != 0; }
  constexpr Id next() const { return Id{value + 1}; }
};

using CellId = Id<struct CellTag>;              // random, made at founding
using NodeId = Id<struct NodeTag>;              // given by the operator, permanent, never reused
using Incarnation = Id<struct IncarnationTag>;  // random, made with the data directory (P10)
using Slot = Id<struct SlotTag>;                // a position in the log; the first is 1
using Revision = Id<struct RevisionTag>;        // the state machine's counter of changes
using ConfigVersion = Id<struct ConfigTag>;     // +1 for every membership change; founding is 1
using LeaseId = Id<struct LeaseTag>;            // the revision at which the lease was opened
using ClientId = Id<struct ClientTag>;          // the revision at which the client registered
using HolderId = Id<struct HolderTag>;  // chosen by the client, tells holds of a lease apart
using AgentId = Id<struct AgentTag>;    // chosen by the client: the thread or task that waits
using WriteId = Id<struct WriteTag>;    // one write to log.db; unique in a process, growing
using Confirm = Id<struct ConfirmTag>;  // P8's counter c, growing within a ballot

// Of holds whose lease was adopted, until somebody takes them up: nobody who waits has it.
constexpr AgentId kNoAgent{UINT64_MAX};

// A fencing token is the revision of its grant (DESIGN 2.2).
using Token = Revision;

}  // namespace holdfast::base

template <class Tag>
struct std::hash<holdfast::base::Id<Tag>> {
  size_t operator()(holdfast::base::Id<Tag> id) const noexcept {
    // Ids are dense counters or random numbers; a multiplicative mix spreads both.
    return static_cast<size_t>((id.value * 0x9E3779B97F4A7C15ULL) ^ (id.value >> 32));
  }
};
