// Between paxos messages and peer.capnp.
//
// read_*: what a peer sent. Never throws, never allocates more than the message holds. A message
// of an unknown kind (a later version's) or with a damaged entry is not handed on.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lockcore/paxos/message.h"
#include "lockcore/paxos/replica.h"
#include "rpc/peer.capnp.h"

namespace holdfast::rpc {

void fill_hello(const paxos::Hello& hello, wire::peer::Hello::Builder to);
std::optional<paxos::Hello> read_hello(wire::peer::Hello::Reader from);

void fill_refusal(const paxos::Refusal& refusal, wire::peer::Refusal::Builder to);
paxos::Refusal read_refusal(wire::peer::Refusal::Reader from);

void fill_message(const paxos::Message& message, wire::peer::Message::Builder to);
// nullopt: to be ignored; `why` says why, and is empty for an unknown kind.
std::optional<paxos::Message> read_message(wire::peer::Message::Reader from, std::string& why);

void fill_snapshot_part(const base::SnapshotPart& part, wire::peer::SnapshotPart::Builder to);
base::SnapshotPart read_snapshot_part(wire::peer::SnapshotPart::Reader from);
void fill_config(const base::Config& config, wire::peer::Config::Builder to);
// nullopt: too many members to be true. May throw, as Cap'n Proto's readers do.
std::optional<base::Config> read_config(wire::peer::Config::Reader from, std::string& why);

// A bound on the bytes that this takes on the wire.
size_t wire_bytes(const paxos::Message& message);

}  // namespace holdfast::rpc
