// Conversions of results. Texts and lists were bounded by the connection's limit on messages.
#include "bindings/cpp/src/infos.h"

#include "lockcore/base/lease_text.h"
#include "rpc/convert.h"
#include "rpc/key_convert.h"
#include "rpc/peer_convert.h"

namespace holdfast::client {

namespace {

std::string text(capnp::Text::Reader from) {
  return {from.begin(), from.end()};
}

Owner owner_of(const std::shared_ptr<const base::Owner>& from, const std::string& own_reason) {
  Owner to;
  if (from != nullptr) to = public_owner(*from);
  if (!own_reason.empty()) to.reason = own_reason;
  return to;
}

LockInfo lock_of(wire::LockInfo::Reader reader) {
  const locks::LockInfo from = rpc::read_lock(reader);
  LockInfo to;
  to.delay_remaining = milliseconds(reader.getDelayRemainingMs());
  to.name = from.name;
  to.kind = base::kind_name(from.kind);
  if (!from.holders.empty()) to.mode = base::mode_name(from.mode);
  to.capacity = from.capacity;
  to.revision = from.revision.value;
  to.drain = text(reader.getDrain());
  if (!from.holders.empty()) to.value = from.holders.front().value;
  for (const locks::HolderInfo& holder : from.holders) {
    to.holders.push_back({base::lease_text(holder.lease), holder.holder.value,
                          base::mode_name(holder.mode), holder.permits, holder.token.value,
                          static_cast<int64_t>(holder.acquired_wall_ms),
                          owner_of(holder.owner, holder.reason)});
  }
  for (const locks::WaiterInfo& waiter : from.waiters) {
    to.waiters.push_back({base::lease_text(waiter.lease), waiter.holder.value,
                          base::mode_name(waiter.mode), waiter.permits, waiter.position,
                          static_cast<int64_t>(waiter.since_wall_ms),
                          owner_of(waiter.owner, waiter.reason), waiter.converts.value});
  }
  return to;
}

LeaseInfo lease_of(wire::LeaseInfo::Reader reader) {
  locks::LeaseInfo from = rpc::read_lease(reader);
  LeaseInfo to;
  to.lease = base::lease_text(from.lease);
  to.ttl = milliseconds(from.ttl_ms);
  to.remaining = milliseconds(reader.getRemainingMs());
  to.opened_at_ms = static_cast<int64_t>(from.opened_wall_ms);
  to.owner = owner_of(from.owner, {});
  for (const auto& [lock, token] : from.holds) to.holds.emplace_back(lock, token.value);
  to.waits = from.waits;
  return to;
}

KeyValue pair_of(wire::KeyValue::Reader reader) {
  base::KeyRow row = rpc::read_key(reader);
  return {std::move(row.key), std::move(row.value),
          row.create.value,   row.revision.value,
          row.version,        row.lease ? base::lease_text(row.lease) : std::string()};
}

QuotaLimits limits_of(const base::QuotaLimits& from) {
  return {from.leases, from.locks, from.waiters, from.bytes};
}

}  // namespace

Response key_found(wire::Cell::GetResults::Reader from) {
  if (from.hasError()) return rpc::read_error(from.getError());
  KeyFound to;
  if (from.getFound()) to.pair = pair_of(from.getPair());
  to.as_of = {from.getRevision(), from.getAgeMs()};
  return to;
}

Response keys_page(wire::Cell::KeysResults::Reader from) {
  if (from.hasError()) return rpc::read_error(from.getError());
  KeysPage page;
  page.more = from.getMore();
  page.as_of = {from.getRevision(), from.getAgeMs()};
  for (auto key : from.getKeys()) page.keys.push_back(pair_of(key));
  return page;
}

Response policy_list(wire::Cell::PoliciesResults::Reader from) {
  if (from.hasError()) return rpc::read_error(from.getError());
  PolicyList to;
  for (auto reader : from.getPolicies()) {
    locks::PolicyInfo policy = rpc::read_policy(reader);
    base::PolicyRow& row = policy.row;
    const auto since = static_cast<int64_t>(row.since_wall_ms);
    if (row.key.kind == base::PolicyKind::kDrain) {
      to.drains.push_back({row.key.name, row.reason, row.by, since});
    } else {
      to.quotas.push_back({row.key.kind == base::PolicyKind::kOwnerQuota, row.key.name,
                           limits_of(row.limits), limits_of(policy.used), row.reason, row.by,
                           since});
    }
  }
  return to;
}

Owner public_owner(const base::Owner& from) {
  return {from.host, from.pid,    from.boot_id, from.program,
          from.user, from.reason, from.version, static_cast<int64_t>(from.started_at_ms)};
}

Response renewed(wire::Cell::RenewResults::Reader from) {
  if (from.hasError()) return rpc::read_error(from.getError());
  RenewResponse to;
  to.alive.reserve(from.getAlive().size());
  for (bool alive : from.getAlive()) to.alive.push_back(alive);
  return to;
}

Response described(wire::Cell::DescribeResults::Reader from) {
  if (from.hasError()) return rpc::read_error(from.getError());
  LockInfo lock = lock_of(from.getLock());
  lock.as_of = from.getRevision();
  return lock;
}

Response verified(wire::Cell::VerifyResults::Reader from) {
  if (from.hasError()) return rpc::read_error(from.getError());
  return Verified{from.getValid()};
}

Response locks_page(wire::Cell::LocksResults::Reader from) {
  if (from.hasError()) return rpc::read_error(from.getError());
  LocksPage page;
  page.more = from.getMore();
  for (auto lock : from.getLocks()) page.locks.push_back(lock_of(lock));
  return page;
}

Response snapshot_part(wire::Operator::ReadSnapshotResults::Reader from) {
  if (from.hasError()) return rpc::read_error(from.getError());
  base::SnapshotPart part = rpc::read_snapshot_part(from.getPart());
  if (part.id == 0 || part.bytes->empty() || base::checksum_of(part) != part.checksum) {
    return CallFailed{Code::internal, "a part of a snapshot came damaged"};
  }
  return part;
}

Response barrier_of(wire::Operator::BarrierResults::Reader from) {
  if (from.hasError()) return rpc::read_error(from.getError());
  return Barrier{{from.getSlot()}};
}

Response lease_described(wire::Cell::LeaseResults::Reader from) {
  if (from.hasError()) return rpc::read_error(from.getError());
  return lease_of(from.getLease());
}

Response leases_page(wire::Cell::LeasesResults::Reader from) {
  if (from.hasError()) return rpc::read_error(from.getError());
  LeasesPage page;
  page.more = from.getMore();
  for (auto lease : from.getLeases()) page.leases.push_back(lease_of(lease));
  return page;
}

Response status_of(wire::NodeStatus::Reader from) {
  StatusResponse to;
  to.node.id = from.getId();
  to.node.name = text(from.getName());
  to.node.address = text(from.getAddress());
  to.node.role = text(from.getRole());
  to.node.pid = from.getPid();
  to.node.version = text(from.getVersion());
  to.ballot = {from.getBallot().getRound(), {from.getBallot().getNode()}};
  to.node.ballot = std::to_string(to.ballot.round) + "." + std::to_string(to.ballot.node.value);
  to.node.chosen = from.getChosen();
  to.node.applied = from.getApplied();
  to.node.recorded = from.getRecorded();
  to.node.waiting_for = text(from.getWaitingFor());
  to.node.leases = from.getLeases();
  to.node.locks = from.getLocks();
  to.node.holds = from.getHolds();
  to.node.waiters = from.getWaiters();
  to.node.log_bytes = from.getLogBytes();
  to.node.state_bytes = from.getStateBytes();
  to.node.digest_slot = from.getDigestSlot();
  to.node.digest = from.getDigest();
  to.node.verifications = from.getVerifications();
  to.node.damage = text(from.getDamage());
  to.node.damaged = from.getDamaged();
  to.node.mends_through = from.getMendsThrough();
  to.node.clock_error_ppm = from.getClockErrorPpm();
  if (from.getClockErrorPpm() != 0) {
    to.node.clock_ppm = from.getClockPpm();
  } else if (to.node.role == "leader") {
    to.node.clock_ppm = 0;
  }
  to.node.clock_trouble = text(from.getClockTrouble());
  to.node.clock_stands_back = from.getClockStandsBack();
  to.cell = from.getCell();
  to.revision = from.getRevision();
  to.active = from.getActive();
  to.leader = from.getLeader();
  to.leader_address = text(from.getLeaderAddress());
  for (auto member : from.getMembers()) {
    to.members.push_back({member.getId(), text(member.getAddress()), member.getVoter()});
  }
  to.config_version = from.getConfigVersion();
  return to;
}

Response transferred(wire::Cell::TransferLeaderResults::Reader from) {
  if (from.hasError()) return rpc::read_error(from.getError());
  return Transferred{from.getLeader()};
}

Response member_changed(wire::Cell::ChangeMemberResults::Reader from) {
  if (from.hasError()) return rpc::read_error(from.getError());
  Membership to;
  to.version = from.getConfig().getVersion();
  for (auto member : from.getConfig().getMembers()) {
    to.members.push_back({member.getId(), text(member.getAddress()), member.getVoter()});
  }
  return to;
}

}  // namespace holdfast::client
