#include "bindings/cli/json.h"

#include <capnp/compat/json.h>
#include <capnp/message.h>

#include <algorithm>
#include <limits>

#include "bindings/cli/bench_result.h"
#include "bindings/cli/output.capnp.h"

namespace holdfast::cli {
namespace {

// Counts and pids are JSON numbers, hence 32 bits wide in the schema; what is larger saturates.
uint32_t number(uint64_t value) {
  return static_cast<uint32_t>(std::min<uint64_t>(value, std::numeric_limits<uint32_t>::max()));
}

kj::StringPtr text(const std::string& value) {
  return {value.c_str(), value.size()};
}

template <class Struct, class Fill>
std::string encode(Fill fill) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<Struct>();
  fill(root);
  capnp::JsonCodec codec;
  const kj::String out = codec.encode(root.asReader());
  return {out.begin(), out.size()};
}

void fill_owner(json::Owner::Builder out, const Owner& owner) {
  out.setHost(text(owner.host));
  out.setPid(number(owner.pid));
  out.setBootId(text(owner.boot_id));
  out.setProgram(text(owner.program));
  out.setUser(text(owner.user));
  out.setReason(text(owner.reason));
  out.setVersion(text(owner.version));
  out.setStartedAt(static_cast<uint64_t>(owner.started_at_ms));
}

void fill_holder(json::Holder::Builder out, const Holder& holder) {
  out.setLease(text(holder.lease));
  out.setHolder(holder.holder);
  out.setMode(text(holder.mode));
  out.setPermits(holder.permits);
  out.setToken(holder.token);
  out.setAcquiredAt(static_cast<uint64_t>(holder.acquired_at_ms));
  fill_owner(out.initOwner(), holder.owner);
}

void fill_waiter(json::Waiter::Builder out, const Waiter& waiter) {
  out.setLease(text(waiter.lease));
  out.setHolder(waiter.holder);
  out.setMode(text(waiter.mode));
  out.setPermits(waiter.permits);
  out.setPosition(number(waiter.position));
  out.setWaitingSince(static_cast<uint64_t>(waiter.waiting_since_ms));
  fill_owner(out.initOwner(), waiter.owner);
}

void fill_node(json::CellStatus::Node::Builder out, const NodeStatus& node) {
  out.setId(number(node.id));
  out.setName(text(node.name));
  out.setAddress(text(node.address));
  out.setRole(text(node.role));
  out.setPid(number(node.pid));
  out.setVersion(text(node.version));
  out.setBallot(text(node.ballot));
  out.setChosen(node.chosen);
  out.setApplied(node.applied);
  out.setRecorded(node.recorded);
  out.setLag(number(node.lag));
  out.setWaitingFor(text(node.waiting_for));
  out.setLeases(number(node.leases));
  out.setLocks(number(node.locks));
  out.setHolds(number(node.holds));
  out.setWaiters(number(node.waiters));
  out.setLogBytes(static_cast<double>(node.log_bytes));
  out.setStateBytes(static_cast<double>(node.state_bytes));
}

unsigned index(size_t i) {
  return static_cast<unsigned>(i);
}

}  // namespace

std::string to_json(const Acquired& acquired) {
  return encode<json::Acquired>([&](json::Acquired::Builder out) {
    out.setLock(text(acquired.lock));
    out.setLease(text(acquired.lease));
    out.setToken(acquired.token);
    out.setDeadline(static_cast<uint64_t>(acquired.deadline_ms));
  });
}

std::string to_json(const OpenedLease& lease) {
  return encode<json::OpenedLease>([&](json::OpenedLease::Builder out) {
    out.setLease(text(lease.id));
    out.setSecret(text(lease.secret));
    out.setTtlMs(number(static_cast<uint64_t>(lease.ttl.count())));
  });
}

std::string to_json(const LockInfo& lock) {
  return encode<json::LockInfo>([&](json::LockInfo::Builder out) {
    out.setName(text(lock.name));
    out.setKind(text(lock.kind));
    out.setMode(text(lock.mode));
    out.setCapacity(lock.capacity);
    auto holders = out.initHolders(index(lock.holders.size()));
    for (size_t i = 0; i < lock.holders.size(); ++i)
      fill_holder(holders[index(i)], lock.holders[i]);
    auto waiters = out.initWaiters(index(lock.waiters.size()));
    for (size_t i = 0; i < lock.waiters.size(); ++i)
      fill_waiter(waiters[index(i)], lock.waiters[i]);
    out.setDelayRemaining(number(static_cast<uint64_t>(lock.delay_remaining.count())));
    out.setRevision(lock.revision);
    out.setDrain(text(lock.drain));
  });
}

std::string to_json(const LeaseInfo& lease) {
  return encode<json::LeaseInfo>([&](json::LeaseInfo::Builder out) {
    out.setLease(text(lease.lease));
    out.setTtlMs(number(static_cast<uint64_t>(lease.ttl.count())));
    out.setRemainingMs(
        number(static_cast<uint64_t>(std::max<int64_t>(lease.remaining.count(), 0))));
    out.setOpenedAt(static_cast<uint64_t>(lease.opened_at_ms));
    fill_owner(out.initOwner(), lease.owner);
    auto holds = out.initHolds(index(lease.holds.size()));
    for (size_t i = 0; i < lease.holds.size(); ++i) {
      holds[index(i)].setLock(text(lease.holds[i].first));
      holds[index(i)].setToken(lease.holds[i].second);
    }
    out.setWaits(number(lease.waits));
  });
}

std::string to_json(const CellStatus& status) {
  return encode<json::CellStatus>([&](json::CellStatus::Builder out) {
    out.setCell(text(status.cell));
    out.setLeader(number(leader_of(status)));
    out.setRevision(status.revision);
    auto nodes = out.initNodes(index(status.nodes.size()));
    for (size_t i = 0; i < status.nodes.size(); ++i) fill_node(nodes[index(i)], status.nodes[i]);
  });
}

std::string to_json(const BenchResult& result) {
  return encode<json::BenchResult>([&](json::BenchResult::Builder out) {
    out.setWorkload(text(result.workload));
    out.setClients(number(result.clients));
    out.setConnections(number(result.connections));
    out.setSeconds(result.seconds);
    out.setOperations(static_cast<double>(result.operations));
    out.setOpsPerSecond(result.ops_per_second);
    out.setP50Us(result.p50_us);
    out.setP90Us(result.p90_us);
    out.setP99Us(result.p99_us);
    out.setP999Us(result.p999_us);
    out.setMaxUs(result.max_us);
    out.setErrors(static_cast<double>(result.errors));
  });
}

std::string renewed_to_json(const std::string& lease, int64_t deadline_ms) {
  return encode<json::RenewedLease>([&](json::RenewedLease::Builder out) {
    out.setLease(text(lease));
    out.setDeadline(static_cast<uint64_t>(deadline_ms));
  });
}

std::string answer_to_json(const std::string& lock, LockQuestion question, bool answer) {
  return encode<json::LockAnswer>([&](json::LockAnswer::Builder out) {
    out.setLock(text(lock));
    switch (question) {
      case LockQuestion::free: return out.setFree(answer);
      case LockQuestion::held: return out.setHeld(answer);
      case LockQuestion::valid: return out.setValid(answer);
    }
  });
}

std::string error_to_json(const std::string& code, const std::string& message,
                          const std::vector<std::pair<std::string, std::string>>& detail) {
  // The fields behind code and message depend on the error, so this one has no schema.
  capnp::MallocMessageBuilder memory;
  auto root = memory.initRoot<capnp::JsonValue>().initObject(1);
  root[0].setName("error");
  auto fields = root[0].initValue().initObject(index(detail.size() + 2));
  fields[0].setName("code");
  fields[0].initValue().setString(text(code));
  fields[1].setName("message");
  fields[1].initValue().setString(text(message));
  for (size_t i = 0; i < detail.size(); ++i) {
    fields[index(i + 2)].setName(text(detail[i].first));
    fields[index(i + 2)].initValue().setString(text(detail[i].second));
  }
  capnp::JsonCodec codec;
  const kj::String out = codec.encodeRaw(memory.getRoot<capnp::JsonValue>().asReader());
  return {out.begin(), out.size()};
}

uint64_t leader_of(const CellStatus& status) {
  for (const NodeStatus& node : status.nodes) {
    if (node.role == "leader") return node.id;
  }
  return 0;
}

}  // namespace holdfast::cli
