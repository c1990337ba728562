// Between the RPC structs of keys, transactions and policies and plain structs. As rpc/convert.h.
#pragma once

#include <variant>

#include "lockcore/base/command.capnp.h"
#include "lockcore/locks/command.h"
#include "lockcore/locks/lock_table.h"
#include "rpc/convert.h"
#include "rpc/holdfast.capnp.h"

namespace holdfast::rpc {

Read<locks::Txn> read_txn(wire::Txn::Reader from);
Read<locks::SetPolicy> read_set_policy(wire::SetPolicy::Reader from);
// Of answers: these throw if the message is damaged, as read_answer() does.
base::KeyRow read_key(wire::KeyValue::Reader from);
locks::TxnDone read_txn_done(wire::Answer::TxnDone::Reader from);
locks::PolicyInfo read_policy(wire::PolicyInfo::Reader from);

void fill_txn(const locks::Txn& txn, wire::Txn::Builder to);
void fill_set_policy(const locks::SetPolicy& set, wire::SetPolicy::Builder to);
void fill_key(const base::KeyRow& key, wire::KeyValue::Builder to);
void fill_txn_done(const locks::TxnDone& done, wire::Answer::TxnDone::Builder to);
void fill_policy(const locks::PolicyInfo& policy, wire::PolicyInfo::Builder to);

// A bound on the bytes that this takes in an answer.
size_t wire_bytes(const base::KeyRow& key);

}  // namespace holdfast::rpc
