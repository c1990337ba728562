// Between the RPC structs of clients' calls and plain structs.
//
// read_* that return Read<T>: what clients send. Every list has a limit; a message beyond it, or
// one that can't be read, gives an Error (invalidArgument or resourceExhausted), never an exception
// or a large allocation. Names, ranges and sizes of fields are locks::validate's business.
// fill_*: into a builder; the caller bounds how much there is.
#pragma once

#include <optional>
#include <variant>
#include <vector>

#include "lockcore/base/command.capnp.h"
#include "lockcore/base/error.h"
#include "lockcore/locks/command.h"
#include "lockcore/locks/lock_table.h"
#include "rpc/holdfast.capnp.h"

namespace holdfast::rpc {

template <class T>
using Read = std::variant<T, base::Error>;

Read<locks::OpId> read_op(wire::OpId::Reader from);
Read<locks::Acquire> read_acquire(wire::Acquire::Reader from);
Read<locks::OpenLease> read_open_lease(wire::OpenLease::Reader from);
Read<locks::AdoptLease> read_adopt_lease(wire::AdoptLease::Reader from);
Read<locks::Release> read_release(wire::Release::Reader from);
Read<locks::Convert> read_convert(wire::Convert::Reader from);
Read<locks::SetHoldValue> read_set_value(wire::SetHoldValue::Reader from);
Read<locks::ForceRelease> read_force(wire::ForceRelease::Reader from);
Read<std::vector<base::LeaseId>> read_leases(capnp::List<uint64_t>::Reader from);
// Of answers, which come from a server: an unknown kind is an Error `unsupported`. These throw
// kj::Exception if the message is damaged, as Cap'n Proto's own readers do: a promise breaks.
locks::Answer read_answer(wire::Answer::Reader from);
base::Error read_error(wire::Error::Reader from);
base::Owner read_owner(wire::Owner::Reader from);

void fill_op(const locks::OpId& op, wire::OpId::Builder to);
void fill_acquire(const locks::Acquire& acquire, wire::Acquire::Builder to);
void fill_open_lease(const locks::OpenLease& open, wire::OpenLease::Builder to);
void fill_adopt_lease(const locks::AdoptLease& adopt, wire::AdoptLease::Builder to);
void fill_release(const locks::Release& release, wire::Release::Builder to);
void fill_convert(const locks::Convert& convert, wire::Convert::Builder to);
void fill_set_value(const locks::SetHoldValue& set, wire::SetHoldValue::Builder to);
void fill_force(const locks::ForceRelease& force, wire::ForceRelease::Builder to);
void fill_answer(const locks::Answer& answer, wire::Answer::Builder to);
void fill_error(const base::Error& error, wire::Error::Builder to);
void fill_owner(const base::Owner& owner, wire::Owner::Builder to);
void fill_ballot(base::Ballot ballot, wire::Ballot::Builder to);

void fill_lock(const locks::LockInfo& lock, wire::LockInfo::Builder to);
void fill_lease(const locks::LeaseInfo& lease, int64_t remaining_ms, wire::LeaseInfo::Builder to);
locks::LockInfo read_lock(wire::LockInfo::Reader from);
locks::LeaseInfo read_lease(wire::LeaseInfo::Reader from);

// A bound on the bytes that this takes in an answer: pages of lists are cut by it
// (base::kMaxMessageBytes).
size_t wire_bytes(const locks::LockInfo& lock);
size_t wire_bytes(const locks::LeaseInfo& lease);

base::Mode read_mode(wire::Mode mode);  // of an answer; an unknown one reads as kNull
wire::Mode wire_mode(base::Mode mode);
base::LockKind read_kind(wire::LockKind kind);  // of an answer; an unknown one reads as kLock

}  // namespace holdfast::rpc
