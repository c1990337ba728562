#include "rpc/key_convert.h"

#include <optional>
#include <string>

#include "lockcore/base/limits.h"
#include "rpc/wire_text.h"

namespace holdfast::rpc {

using namespace detail;

namespace {

// nullopt: of a kind that this version doesn't know.
std::optional<locks::Compare> read_compare(wire::Compare::Reader from) {
  using Target = locks::Compare::Target;
  if (from.getRelation() > wire::Relation::GREATER) return std::nullopt;
  locks::Compare compare;
  compare.key = text(from.getKey());
  compare.relation = static_cast<locks::Relation>(from.getRelation());
  const auto of = [&compare](Target target, uint64_t number) {
    compare.target = target;
    compare.number = number;
    return compare;
  };
  switch (from.which()) {
    case wire::Compare::VALUE: compare.value = bytes(from.getValue()); return of(Target::kValue, 0);
    case wire::Compare::VERSION: return of(Target::kVersion, from.getVersion());
    case wire::Compare::REVISION: return of(Target::kRevision, from.getRevision());
    case wire::Compare::CREATE: return of(Target::kCreate, from.getCreate());
    case wire::Compare::HOLDS: return of(Target::kHolds, from.getHolds());
  }
  return std::nullopt;
}

std::optional<locks::TxnOp> read_txn_op(wire::TxnOp::Reader from) {
  locks::TxnOp op;
  op.key = text(from.getKey());
  switch (from.which()) {
    case wire::TxnOp::GET: op.kind = locks::TxnOp::Kind::kGet; return op;
    case wire::TxnOp::DELETE: op.kind = locks::TxnOp::Kind::kDelete; return op;
    case wire::TxnOp::PUT: {
      auto put = from.getPut();
      op.kind = locks::TxnOp::Kind::kPut;
      op.value = bytes(put.getValue());
      op.lease = {put.getLease()};
      op.sequential = put.getSequential();
      return op;
    }
  }
  return std::nullopt;
}

// False: one is of a kind that this version doesn't know.
bool read_branch(capnp::List<wire::TxnOp>::Reader from, std::vector<locks::TxnOp>& to) {
  to.reserve(from.size());
  for (auto it : from) {
    auto op = read_txn_op(it);
    if (!op) return false;
    to.push_back(std::move(*op));
  }
  return true;
}

base::QuotaLimits read_limits(wire::Limits::Reader from) {
  return {from.getLeases(), from.getLocks(), from.getWaiters(), from.getBytes()};
}
void fill_limits(const base::QuotaLimits& limits, wire::Limits::Builder to) {
  to.setLeases(limits.leases);
  to.setLocks(limits.locks);
  to.setWaiters(limits.waiters);
  to.setBytes(limits.bytes);
}

void fill_compare(const locks::Compare& compare, wire::Compare::Builder to) {
  using Target = locks::Compare::Target;
  to.setKey(text(compare.key));
  to.setRelation(static_cast<wire::Relation>(compare.relation));
  switch (compare.target) {
    case Target::kValue: return to.setValue(bytes(compare.value));
    case Target::kVersion: return to.setVersion(compare.number);
    case Target::kRevision: return to.setRevision(compare.number);
    case Target::kCreate: return to.setCreate(compare.number);
    case Target::kHolds: return to.setHolds(compare.number);
  }
}

void fill_branch(const std::vector<locks::TxnOp>& ops, capnp::List<wire::TxnOp>::Builder to) {
  for (unsigned i = 0; i < to.size(); ++i) {
    to[i].setKey(text(ops[i].key));
    switch (ops[i].kind) {
      case locks::TxnOp::Kind::kGet: to[i].setGet(); break;
      case locks::TxnOp::Kind::kDelete: to[i].setDelete(); break;
      case locks::TxnOp::Kind::kPut: {
        auto put = to[i].initPut();
        put.setValue(bytes(ops[i].value));
        put.setLease(ops[i].lease.value);
        put.setSequential(ops[i].sequential);
      }
    }
  }
}

}  // namespace

Read<locks::Txn> read_txn(wire::Txn::Reader from) {
  return guarded<locks::Txn>("transaction", [&]() -> Read<locks::Txn> {
    const size_t count =
        size_t{from.getCompare().size()} + from.getThen().size() + from.getOrelse().size();
    if (count > base::kMaxTxnOps) {
      return too_many("compares and operations", count, "txnOperations", base::kMaxTxnOps);
    }
    locks::Txn txn;
    for (auto it : from.getCompare()) {
      auto compare = read_compare(it);
      if (!compare) return not_known("compare");
      txn.compare.push_back(std::move(*compare));
    }
    if (!read_branch(from.getThen(), txn.then) || !read_branch(from.getOrelse(), txn.orelse)) {
      return not_known("operation");
    }
    return txn;
  });
}

Read<locks::SetPolicy> read_set_policy(wire::SetPolicy::Reader from) {
  return guarded<locks::SetPolicy>("policy", [&]() -> Read<locks::SetPolicy> {
    if (from.getKind() > wire::PolicyKind::OWNER_QUOTA) return not_known("kind of policy");
    return locks::SetPolicy{{static_cast<base::PolicyKind>(from.getKind()), text(from.getName())},
                            from.getEnd(),
                            read_limits(from.getLimits()),
                            text(from.getReason()),
                            text(from.getBy())};
  });
}

base::KeyRow read_key(wire::KeyValue::Reader from) {
  return {text(from.getKey()),  bytes(from.getValue()), {from.getCreateRevision()},
          {from.getRevision()}, from.getVersion(),      {from.getLease()}};
}

locks::TxnDone read_txn_done(wire::Answer::TxnDone::Reader from) {
  using Kind = locks::OpResult::Kind;
  locks::TxnDone done{from.getSucceeded(), {from.getRevision()}, {}};
  for (auto it : from.getResults()) {
    if (done.results.size() == base::kMaxTxnOps) break;
    switch (it.which()) {
      case wire::OpResult::NONE: done.results.push_back({}); break;
      case wire::OpResult::FOUND:
        done.results.push_back({Kind::kFound, read_key(it.getFound())});
        break;
      case wire::OpResult::STORED:
        done.results.push_back({Kind::kStored, read_key(it.getStored())});
        break;
      case wire::OpResult::DELETED:
        done.results.push_back({it.getDeleted() ? Kind::kDeleted : Kind::kNotDeleted, {}});
        break;
    }
  }
  return done;
}

locks::PolicyInfo read_policy(wire::PolicyInfo::Reader from) {
  return {{{static_cast<base::PolicyKind>(from.getKind()), text(from.getName())},
           read_limits(from.getLimits()),
           text(from.getReason()),
           text(from.getBy()),
           from.getSinceMs()},
          read_limits(from.getUsed())};
}

void fill_txn(const locks::Txn& txn, wire::Txn::Builder to) {
  auto compare = to.initCompare(static_cast<unsigned>(txn.compare.size()));
  for (unsigned i = 0; i < compare.size(); ++i) fill_compare(txn.compare[i], compare[i]);
  fill_branch(txn.then, to.initThen(static_cast<unsigned>(txn.then.size())));
  fill_branch(txn.orelse, to.initOrelse(static_cast<unsigned>(txn.orelse.size())));
}

void fill_set_policy(const locks::SetPolicy& set, wire::SetPolicy::Builder to) {
  to.setKind(static_cast<wire::PolicyKind>(set.key.kind));
  to.setName(text(set.key.name));
  to.setEnd(set.end);
  fill_limits(set.limits, to.initLimits());
  to.setReason(text(set.reason));
  to.setBy(text(set.by));
}

void fill_key(const base::KeyRow& key, wire::KeyValue::Builder to) {
  to.setKey(text(key.key));
  to.setValue(bytes(key.value));
  to.setCreateRevision(key.create.value);
  to.setRevision(key.revision.value);
  to.setVersion(key.version);
  to.setLease(key.lease.value);
}

void fill_txn_done(const locks::TxnDone& done, wire::Answer::TxnDone::Builder to) {
  using Kind = locks::OpResult::Kind;
  to.setSucceeded(done.succeeded);
  to.setRevision(done.revision.value);
  auto results = to.initResults(static_cast<unsigned>(done.results.size()));
  for (unsigned i = 0; i < results.size(); ++i) {
    const locks::OpResult& result = done.results[i];
    switch (result.kind) {
      case Kind::kNone: results[i].setNone(); break;
      case Kind::kFound: fill_key(result.row, results[i].initFound()); break;
      case Kind::kStored: fill_key(result.row, results[i].initStored()); break;
      case Kind::kDeleted: results[i].setDeleted(true); break;
      case Kind::kNotDeleted: results[i].setDeleted(false); break;
    }
  }
}

void fill_policy(const locks::PolicyInfo& policy, wire::PolicyInfo::Builder to) {
  to.setKind(static_cast<wire::PolicyKind>(policy.row.key.kind));
  to.setName(text(policy.row.key.name));
  fill_limits(policy.row.limits, to.initLimits());
  fill_limits(policy.used, to.initUsed());
  to.setReason(text(policy.row.reason));
  to.setBy(text(policy.row.by));
  to.setSinceMs(policy.row.since_wall_ms);
}

size_t wire_bytes(const base::KeyRow& key) {
  return 80 + key.key.size() + key.value.size();
}

}  // namespace holdfast::rpc
