#include "daemon/client_reads.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "lockcore/base/lease_text.h"
#include "lockcore/base/limits.h"
#include "rpc/convert.h"
#include "rpc/key_convert.h"

namespace holdfast::daemon {
namespace {

std::string_view view(capnp::Text::Reader text) {
  return {text.begin(), text.size()};
}

size_t page_limit(uint32_t asked) {
  return asked == 0 ? base::kMaxListedRows : std::min<size_t>(asked, base::kMaxListedRows);
}

// A lock may have 100 000 waiters and a lease a million holds: the longer list is cut until the row
// fits, which keeps the front of every queue.
void cut_to_fit(locks::LockInfo& lock) {
  while (rpc::wire_bytes(lock) > base::kMaxMessageBytes) {
    if (lock.waiters.size() > lock.holders.size()) {
      lock.waiters.resize(lock.waiters.size() / 2);
    } else {
      lock.holders.resize(lock.holders.size() / 2);
    }
  }
}

void cut_to_fit(locks::LeaseInfo& lease) {
  while (rpc::wire_bytes(lease) > base::kMaxMessageBytes) {
    lease.holds.resize(lease.holds.size() / 2);
  }
}

// A row and how long its lists were before they were cut.
struct LockRow {
  locks::LockInfo lock;
  uint64_t delay_remaining_ms;
  size_t holders, waiters;
};
LockRow lock_row(const node::Node& node, std::string_view name) {
  LockRow row{node.table().describe(name), 0, 0, 0};
  row.delay_remaining_ms = node.delay_remaining_ms(row.lock.delay_until_ms, rpc::boottime_now());
  row.holders = row.lock.holders.size();
  row.waiters = row.lock.waiters.size();
  cut_to_fit(row.lock);
  return row;
}
void fill_row(const LockRow& row, wire::LockInfo::Builder to) {
  rpc::fill_lock(row.lock, to);
  to.setDelayRemainingMs(row.delay_remaining_ms);
  to.setHolderCount(row.holders);
  to.setWaiterCount(row.waiters);
}

struct LeaseRow {
  locks::LeaseInfo lease;
  int64_t remaining_ms;
  size_t holds;
};
std::optional<LeaseRow> lease_row(const node::Node& node, base::LeaseId id) {
  auto lease = node.table().describe_lease(id);
  if (!lease) return std::nullopt;
  LeaseRow row{std::move(*lease), node.remaining_ms(id, rpc::boottime_now()).value_or(0), 0};
  row.holds = row.lease.holds.size();
  cut_to_fit(row.lease);
  return row;
}
void fill_row(const LeaseRow& row, wire::LeaseInfo::Builder to) {
  rpc::fill_lease(row.lease, row.remaining_ms, to);
  to.setHoldCount(row.holds);
}

base::Error no_such_lease(base::LeaseId lease) {
  return {base::ErrorCode::kLeaseNotFound,
          fmt::format("lease {} is not there: it expired, was closed, or never was",
                      base::lease_text(lease)),
          {}};
}

// Takes rows of `keys` until the page is full; returns whether some are left over. The first row
// always fits.
template <class Row, class Keys, class Read, class Size>
bool take_page(const Keys& keys, size_t limit, std::vector<Row>& page, Read read, Size size) {
  size_t bytes = 0;
  for (const auto& key : keys) {
    if (page.size() == limit) return true;
    std::optional<Row> row = read(key);
    if (!row) continue;
    bytes += size(*row);
    if (!page.empty() && bytes > base::kMaxMessageBytes) return true;
    page.push_back(std::move(*row));
  }
  return false;
}

}  // namespace

void fill_describe(const node::Node& node, wire::Cell::DescribeParams::Reader asked,
                   wire::Cell::DescribeResults::Builder to) {
  std::string_view name = view(asked.getName());
  if (auto wrong = locks::validate_name(name)) {
    rpc::fill_error(*wrong, to.initError());
    return;
  }
  fill_row(lock_row(node, name), to.initLock());
  to.setRevision(node.table().meta().revision.value);
}

void fill_locks(const node::Node& node, wire::Cell::LocksParams::Reader asked,
                wire::Cell::LocksResults::Builder to) {
  size_t limit = page_limit(asked.getLimit());
  auto names = node.table().lock_names(view(asked.getPrefix()), view(asked.getAfter()), limit + 1);
  std::vector<LockRow> page;
  bool more = take_page(
      names, limit, page,
      [&](const std::string& name) { return std::optional(lock_row(node, name)); },
      [](const LockRow& row) { return rpc::wire_bytes(row.lock); });
  to.setMore(more);
  auto list = to.initLocks(static_cast<unsigned>(page.size()));
  for (unsigned i = 0; i < page.size(); ++i) fill_row(page[i], list[i]);
}

void fill_lease(const node::Node& node, wire::Cell::LeaseParams::Reader asked,
                wire::Cell::LeaseResults::Builder to) {
  if (auto row = lease_row(node, base::LeaseId{asked.getId()})) {
    fill_row(*row, to.initLease());
    return;
  }
  rpc::fill_error(no_such_lease(base::LeaseId{asked.getId()}), to.initError());
}

void fill_leases(const node::Node& node, wire::Cell::LeasesParams::Reader asked,
                 wire::Cell::LeasesResults::Builder to) {
  size_t limit = page_limit(asked.getLimit());
  auto ids = node.table().lease_ids(base::LeaseId{asked.getAfter()}, limit + 1);
  std::vector<LeaseRow> page;
  bool more = take_page(
      ids, limit, page, [&](base::LeaseId id) { return lease_row(node, id); },
      [](const LeaseRow& row) { return rpc::wire_bytes(row.lease); });
  to.setMore(more);
  auto list = to.initLeases(static_cast<unsigned>(page.size()));
  for (unsigned i = 0; i < page.size(); ++i) fill_row(page[i], list[i]);
}

void fill_verify(const locks::LockTable& table, wire::Cell::VerifyParams::Reader asked,
                 wire::Cell::VerifyResults::Builder to) {
  std::string_view name = view(asked.getName());
  if (auto wrong = locks::validate_name(name)) {
    rpc::fill_error(*wrong, to.initError());
    return;
  }
  to.setValid(table.is_current(name, base::Token{asked.getToken()}));
}

void fill_get(const node::Node& node, wire::Cell::GetParams::Reader asked,
              wire::Cell::GetResults::Builder to) {
  std::string_view name = view(asked.getKey());
  if (auto wrong = locks::validate_name(name)) {
    rpc::fill_error(*wrong, to.initError());
    return;
  }
  to.setRevision(node.table().meta().revision.value);
  to.setAgeMs(node.state_age_ms(rpc::boottime_now()));
  const std::optional<base::KeyRow> key = node.table().key(name);
  to.setFound(key.has_value());
  if (key) rpc::fill_key(*key, to.initPair());
}

void fill_keys(const node::Node& node, wire::Cell::KeysParams::Reader asked,
               wire::Cell::KeysResults::Builder to) {
  const size_t limit = page_limit(asked.getLimit());
  std::vector<base::KeyRow> page;
  size_t bytes = 0;
  bool more = false;
  node.table().for_each_key(
      view(asked.getPrefix()), view(asked.getAfter()), [&](const base::KeyRow& key) {
        bytes += rpc::wire_bytes(key);
        // The first one always fits.
        more = page.size() == limit || (!page.empty() && bytes > base::kMaxMessageBytes);
        if (!more) page.push_back(key);
        return !more;
      });
  to.setMore(more);
  to.setRevision(node.table().meta().revision.value);
  to.setAgeMs(node.state_age_ms(rpc::boottime_now()));
  auto list = to.initKeys(static_cast<unsigned>(page.size()));
  for (unsigned i = 0; i < page.size(); ++i) rpc::fill_key(page[i], list[i]);
}

void fill_policies(const locks::LockTable& table, wire::Cell::PoliciesResults::Builder to) {
  const std::vector<locks::PolicyInfo> policies = table.policies();
  auto list = to.initPolicies(static_cast<unsigned>(policies.size()));
  for (unsigned i = 0; i < policies.size(); ++i) rpc::fill_policy(policies[i], list[i]);
}

namespace {

// So many are told: beyond that nobody reads on.
constexpr size_t kMaxBlockers = 200;

void fill_blocker(const node::Node& node, const locks::Blocker& blocker,
                  wire::Blocker::Builder to) {
  const base::Instant now = rpc::boottime_now();
  to.setParent(blocker.parent);
  to.setLock(blocker.lock);
  to.setKind(static_cast<wire::Blocker::Kind>(blocker.kind));
  to.setLease(blocker.lease.value);
  to.setHolder(blocker.holder.value);
  to.setToken(blocker.token.value);
  to.setMode(rpc::wire_mode(blocker.mode));
  to.setPermits(blocker.permits);
  to.setPosition(blocker.position);
  if (blocker.kind == locks::Blocker::Kind::kDelay) {
    to.setRemainingMs(node.delay_remaining_ms(blocker.until_cell_ms, now));
  } else {
    to.setAgeMs(node.age_ms(blocker.since_cell_ms, now));
    const int64_t left = node.remaining_ms(blocker.lease, now).value_or(0);
    to.setRemainingMs(static_cast<uint64_t>(std::max<int64_t>(left, 0)));
  }
  to.setReason(blocker.reason);
  if (blocker.owner) rpc::fill_owner(*blocker.owner, to.initOwner());
  to.setSeen(blocker.seen);
}

}  // namespace

void fill_why(const node::Node& node, wire::Cell::WhyParams::Reader asked,
              wire::Cell::WhyResults::Builder to) {
  const std::string_view name = view(asked.getName());
  const base::LeaseId lease{asked.getLease()};
  if (name.empty() && node.table().lease(lease) == nullptr) {
    return rpc::fill_error(no_such_lease(lease), to.initError());
  }
  if (!name.empty()) {
    if (auto wrong = locks::validate_name(name)) return rpc::fill_error(*wrong, to.initError());
  }
  const locks::Explanation found = name.empty() ? node.table().explain_lease(lease, kMaxBlockers)
                                                : node.table().explain_lock(name, kMaxBlockers);
  auto list = to.initBlockers(static_cast<unsigned>(found.blockers.size()));
  for (unsigned i = 0; i < list.size(); ++i) fill_blocker(node, found.blockers[i], list[i]);
  to.setTruncated(found.truncated);
  to.setRevision(node.table().meta().revision.value);
}

namespace {

double ppm(double part) {
  constexpr double kMost = 2e9;  // next to a clock that stood still
  return std::clamp(std::round(part * 1e6), -kMost, kMost);
}

void fill_clock(const paxos::Replica& replica, wire::NodeStatus::Builder to) {
  const paxos::Replica::ClockView clock = replica.clock();
  to.setClockTrouble(clock.trouble);
  to.setClockStandsBack(clock.verdict == paxos::ClockVerdict::kOdd);
  if (!clock.against_leader || replica.role() == paxos::Role::kLeader) return;
  const auto [low, high] = *clock.against_leader;
  to.setClockPpm(static_cast<int32_t>(ppm((low + high) / 2 - 1)));
  to.setClockErrorPpm(static_cast<uint32_t>(std::max(ppm((high - low) / 2), 1.0)));
}

}  // namespace

void fill_status(const NodeAccess& access, const Identity& identity, wire::NodeStatus::Builder to) {
  const node::Node& node = access.node();
  const paxos::Replica& replica = node.replica();
  const base::Config& config = replica.config();
  const base::MetaRow& meta = node.table().meta();
  to.setCell(config.cell.value);
  to.setId(identity.id.value);
  to.setName(identity.name);
  to.setAddress(identity.address);
  const base::Member* self = config.find(identity.id);
  const bool learns = replica.role() == paxos::Role::kFollower && self != nullptr && !self->voter;
  to.setRole(learns ? "learner" : paxos::role_name(replica.role()));
  to.setConfigVersion(config.version.value);
  to.setActive(node.active());
  to.setPid(static_cast<uint64_t>(getpid()));
  to.setVersion(HOLDFAST_VERSION);
  rpc::fill_ballot(replica.ballot(), to.initBallot());
  to.setChosen(replica.chosen_upto().value);
  to.setApplied(meta.applied.value);
  to.setRecorded(node.recorded().value);
  to.setRevision(meta.revision.value);
  to.setLeader(replica.leader().value);
  to.setWaitingFor(replica.waiting_for());
  fill_clock(replica, to);
  const auto& members = config.members.empty() ? identity.cluster : config.members;
  auto listed = to.initMembers(static_cast<unsigned>(members.size()));
  for (unsigned i = 0; i < members.size(); ++i) {
    listed[i].setId(members[i].id.value);
    listed[i].setAddress(members[i].address);
    listed[i].setVoter(members[i].voter);
    if (members[i].id == replica.leader()) to.setLeaderAddress(members[i].address);
  }
  locks::LockTable::Counts counts = node.table().counts();
  to.setLeases(counts.leases);
  to.setLocks(counts.locks);
  to.setHolds(counts.holds);
  to.setWaiters(counts.waiters);
  to.setClients(counts.clients);
  to.setLogBytes(access.log_bytes());
  to.setStateBytes(access.state_bytes());
  const Verification verification = access.verification();
  to.setDigestSlot(verification.digest_slot.value);
  to.setDigest(verification.digest);
  to.setVerifications(verification.finished);
  to.setDamage(verification.damage);
  to.setDamaged(verification.damaged);
  to.setMendsThrough(replica.mending().value_or(base::Slot{}).value);
}

}  // namespace holdfast::daemon
