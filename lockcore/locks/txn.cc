// Transactions over small keys: guards, then one list of operations or the other, all at once.
//
// What could go wrong is looked for before anything is changed: a transaction is done as a whole,
// or leaves no trace but its answer.
#include <algorithm>

#include "lockcore/base/limits.h"
#include "lockcore/base/mutant.h"
#include "lockcore/locks/lock_table_state.h"
#include "lockcore/locks/refusal.h"

namespace holdfast::locks {

using base::EventType;

namespace {

template <class Value>
bool relates(const Value& a, Relation relation, const Value& b) {
  switch (relation) {
    case Relation::kEqual: return a == b;
    case Relation::kNotEqual: return a != b;
    case Relation::kLess: return a < b;
    case Relation::kGreater: return a > b;
  }
  return false;
}

// Numbers go on above those that a cell could ever use up by skipping names that are taken.
constexpr uint64_t kLastSequence = base::kMaxSequence - base::kMaxKeys - base::kMaxTxnOps;

}  // namespace

bool LockTable::State::holds(const Compare& compare) const {
  if (compare.target == Compare::Target::kHolds) {
    const bool is_held = claims.find_hold(compare.key, base::Token{compare.number}) != nullptr;
    return is_held == (compare.relation == Relation::kEqual) || HF_MUTANT(guard_holds_always);
  }
  const Key* key = keys.find(compare.key);
  switch (compare.target) {
    case Compare::Target::kValue:
      return key != nullptr && relates(key->value, compare.relation, compare.value);
    case Compare::Target::kVersion:
      return relates(key == nullptr ? 0 : key->version, compare.relation, compare.number);
    case Compare::Target::kRevision:
      return relates(key == nullptr ? 0 : key->revision.value, compare.relation, compare.number);
    case Compare::Target::kCreate:
      return relates(key == nullptr ? 0 : key->create.value, compare.relation, compare.number);
    case Compare::Target::kHolds: break;
  }
  return false;
}

// What a list of operations would come to.
struct LockTable::State::BranchSize {
  int64_t more_keys = 0;
  int64_t more_bytes = 0;
  size_t read_bytes = 0;
  std::vector<KeyChange> changes;

  void add(const TxnOp& op, const Key* key, const Lease* lease) {
    if (op.kind == TxnOp::Kind::kGet) {
      if (key != nullptr) read_bytes += op.key.size() + key->value.size();
      return;
    }
    KeyChange change{.name = op.key};
    if (key != nullptr) {
      change.bytes_before = bytes(*key->name, key->value);
      if (key->lease != nullptr) change.owner_before = key->lease->row.owner.get();
      --more_keys;
    }
    if (op.kind == TxnOp::Kind::kPut) {
      const auto digits = static_cast<int64_t>(op.sequential ? base::kSequenceDigits : 0);
      change.bytes_after = bytes(op.key, op.value) + digits;
      if (lease != nullptr) change.owner_after = lease->row.owner.get();
      ++more_keys;
    }
    more_bytes += change.bytes_after - change.bytes_before;
    changes.push_back(change);
  }

 private:
  static int64_t bytes(const std::string& name, const std::string& value) {
    return static_cast<int64_t>(name.size() + value.size());
  }
};

// What speaks against this list: a lease that is gone, or a limit.
std::optional<base::Error> LockTable::State::refuse_branch(const OpId& by,
                                                           const std::vector<TxnOp>& ops) {
  BranchSize size;
  for (const TxnOp& op : ops) {
    const Lease* lease = lease_for(by, op.lease);
    if (op.lease && lease == nullptr) return lease_not_found(op.lease);
    if (op.sequential && keys.last_number(op.key) >= kLastSequence) {
      return exhausted("sequenceNumbers", kLastSequence,
                       "all numbers for names that begin with \"" + op.key + "\" are used up");
    }
    size.add(op, op.sequential ? nullptr : keys.find(op.key), lease);
  }
  if (size.read_bytes > base::kMaxTxnAnswerBytes) {
    return exhausted("txnAnswerBytes", base::kMaxTxnAnswerBytes,
                     "a transaction reads keys and values of " + std::to_string(size.read_bytes) +
                         " bytes; read in pieces");
  }
  const auto exceeds = [](int64_t more, uint64_t present, uint64_t limit) {
    return more > 0 && present + static_cast<uint64_t>(more) > limit;
  };
  if (exceeds(size.more_keys, keys.keys().size(), limits.keys)) {
    return exhausted("keys", limits.keys, "the cell has no room for more keys");
  }
  if (exceeds(size.more_bytes, keys.bytes(), limits.key_bytes)) {
    return exhausted("keyBytes", limits.key_bytes,
                     "the cell has no room for more in its keys and values");
  }
  return policies.refuse_keys(size.changes);
}

std::optional<Answer> LockTable::State::execute(const OpId& op, const Txn& body, Applied&) {
  TxnDone done;
  done.succeeded = std::all_of(body.compare.begin(), body.compare.end(),
                               [this](const Compare& compare) { return holds(compare); });
  if (HF_MUTANT(first_guard_decides) && !body.compare.empty()) {
    done.succeeded = holds(body.compare.front());
  }
  const std::vector<TxnOp>& ops = done.succeeded ? body.then : body.orelse;
  if (auto error = refuse_branch(op, ops)) return std::move(*error);
  done.results.reserve(ops.size());
  for (const TxnOp& each : ops) done.results.push_back(carry_out(each));
  done.revision = meta.revision;
  return done;
}

OpResult LockTable::State::carry_out(const TxnOp& op) {
  using Kind = OpResult::Kind;
  if (op.kind == TxnOp::Kind::kPut) return {Kind::kStored, put_key(op)};
  const Key* key = keys.find(op.key);
  if (op.kind == TxnOp::Kind::kGet) {
    return key == nullptr ? OpResult{} : OpResult{Kind::kFound, key_row(*key)};
  }
  if (key == nullptr) return {Kind::kNotDeleted, {}};
  delete_key(*key, "deleted");
  return {Kind::kDeleted, {}};
}

base::KeyRow LockTable::State::put_key(const TxnOp& op) {
  const base::Revision revision = advance();
  const std::string name = op.sequential ? keys.next_name(op.key, revision) : op.key;
  meta.sequence_floor = keys.sequence_floor();
  Lease* lease = op.lease ? leases.find(op.lease) : nullptr;
  const Key& key = keys.put(name, op.value, lease, revision);
  log_key_event(EventType::kPut, key, revision, key.version == 1 ? "created" : "changed");
  base::KeyRow row = key_row(key);
  row.value.clear();
  if (!op.sequential) row.key.clear();
  return row;
}

void LockTable::State::delete_key(const Key& key, const char* cause) {
  log_key_event(EventType::kDelete, key, advance(), cause);
  keys.remove(key);
}

void LockTable::State::log_key_event(EventType type, const Key& key, base::Revision revision,
                                     const char* cause) {
  base::EventRow& event = events.add();
  event.revision = revision;
  event.type = type;
  event.name = *key.name;
  if (key.lease != nullptr) {
    event.lease = key.lease->row.id;
    event.owner = key.lease->row.owner;
  }
  event.cause = cause;
  event.at_wall_ms = meta.wall_ms;
  event.at_cell_ms = meta.cell_time_ms;
  if (type == EventType::kPut) event.value = key.value;
}

}  // namespace holdfast::locks
