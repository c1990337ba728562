// Digests of events and of the whole state: equal on all nodes at equal slots (DESIGN 7).
#pragma once

#include <cstdint>

#include "lockcore/base/state_rows.h"

namespace holdfast::locks {

// The digest of all events up to this one, from that of those before it.
uint64_t chain_event(uint64_t digest, const base::EventRow& event);

// `rows` in canonical order.
uint64_t digest_of(const base::StateRows& rows);

}  // namespace holdfast::locks
