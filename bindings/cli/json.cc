#include "bindings/cli/json.h"

#include <capnp/compat/json.h>
#include <capnp/message.h>
#include <kj/encoding.h>

#include <algorithm>
#include <cstdio>
#include <limits>

#include "bindings/cli/bench_result.h"
#include "bindings/cli/output.capnp.h"
#include "bindings/cli/top_view.h"
#include "bindings/cli/torture_result.h"
#include "lockcore/locks/validate.h"
#include "lockcore/store/new_cell.h"

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

void fill_clock(json::Clock::Builder out, const NodeStatus& node) {
  out.setKnown(node.clock_ppm.has_value());
  out.setPpm(static_cast<int32_t>(node.clock_ppm.value_or(0)));
  out.setErrorPpm(static_cast<uint32_t>(node.clock_error_ppm));
  out.setTrouble(text(node.clock_trouble));
  out.setStandsBack(node.clock_stands_back);
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
  out.setDamaged(static_cast<double>(node.damaged));
  out.setMendsThrough(node.mends_through);
  fill_clock(out.initClock(), node);
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

namespace {

void fill_status(json::CellStatus::Builder out, const CellStatus& status) {
  out.setCell(text(status.cell));
  out.setLeader(number(leader_of(status)));
  out.setRevision(status.revision);
  auto nodes = out.initNodes(index(status.nodes.size()));
  for (size_t i = 0; i < status.nodes.size(); ++i) fill_node(nodes[index(i)], status.nodes[i]);
}

}  // namespace

std::string to_json(const CellStatus& status) {
  return encode<json::CellStatus>([&](json::CellStatus::Builder out) { fill_status(out, status); });
}

std::string to_json(const TopView& view) {
  return encode<json::TopView>([&](json::TopView::Builder out) {
    fill_status(out.initStatus(), view.status);
    auto contended = out.initContended(index(view.contended.size()));
    for (size_t i = 0; i < view.contended.size(); ++i) {
      contended[index(i)].setLock(text(view.contended[i].lock));
      contended[index(i)].setWaiters(number(view.contended[i].waiters));
      contended[index(i)].setOldestSince(static_cast<uint64_t>(view.contended[i].oldest_since_ms));
    }
    auto waits = out.initWaits(index(view.waits.size()));
    for (size_t i = 0; i < view.waits.size(); ++i) {
      auto to = waits[index(i)];
      to.setLock(text(view.waits[i].lock));
      to.setLease(text(view.waits[i].lease));
      to.setWhere(text(view.waits[i].where));
      to.setUser(text(view.waits[i].user));
      to.setProgram(text(view.waits[i].program));
      to.setSince(static_cast<uint64_t>(view.waits[i].since_ms));
    }
    auto owners = out.initOwners(index(view.owners.size()));
    for (size_t i = 0; i < view.owners.size(); ++i) {
      owners[index(i)].setWhere(text(view.owners[i].where));
      owners[index(i)].setUser(text(view.owners[i].user));
      owners[index(i)].setProgram(text(view.owners[i].program));
      owners[index(i)].setHolds(number(view.owners[i].holds));
    }
  });
}

std::string members_to_json(const CellStatus& status) {
  return encode<json::Members>([&](json::Members::Builder out) {
    out.setCell(text(status.cell));
    out.setLeader(number(leader_of(status)));
    out.setConfigVersion(number(status.config_version));
    auto members = out.initMembers(index(status.nodes.size()));
    for (size_t i = 0; i < status.nodes.size(); ++i) {
      const NodeStatus& node = status.nodes[i];
      auto to = members[index(i)];
      to.setId(number(node.id));
      to.setName(text(node.name));
      to.setAddress(text(node.address));
      to.setRole(text(node.role));
      to.setVoter(node.voter);
      to.setPid(number(node.pid));
      to.setVersion(text(node.version));
      to.setBallot(text(node.ballot));
      to.setChosen(node.chosen);
      to.setApplied(node.applied);
      to.setRecorded(node.recorded);
      to.setLag(number(node.lag));
      to.setLogBytes(static_cast<double>(node.log_bytes));
      to.setStateBytes(static_cast<double>(node.state_bytes));
      fill_clock(to.initClock(), node);
    }
  });
}

std::string to_json(const Membership& membership) {
  return encode<json::Membership>([&](json::Membership::Builder out) {
    out.setConfigVersion(number(membership.version));
    auto members = out.initMembers(index(membership.members.size()));
    for (size_t i = 0; i < membership.members.size(); ++i) {
      const Member& member = membership.members[i];
      members[index(i)].setId(number(member.id));
      members[index(i)].setAddress(text(member.address));
      members[index(i)].setVoter(member.voter);
    }
  });
}

std::string leader_to_json(uint64_t leader, const std::string& address) {
  return encode<json::Leader>([&](json::Leader::Builder out) {
    out.setLeader(number(leader));
    out.setAddress(text(address));
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

std::string hex_digits(uint64_t number) {
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(number));
  return digits;
}

std::string to_json(const CheckResult& result) {
  return encode<json::Check>([&](json::Check::Builder out) {
    out.setSlot(result.slot);
    out.setAgrees(result.agrees);
    out.setComplete(result.complete);
    out.setDeep(result.deep);
    auto nodes = out.initNodes(index(result.nodes.size()));
    for (size_t i = 0; i < result.nodes.size(); ++i) {
      const CheckResult::Node& node = result.nodes[i];
      auto to = nodes[index(i)];
      to.setId(number(node.id));
      to.setName(text(node.name));
      to.setVerdict(text(node.verdict));
      if (node.digest != 0) to.setDigest(text(hex_digits(node.digest)));
      if (!node.damage.empty()) to.setDamage(text(node.damage));
    }
  });
}

std::string backup_to_json(const std::string& file, const store::BackupInfo& info) {
  return encode<json::Backup>([&](json::Backup::Builder out) {
    out.setFile(text(file));
    out.setSlot(info.meta.applied.value);
    out.setRevision(info.meta.revision.value);
    out.setAt(info.meta.wall_ms);
    out.setLeases(number(info.leases));
    out.setLocks(number(info.locks));
    out.setHolds(number(info.holds));
    out.setWaiters(number(info.waiters));
    out.setClients(number(info.clients));
    out.setEvents(number(info.events));
    out.setBytes(static_cast<double>(info.bytes));
  });
}

std::string restored_to_json(uint64_t node, const std::string& dir, const store::NewCell& cell) {
  return encode<json::Restored>([&](json::Restored::Builder out) {
    out.setId(number(node));
    out.setDataDir(text(dir));
    out.setCell(text(hex_digits(cell.config.cell.value)));
    out.setRevision(cell.revision.value);
  });
}

std::string to_json(const TortureResult& result) {
  return encode<json::TortureResult>([&](json::TortureResult::Builder out) {
    out.setClients(number(result.clients));
    out.setSeconds(result.seconds);
    out.setGrants(static_cast<double>(result.grants));
    out.setNotAcquired(static_cast<double>(result.not_acquired));
    out.setUnavailable(static_cast<double>(result.unavailable));
    out.setLeasesLost(static_cast<double>(result.leases_lost));
    out.setFenced(static_cast<double>(result.fenced));
    out.setViolations(static_cast<double>(result.violations));
    out.setPassed(result.violations == 0);
  });
}

namespace {

// Never base64 where text is text (INTERFACES 3).
template <class Builder>
void set_value(Builder& out, const std::string& value) {
  if (locks::is_utf8(value)) return out.setValue(text(value));
  const auto* bytes = reinterpret_cast<const kj::byte*>(value.data());
  out.setValueBase64(kj::encodeBase64(kj::arrayPtr(bytes, value.size())));
}

void fill_blockers(capnp::List<json::Blocker>::Builder out, const std::vector<Blocker>& blockers) {
  for (size_t i = 0; i < blockers.size(); ++i) {
    const Blocker& from = blockers[i];
    auto to = out[index(i)];
    to.setLock(text(from.lock));
    to.setKind(text(from.kind));
    to.setLease(text(from.lease));
    to.setHolder(from.holder);
    to.setMode(text(from.mode));
    to.setPermits(from.permits);
    to.setToken(from.token);
    to.setPosition(number(from.position));
    to.setAgeMs(static_cast<double>(from.age.count()));
    to.setRemainingMs(static_cast<double>(from.remaining.count()));
    fill_owner(to.initOwner(), from.owner);
    to.setSeen(from.seen);
    fill_blockers(to.initBlockers(index(from.blockers.size())), from.blockers);
  }
}

}  // namespace

std::string to_json(const Event& event) {
  return encode<json::Event>([&](json::Event::Builder out) {
    out.setRevision(event.revision);
    out.setType(text(event.type));
    out.setName(text(event.name));
    set_value(out, event.value);
    out.setToken(event.token);
    out.setLease(text(event.lease));
    fill_owner(out.initOwner(), event.owner);
    out.setCause(text(event.cause));
    out.setAt(static_cast<uint64_t>(event.at_ms));
    out.setMode(text(event.mode));
    out.setPermits(event.permits);
    out.setWaitedMs(number(static_cast<uint64_t>(event.waited.count())));
    out.setHeldMs(static_cast<double>(event.held.count()));
    out.setNote(text(event.note));
  });
}

std::string to_json(const Why& why) {
  return encode<json::Why>([&](json::Why::Builder out) {
    out.setName(text(why.name));
    out.setText(text(why.text));
    fill_blockers(out.initBlockers(index(why.blockers.size())), why.blockers);
    out.setTruncated(why.truncated);
  });
}

std::string to_json(const std::string& election, const std::optional<Leader>& leader) {
  if (!leader) {
    return encode<json::Vacancy>([&](json::Vacancy::Builder out) { out.setName(text(election)); });
  }
  return encode<json::Leadership>([&](json::Leadership::Builder out) {
    out.setName(text(election));
    auto to = out.initLeader();
    set_value(to, leader->value);
    to.setToken(leader->token);
    fill_owner(to.initOwner(), leader->owner);
  });
}

std::string to_json(const std::vector<std::string>& columns, const std::vector<SqlValue>& row) {
  capnp::MallocMessageBuilder memory;
  auto fields = memory.initRoot<capnp::JsonValue>().initObject(index(row.size()));
  for (size_t i = 0; i < row.size(); ++i) {
    fields[index(i)].setName(text(columns[i]));
    auto value = fields[index(i)].initValue();
    if (const auto* integer = std::get_if<int64_t>(&row[i])) {
      value.setString(std::to_string(*integer));
    } else if (const auto* real = std::get_if<double>(&row[i])) {
      value.setNumber(*real);
    } else if (const auto* string = std::get_if<std::string>(&row[i])) {
      value.setString(text(*string));
    } else if (const auto* blob = std::get_if<std::vector<unsigned char>>(&row[i])) {
      const std::string bytes(blob->begin(), blob->end());
      if (locks::is_utf8(bytes)) {
        value.setString(text(bytes));
      } else {
        value.setString(kj::encodeBase64(kj::arrayPtr(blob->data(), blob->size())));
      }
    }
  }
  capnp::JsonCodec codec;
  const kj::String out = codec.encodeRaw(memory.getRoot<capnp::JsonValue>().asReader());
  return {out.begin(), out.size()};
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
