// Who may talk to us: hellos, refusals, and what is durably known of each peer's life (P10).
//
// A voter that forgot what it promised must never vote again. A wiped disk shows by its
// incarnation; an old or a cloned copy of a directory by its start count, or by what its owner
// had promised and accepted before. Both are called "disk lost".
#pragma once

#include <optional>
#include <string>

#include "lockcore/paxos/replica_state.h"

namespace holdfast::paxos::membership {

constexpr uint16_t kProtocol = 1;

Hello hello(const ReplicaState& s);
// nullopt: admitted. Keeps the hello, and what it tells of the peer's life.
std::optional<Refusal> on_hello(ReplicaState& s, const Hello& peer, Effects& fx);
// Of this node.
std::string removed_text(const ReplicaState& s);
void on_refused(ReplicaState& s, base::NodeId by, const Refusal& refusal, base::Instant now,
                Effects& fx);
// What is wrong with what was found at start; may end the process or only tell.
void check_at_start(ReplicaState& s, const std::string& disk_lost);
// Writes what is known of every peer that said hello in this run.
void store_marks(ReplicaState& s);

}  // namespace holdfast::paxos::membership
