// What can be said of a command without the state: whether it is acceptable, how large it is.
#include "lockcore/locks/command.h"

#include <algorithm>

#include "lockcore/base/limits.h"
#include "lockcore/locks/refusal.h"
#include "lockcore/locks/validate.h"

namespace holdfast::locks {
namespace {

using Refusal = std::optional<base::Error>;

Refusal out_of_range(const char* what, uint64_t value, uint64_t low, uint64_t high) {
  if (value >= low && value <= high) return std::nullopt;
  return invalid("the " + std::string(what) + " of " + std::to_string(value) +
                 " ms is out of range; " + std::to_string(low) + " to " + std::to_string(high) +
                 " ms are allowed");
}

// 0 asks for the default.
Refusal check_ttl(const char* what, uint64_t ttl_ms) {
  if (ttl_ms == 0) return std::nullopt;
  return out_of_range(what, ttl_ms, base::kMinLeaseTtlMs, base::kMaxLeaseTtlMs);
}

Refusal check_owner(const base::Owner& owner) {
  const std::pair<const char*, const std::string*> fields[] = {
      {"owner's host", &owner.host},       {"owner's boot id", &owner.boot_id},
      {"owner's program", &owner.program}, {"owner's user", &owner.user},
      {"owner's version", &owner.version}, {"owner's reason", &owner.reason}};
  for (const auto& [what, text] : fields) {
    if (auto error = validate_text(what, *text, base::kMaxOwnerFieldBytes)) return error;
  }
  return std::nullopt;
}

Refusal check(const RegisterClient& body) {
  return check_ttl("client's TTL", body.ttl_ms);
}

Refusal check(const ForgetClient&) {
  return std::nullopt;
}

Refusal check_secret(const std::string& secret) {
  if (secret.size() == base::kSecretBytes) return std::nullopt;
  return invalid("the lease's secret has " + std::to_string(secret.size()) +
                 " bytes; it must have " + std::to_string(base::kSecretBytes));
}

Refusal check(const OpenLease& body) {
  if (auto error = check_ttl("lease's TTL", body.ttl_ms)) return error;
  if (auto error = out_of_range("lock-delay", body.lock_delay_ms, 0, base::kMaxLockDelayMs)) {
    return error;
  }
  if (!body.secret.empty()) {
    if (auto error = check_secret(body.secret)) return error;
  }
  return check_owner(body.owner);
}

Refusal check_lease(base::LeaseId lease) {
  if (!lease) return invalid("a lease id is missing; open a lease first");
  return std::nullopt;
}

Refusal check(const AdoptLease& body) {
  if (auto error = check_lease(body.lease)) return error;
  if (auto error = check_secret(body.secret)) return error;
  return check_owner(body.owner);
}

Refusal check(const CloseLease& body) {
  return check_lease(body.lease);
}

Refusal check(const ExpireLeases& body) {
  if (body.leases.size() <= base::kMaxExpirationsPerCommand) return std::nullopt;
  return exhausted("expirationsPerCommand", base::kMaxExpirationsPerCommand,
                   "too many leases end in one command");
}

Refusal check(const LockRequest& request) {
  if (auto error = validate_name(request.name)) return error;
  const std::string what = std::string(base::kind_name(request.kind)) + " \"" + request.name + "\"";
  if (request.kind == base::LockKind::kSemaphore) {
    if (request.capacity == 0) return invalid(what + " has a capacity of 0; it must be at least 1");
    if (request.permits >= 1 && request.permits <= request.capacity) return std::nullopt;
    return invalid(std::to_string(request.permits) + " permits of " + what +
                   " are out of range; 1 to " + std::to_string(request.capacity) +
                   ", its capacity, are allowed");
  }
  if (request.capacity != 0 || request.permits != 1) {
    return invalid(what + " has no capacity and one permit; only semaphores have more");
  }
  if (request.kind == base::LockKind::kElection && request.mode != base::Mode::kExclusive) {
    return invalid(what + " has one leader: its mode is exclusive");
  }
  return std::nullopt;
}

// One request can't wait for itself, and one answer has one token for each name.
Refusal check_distinct(const std::vector<LockRequest>& locks) {
  std::vector<std::string_view> names;
  names.reserve(locks.size());
  for (const LockRequest& lock : locks) names.push_back(lock.name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice == names.end()) return std::nullopt;
  return invalid("an acquire names lock \"" + std::string(*twice) + "\" twice");
}

Refusal check_value(const std::string& value) {
  if (value.size() <= base::kMaxValueBytes) return std::nullopt;
  return exhausted("valueBytes", base::kMaxValueBytes,
                   "a value of " + std::to_string(value.size()) + " bytes is too long");
}

Refusal check(const Acquire& body) {
  if (auto error = check_lease(body.lease)) return error;
  if (body.locks.empty()) return invalid("an acquire must name a lock");
  if (body.agent == base::kNoAgent) return invalid("agent 2^64-1 means nobody: give another");
  if (body.locks.size() > base::kMaxLocksPerAcquire) {
    return invalid("an acquire names " + std::to_string(body.locks.size()) + " locks; at most " +
                   std::to_string(base::kMaxLocksPerAcquire) + " are allowed");
  }
  for (const LockRequest& lock : body.locks) {
    if (auto error = check(lock)) return error;
  }
  if (body.locks.size() > 1) {
    if (auto error = check_distinct(body.locks)) return error;
  }
  if (!body.value.empty() && body.locks.size() > 1) {
    return invalid("a value is for the holder of one lock; set it on each hold afterwards");
  }
  if (auto error = check_value(body.value)) return error;
  return validate_text("reason", body.reason, base::kMaxReasonBytes);
}

// Told apart in validate_body(), which knows the operation as well.
Refusal check(const CancelWait&) {
  return std::nullopt;
}

Refusal check_cancel(const OpId& op, const CancelWait& body) {
  // A client numbers its cancel after what it cancels. A cancel of itself, or of a number to come,
  // would settle numbers that the client is going to use.
  if (body.target != 0 && body.target < op.number) return std::nullopt;
  return invalid("operation " + std::to_string(op.number) + " can't cancel " +
                 std::to_string(body.target) + ": only an earlier number");
}

Refusal check_hold(base::LeaseId lease, base::Token token, const std::string& lock) {
  if (auto error = check_lease(lease)) return error;
  if (!token) return invalid("a token is missing; it came with the grant");
  return validate_name(lock);
}

Refusal check(const Release& body) {
  return check_hold(body.lease, body.token, body.lock);
}

Refusal check(const Convert& body) {
  return check_hold(body.lease, body.token, body.lock);
}

Refusal check(const SetHoldValue& body) {
  if (auto error = check_hold(body.lease, body.token, body.lock)) return error;
  return check_value(body.value);
}

Refusal check(const ForceRelease& body) {
  if (!body.token)
    return invalid("a token is missing: that of the hold to be ended, as it was seen");
  if (body.reason.empty()) return invalid("a reason is missing: it is recorded with the release");
  if (auto error = validate_text("reason", body.reason, base::kMaxReasonBytes)) return error;
  if (auto error = validate_text("name of who forces", body.by, base::kMaxReasonBytes))
    return error;
  return validate_name(body.lock);
}

Refusal check_key(const TxnOp& op) {
  if (op.kind == TxnOp::Kind::kPut && op.sequential) {
    return validate_name(op.key + std::string(base::kSequenceDigits, '0'));
  }
  return validate_name(op.key);
}

// Each key of a branch is named once: what happens to it doesn't depend on an order.
Refusal check_branch(const std::vector<TxnOp>& ops, size_t& bytes) {
  std::vector<std::string_view> keys;
  keys.reserve(ops.size());
  for (const TxnOp& op : ops) {
    if (auto error = check_key(op)) return error;
    if (auto error = check_value(op.value)) return error;
    if (!op.sequential) keys.push_back(op.key);
    bytes += op.key.size() + op.value.size();
  }
  std::sort(keys.begin(), keys.end());
  const auto twice = std::adjacent_find(keys.begin(), keys.end());
  if (twice == keys.end()) return std::nullopt;
  return invalid("a transaction names key \"" + std::string(*twice) + "\" twice in one branch");
}

Refusal check(const Compare& compare) {
  if (auto error = validate_name(compare.key)) return error;
  if (compare.target != Compare::Target::kHolds) return std::nullopt;
  if (compare.number == 0) return invalid("a token is missing: 0 holds no lock");
  if (compare.relation == Relation::kEqual || compare.relation == Relation::kNotEqual) {
    return std::nullopt;
  }
  return invalid("whether a token holds lock \"" + compare.key +
                 "\" can be compared by == and != alone");
}

Refusal check(const Txn& body) {
  const size_t count = body.compare.size() + body.then.size() + body.orelse.size();
  if (count == 0) return invalid("a transaction must compare or do something");
  if (count > base::kMaxTxnOps) {
    return exhausted("txnOperations", base::kMaxTxnOps,
                     "a transaction has " + std::to_string(count) + " compares and operations");
  }
  size_t bytes = 0;
  for (const Compare& compare : body.compare) {
    if (auto error = check(compare)) return error;
    if (auto error = check_value(compare.value)) return error;
    bytes += compare.key.size() + compare.value.size();
  }
  if (auto error = check_branch(body.then, bytes)) return error;
  if (auto error = check_branch(body.orelse, bytes)) return error;
  if (bytes <= base::kMaxTxnBytes) return std::nullopt;
  return exhausted("txnBytes", base::kMaxTxnBytes,
                   "a transaction's keys and values have " + std::to_string(bytes) + " bytes");
}

Refusal check_decided(const base::Ballot& decided) {
  if (decided) return std::nullopt;
  return invalid("a leader's decision must have a ballot");
}

Refusal check(const CheckpointLeases& body) {
  if (body.leases.size() > base::kMaxCheckpointsPerCommand) {
    return exhausted("checkpointsPerCommand", base::kMaxCheckpointsPerCommand,
                     "too many leases are checkpointed in one command");
  }
  return check_decided(body.decided);
}

Refusal check(const SetPolicy& body) {
  const bool is_prefix = body.key.kind != base::PolicyKind::kOwnerQuota;
  if (auto error = validate_text(is_prefix ? "prefix" : "owner's user", body.key.name,
                                 base::kMaxNameBytes)) {
    return error;
  }
  if (auto error = validate_text("name of who sets it", body.by, base::kMaxReasonBytes)) {
    return error;
  }
  if (auto error = validate_text("reason", body.reason, base::kMaxReasonBytes)) return error;
  if (body.end) return std::nullopt;
  if (body.reason.empty()) return invalid("a reason is missing: it is shown to those who wait");
  const bool limits = body.limits != base::QuotaLimits{};
  if (body.key.kind == base::PolicyKind::kDrain) {
    return limits ? Refusal(invalid("a drain has no limits; a quota has")) : std::nullopt;
  }
  if (!limits) return invalid("a quota limits something: leases, locks, waiters or bytes");
  if (!is_prefix || body.limits.leases == 0) return std::nullopt;
  return invalid("leases have no names: only an owner's quota can limit them");
}

Refusal check(const AdvanceTime& body) {
  return check_decided(body.decided);
}

Refusal check(const NewLeader& body) {
  if (body.ballot) return std::nullopt;
  return invalid("a new leader must have a ballot");
}

Refusal check(const Reconfigure& body) {
  const base::Config& config = body.config;
  if (config.version < base::ConfigVersion{2}) return invalid("a cell is founded with version 1");
  if (config.voters() == 0) return invalid("a cell must have a voter");
  if (config.voters() > base::kMaxCellVoters || config.members.size() > base::kMaxMembers ||
      config.removed.size() > base::kMaxRemovedMembers) {
    return invalid("a cell has at most " + std::to_string(base::kMaxCellVoters) + " voters, " +
                   std::to_string(base::kMaxMembers) + " members and " +
                   std::to_string(base::kMaxRemovedMembers) + " former members");
  }
  base::NodeId last;
  for (const base::Member& member : config.members) {
    if (member.id <= last) return invalid("members are listed by their ids, each once");
    last = member.id;
    if (config.has_removed(member.id)) return invalid("a former member's id is used again");
    if (member.voter && !member.incarnation) return invalid("a voter must have come before");
    if (member.address.empty()) return invalid("a member must have an address");
    if (auto error = validate_text("address", member.address, base::kMaxAddressBytes)) return error;
  }
  return validate_text("note", body.note, base::kMaxReasonBytes);
}

// Far above what a client can count to; arithmetic on numbers stays clear of the end.
constexpr uint64_t kMaxNumber = 1ull << 62;

bool is_cells_own(const Body& body) {
  return std::holds_alternative<ExpireLeases>(body) || std::holds_alternative<NewLeader>(body) ||
         std::holds_alternative<AdvanceTime>(body) ||
         std::holds_alternative<CheckpointLeases>(body) ||
         std::holds_alternative<Reconfigure>(body);
}

// Bounds on what the fixed parts of a message take, with some room for fields to come.
constexpr size_t kCommandOverhead = 200;
constexpr size_t kLockOverhead = 48;
constexpr size_t text_bytes(std::string_view text) {
  return text.size() + 8;
}

size_t body_bytes(const base::Owner& o) {
  return text_bytes(o.host) + text_bytes(o.boot_id) + text_bytes(o.program) + text_bytes(o.user) +
         text_bytes(o.reason) + text_bytes(o.version);
}
size_t body_bytes(const OpenLease& body) {
  return 160 + text_bytes(body.secret) + body_bytes(body.owner);
}
size_t body_bytes(const AdoptLease& body) {
  return 160 + text_bytes(body.secret) + body_bytes(body.owner);
}
size_t body_bytes(const ExpireLeases& body) {
  return body.leases.size() * 8;
}
size_t body_bytes(const Acquire& body) {
  size_t size = 80 + text_bytes(body.reason) + text_bytes(body.value);
  for (const LockRequest& lock : body.locks) size += kLockOverhead + text_bytes(lock.name);
  return size;
}
size_t body_bytes(const Release& body) {
  return text_bytes(body.lock);
}
size_t body_bytes(const Convert& body) {
  return 16 + text_bytes(body.lock);
}
size_t body_bytes(const SetHoldValue& body) {
  return 8 + text_bytes(body.lock) + text_bytes(body.value);
}
constexpr size_t kTxnOpOverhead = 48;

size_t body_bytes(const Txn& body) {
  size_t size = 64;
  for (const Compare& compare : body.compare) {
    size += kTxnOpOverhead + text_bytes(compare.key) + text_bytes(compare.value);
  }
  for (const auto* branch : {&body.then, &body.orelse}) {
    for (const TxnOp& op : *branch) {
      size += kTxnOpOverhead + text_bytes(op.key) + text_bytes(op.value);
    }
  }
  return size;
}
size_t body_bytes(const CheckpointLeases& body) {
  return 32 + body.leases.size() * 16;
}
size_t body_bytes(const SetPolicy& body) {
  return 96 + text_bytes(body.key.name) + text_bytes(body.reason) + text_bytes(body.by);
}
size_t body_bytes(const ForceRelease& body) {
  return 24 + text_bytes(body.lock) + text_bytes(body.reason) + text_bytes(body.by);
}
size_t body_bytes(const Reconfigure& body) {
  size_t size = 48 + text_bytes(body.note) + body.config.removed.size() * 8;
  for (const base::Member& member : body.config.members) size += 40 + text_bytes(member.address);
  return size;
}
template <class Small>
size_t body_bytes(const Small&) {
  return 0;
}

}  // namespace

std::optional<base::Error> validate_op(const Command& command) {
  const OpId& op = command.op;
  if (is_cells_own(command.body)) {
    if (!op.client) return std::nullopt;
    return base::Error{
        base::ErrorCode::kPermissionDenied, "only the cell itself may send this command", {}};
  }
  if (std::holds_alternative<RegisterClient>(command.body)) {
    if (!op.client) return std::nullopt;
    return invalid("a client that has an id can't register under it");
  }
  if (!op.client) return invalid("a client id is missing; register first");
  if (op.number == 0) return invalid("an operation's number is missing; they count from 1");
  if (op.lowest_unanswered > op.number) {
    return invalid("operation " + std::to_string(op.number) + " says that " +
                   std::to_string(op.lowest_unanswered) +
                   " is the lowest unanswered; it can't be above the operation itself");
  }
  if (op.number > kMaxNumber) return invalid("an operation's number is absurdly large");
  if (op.answered.size() > base::kMaxAckRangesPerClient) {
    return exhausted("ackRangesPerClient", base::kMaxAckRangesPerClient,
                     "too many answered numbers come with one operation");
  }
  for (uint64_t number : op.answered) {
    if (number == op.number || number > kMaxNumber) {
      return invalid("operation " + std::to_string(op.number) + " says that " +
                     std::to_string(number) + " was answered, which can't be");
    }
  }
  return std::nullopt;
}

std::optional<base::Error> validate_body(const Command& command) {
  if (const auto* cancel = std::get_if<CancelWait>(&command.body)) {
    return check_cancel(command.op, *cancel);
  }
  return std::visit([](const auto& body) { return check(body); }, command.body);
}

std::optional<base::Error> validate(const Command& command) {
  if (auto error = validate_op(command)) return error;
  return validate_body(command);
}

const Reconfigure* as_reconfigure(const Batch& batch) {
  if (batch.commands.size() != 1) return nullptr;
  return std::get_if<Reconfigure>(&batch.commands.front().body);
}

bool has_reconfigure(const Batch& batch) {
  return std::ranges::any_of(batch.commands, [](const Command& command) {
    return std::holds_alternative<Reconfigure>(command.body);
  });
}

size_t command_bytes(const Command& command) {
  return kCommandOverhead + command.op.answered.size() * 8 +
         std::visit([](const auto& body) { return body_bytes(body); }, command.body);
}

size_t answer_bytes(const Answer& answer) {
  const auto* done = std::get_if<TxnDone>(&answer);
  if (done == nullptr) return 0;
  size_t size = 0;
  for (const OpResult& result : done->results) {
    size += sizeof(OpResult) + result.row.key.size() + result.row.value.size();
  }
  return size;
}

}  // namespace holdfast::locks
