// Commands made of the fuzzer's bytes. Most name clients, leases and holds that exist, with numbers
// as a client would give them; any field may be anything.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "lockcore/base/limits.h"
#include "lockcore/locks/lock_table.h"
#include "tests/fuzz/input.h"

namespace holdfast::fuzz {

// What the commands before have brought about.
struct Known {
  std::vector<base::ClientId> clients;
  std::vector<base::LeaseId> leases;
  std::map<base::ClientId, uint64_t> last_number;

  void note(const locks::Answer& answer) {
    if (const auto* registered = std::get_if<locks::ClientRegistered>(&answer)) {
      clients.push_back(registered->client);
    } else if (const auto* opened = std::get_if<locks::LeaseOpened>(&answer)) {
      leases.push_back(opened->lease);
    }
  }
};

template <class Id>
Id some_id(Input& in, const std::vector<Id>& known) {
  const uint8_t choice = in.byte();
  if (choice >= 248 || known.empty()) return Id{in.number()};
  return known[choice % known.size()];
}

inline std::string some_name(Input& in) {
  static const std::string kNames[] = {"a", "b", "a/b", "z"};
  const uint8_t choice = in.byte();
  return choice < 248 ? kNames[choice % std::size(kNames)] : in.text(255);
}

inline locks::OpId some_op(Input& in, Known& known) {
  locks::OpId op{some_id(in, known.clients), 0, 0, {}};
  uint64_t& last = known.last_number[op.client];
  const uint8_t how = in.byte();
  op.number = how % 4 != 0 ? last + 1 : in.near(last);
  last = std::max(last, std::min(op.number, last + 10));
  op.lowest_unanswered = how % 16 < 8    ? 1
                         : how % 16 < 14 ? std::max<uint64_t>(last, 4) - 3
                                         : in.near(last);
  for (uint64_t i = how / 128 * in.below(4); i > 0; --i) op.answered.push_back(in.near(op.number));
  return op;
}

inline base::Owner some_owner(Input& in) {
  return {in.text(4), in.number(),  in.text(4), in.text(4),
          in.text(4), in.text(255), in.text(4), in.number()};
}

inline base::Mode some_mode(uint8_t choice) {
  return static_cast<base::Mode>(choice < 120 ? 5 : choice < 240 ? 3 : choice % 6);
}

inline locks::Acquire some_acquire(Input& in, const Known& known) {
  locks::Acquire acquire;
  acquire.lease = some_id(in, known.leases);
  const uint8_t how = in.byte();
  acquire.holder = {how % 3u};
  acquire.agent = {how / 4 % 4u};
  acquire.wait = how % 8 != 0;
  size_t locks = how < 200 ? 1 : how < 250 ? in.below(5) : in.below(80);
  if (how == 255) acquire.reason = in.text(255);
  for (; locks > 0; --locks) {
    locks::LockRequest request{some_name(in)};
    const uint8_t mode = in.byte();
    request.mode = some_mode(mode);
    if (mode > 252) {
      request.kind = static_cast<base::LockKind>(mode % 3);
      request.permits = static_cast<uint32_t>(in.below(6));
      request.capacity = static_cast<uint32_t>(in.below(8));
    }
    acquire.locks.push_back(std::move(request));
  }
  return acquire;
}

inline locks::Release some_release(Input& in, const Known& known, const locks::LockTable& table) {
  std::string name = some_name(in);
  const uint8_t choice = in.byte();
  const auto holders = table.describe(name).holders;
  if (choice < 240 && !holders.empty()) {
    const locks::HolderInfo& holder = holders[choice % holders.size()];
    return {holder.lease, std::move(name), holder.token};
  }
  return {some_id(in, known.leases), std::move(name), {in.near(table.meta().revision.value)}};
}

inline locks::Convert some_convert(Input& in, const Known& known, const locks::LockTable& table) {
  locks::Release hold = some_release(in, known, table);
  const base::Mode mode = some_mode(in.byte());
  return {hold.lease, std::move(hold.lock), hold.token, mode, {in.below(4)}, in.flag()};
}

inline locks::SetHoldValue some_value(Input& in, const Known& known,
                                      const locks::LockTable& table) {
  locks::Release hold = some_release(in, known, table);
  return {hold.lease, std::move(hold.lock), hold.token, in.text(255)};
}

inline locks::TxnOp some_key_op(Input& in, const Known& known) {
  locks::TxnOp op;
  const uint8_t how = in.byte();
  op.kind = static_cast<locks::TxnOp::Kind>(how % 3);
  op.key = some_name(in);
  if (op.kind != locks::TxnOp::Kind::kPut) return op;
  op.value = in.text(how < 200 ? 8 : 255);
  if (how % 2 == 0) op.lease = some_id(in, known.leases);
  op.sequential = how % 5 == 0;
  return op;
}

inline locks::Compare some_compare(Input& in, const locks::LockTable& table) {
  locks::Compare compare;
  const uint8_t how = in.byte();
  compare.target = static_cast<locks::Compare::Target>(how % 5);
  compare.relation = static_cast<locks::Relation>(how / 8 % 4);
  compare.key = some_name(in);
  if (compare.target == locks::Compare::Target::kValue) {
    compare.value = in.text(8);
  } else {
    const auto key = table.key(compare.key);
    const auto holders = table.describe(compare.key).holders;
    const bool holds = compare.target == locks::Compare::Target::kHolds && !holders.empty();
    compare.number = in.near(holds ? holders.front().token.value : key ? key->revision.value : 0);
  }
  return compare;
}

inline locks::Txn some_txn(Input& in, const Known& known, const locks::LockTable& table) {
  locks::Txn txn;
  const uint8_t how = in.byte();
  for (int i = how % 4; i > 0; --i) txn.compare.push_back(some_compare(in, table));
  for (int i = how / 4 % 4; i > 0; --i) txn.then.push_back(some_key_op(in, known));
  for (int i = how / 16 % 4; i > 0; --i) txn.orelse.push_back(some_key_op(in, known));
  return txn;
}

inline locks::SetPolicy some_policy(Input& in) {
  const uint8_t how = in.byte();
  locks::SetPolicy set{
      {static_cast<base::PolicyKind>(how % 3), some_name(in)}, how % 2 == 0, {}, "why", "who"};
  if (set.key.kind != base::PolicyKind::kDrain) {
    set.limits = {how / 8 % 4u, in.below(8), in.below(4), in.number()};
  }
  return set;
}

// What a client may ask for.
inline locks::Body some_request(Input& in, const Known& known, const locks::LockTable& table) {
  switch (in.below(24)) {
    case 0: return locks::RegisterClient{in.flag() ? in.number() * 100 : 0};
    case 1: return locks::ForgetClient{};
    case 2:
    case 3: {
      locks::OpenLease open;
      if (in.flag()) {
        open = {in.number() * 100, in.number(), in.text(20), some_owner(in), in.flag()};
      }
      if (open.lock_delay_ms < 200) open.lock_delay_ms = 0;
      if (open.secret.size() < 20) open.secret.resize(base::kSecretBytes, 's');
      return open;
    }
    case 4: return locks::CloseLease{some_id(in, known.leases)};
    case 5: return locks::CancelWait{in.number()};
    case 6:
    case 7:
    case 8: return some_release(in, known, table);
    case 9: return some_convert(in, known, table);
    case 10: return some_value(in, known, table);
    case 18:
    case 19:
    case 20:
    case 21: return some_txn(in, known, table);
    case 22: return some_policy(in);
    case 23: {
      locks::AdoptLease adopt{some_id(in, known.leases), std::string(base::kSecretBytes, 's'),
                              some_owner(in)};
      if (in.flag()) adopt.secret = in.text(20);
      return adopt;
    }
    default: return some_acquire(in, known);
  }
}

// What may stand in a log.
inline locks::Command some_command(Input& in, Known& known, const locks::LockTable& table) {
  const uint8_t kind = in.byte();
  if (kind < 16) return {{}, locks::NewLeader{{in.near(table.meta().leader.round), {1}}}};
  if (kind < 32) {
    locks::ExpireLeases expire{table.meta().leader, {}};
    if (in.below(8) == 0) expire.decided.round = in.near(expire.decided.round);
    for (uint64_t i = in.below(4); i > 0; --i) expire.leases.push_back(some_id(in, known.leases));
    return {{}, std::move(expire)};
  }
  if (kind < 40) {
    locks::CheckpointLeases checkpoint{table.meta().leader, {}};
    if (in.below(8) == 0) checkpoint.decided.round = in.near(checkpoint.decided.round);
    for (uint64_t i = in.below(4); i > 0; --i) {
      checkpoint.leases.push_back({some_id(in, known.leases), in.number()});
    }
    return {{}, std::move(checkpoint)};
  }
  locks::Body body = some_request(in, known, table);
  if (std::holds_alternative<locks::RegisterClient>(body) && kind < 240) {
    return {{{}, in.number(), 0, {}}, std::move(body)};
  }
  return {some_op(in, known), std::move(body)};
}

}  // namespace holdfast::fuzz
