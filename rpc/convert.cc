#include "rpc/convert.h"

#include <string>
#include <string_view>
#include <utility>

#include "lockcore/base/limits.h"
#include "rpc/key_convert.h"
#include "rpc/wire_text.h"

namespace holdfast::rpc {

using namespace detail;

namespace {

constexpr size_t kMaxErrorDetails = 64;
constexpr size_t kMaxGrants = base::kMaxLocksPerAcquire;

bool known(wire::Mode mode) {
  return static_cast<uint16_t>(mode) <= static_cast<uint16_t>(base::Mode::kExclusive);
}
bool known(wire::LockKind kind) {
  return static_cast<uint16_t>(kind) <= static_cast<uint16_t>(base::LockKind::kElection);
}

template <class Tag>
void fill_ids(const std::vector<base::Id<Tag>>& ids, capnp::List<uint64_t>::Builder to) {
  for (unsigned i = 0; i < to.size(); ++i) to.set(i, ids[i].value);
}

}  // namespace

base::Mode read_mode(wire::Mode mode) {
  return known(mode) ? static_cast<base::Mode>(mode) : base::Mode::kNull;
}

wire::Mode wire_mode(base::Mode mode) {
  return static_cast<wire::Mode>(mode);
}

base::LockKind read_kind(wire::LockKind kind) {
  return known(kind) ? static_cast<base::LockKind>(kind) : base::LockKind::kLock;
}

// -- what clients send ----------------------------------------------------------------------------

Read<locks::OpId> read_op(wire::OpId::Reader from) {
  return guarded<locks::OpId>("operation id", [&]() -> Read<locks::OpId> {
    auto answered = from.getAnswered();
    if (answered.size() > base::kMaxAnswersPerClient) {
      return too_many("answered numbers", answered.size(), "answersPerClient",
                      base::kMaxAnswersPerClient);
    }
    locks::OpId op{{from.getClient()}, from.getNumber(), from.getLowestUnanswered(), {}};
    op.answered.reserve(answered.size());
    for (const uint64_t number : answered) op.answered.push_back(number);
    return op;
  });
}

Read<locks::Acquire> read_acquire(wire::Acquire::Reader from) {
  return guarded<locks::Acquire>("acquire", [&]() -> Read<locks::Acquire> {
    auto locks = from.getLocks();
    if (locks.size() > base::kMaxLocksPerAcquire) {
      return too_many("locks", locks.size(), "locksPerAcquire", base::kMaxLocksPerAcquire);
    }
    locks::Acquire acquire;
    acquire.lease = {from.getLease()};
    acquire.holder = {from.getHolder()};
    acquire.agent = {from.getAgent()};
    acquire.wait = from.getWait();
    acquire.reason = text(from.getReason());
    acquire.value = bytes(from.getValue());
    acquire.locks.reserve(locks.size());
    for (auto lock : locks) {
      // It must not read as read_mode()'s kNull, which is granted beside every other holder.
      if (!known(lock.getMode())) return not_known("mode");
      if (!known(lock.getKind())) return not_known("kind of lock");
      acquire.locks.push_back({text(lock.getName()), read_mode(lock.getMode()), lock.getPermits(),
                               lock.getCapacity(), read_kind(lock.getKind())});
    }
    return acquire;
  });
}

Read<locks::OpenLease> read_open_lease(wire::OpenLease::Reader from) {
  return guarded<locks::OpenLease>("request to open a lease", [&]() -> Read<locks::OpenLease> {
    return locks::OpenLease{from.getTtlMs(), from.getLockDelayMs(), bytes(from.getSecret()),
                            read_owner(from.getOwner()), from.getDropOnDisconnect()};
  });
}

Read<locks::AdoptLease> read_adopt_lease(wire::AdoptLease::Reader from) {
  return guarded<locks::AdoptLease>("request to adopt a lease", [&]() -> Read<locks::AdoptLease> {
    return locks::AdoptLease{
        {from.getLease()}, bytes(from.getSecret()), read_owner(from.getOwner())};
  });
}

Read<locks::Release> read_release(wire::Release::Reader from) {
  return guarded<locks::Release>("release", [&]() -> Read<locks::Release> {
    return locks::Release{{from.getLease()}, text(from.getLock()), {from.getToken()}};
  });
}

Read<locks::Convert> read_convert(wire::Convert::Reader from) {
  return guarded<locks::Convert>("convert", [&]() -> Read<locks::Convert> {
    if (!known(from.getMode())) return not_known("mode");
    return locks::Convert{{from.getLease()},         text(from.getLock()), {from.getToken()},
                          read_mode(from.getMode()), {from.getAgent()},    from.getWait()};
  });
}

Read<locks::SetHoldValue> read_set_value(wire::SetHoldValue::Reader from) {
  return guarded<locks::SetHoldValue>("value", [&]() -> Read<locks::SetHoldValue> {
    return locks::SetHoldValue{
        {from.getLease()}, text(from.getLock()), {from.getToken()}, bytes(from.getValue())};
  });
}

Read<locks::ForceRelease> read_force(wire::ForceRelease::Reader from) {
  return guarded<locks::ForceRelease>("forced release", [&]() -> Read<locks::ForceRelease> {
    return locks::ForceRelease{
        text(from.getLock()), {from.getToken()}, text(from.getReason()), text(from.getBy())};
  });
}

Read<std::vector<base::LeaseId>> read_leases(capnp::List<uint64_t>::Reader from) {
  using Leases = std::vector<base::LeaseId>;
  return guarded<Leases>("list of leases", [&]() -> Read<Leases> {
    if (from.size() > base::kMaxRenewalsPerCall) {
      return too_many("leases", from.size(), "renewalsPerCall", base::kMaxRenewalsPerCall);
    }
    Leases leases;
    leases.reserve(from.size());
    for (const uint64_t id : from) leases.push_back({id});
    return leases;
  });
}

base::Owner read_owner(wire::Owner::Reader from) {
  base::Owner owner;
  owner.host = text(from.getHost());
  owner.pid = from.getPid();
  owner.boot_id = text(from.getBootId());
  owner.program = text(from.getProgram());
  owner.user = text(from.getUser());
  owner.reason = text(from.getReason());
  owner.version = text(from.getVersion());
  owner.started_at_ms = from.getStartedAtMs();
  return owner;
}

void fill_op(const locks::OpId& op, wire::OpId::Builder to) {
  to.setClient(op.client.value);
  to.setNumber(op.number);
  to.setLowestUnanswered(op.lowest_unanswered);
  if (op.answered.empty()) return;
  to.setAnswered(kj::arrayPtr(op.answered.data(), op.answered.size()));
}

void fill_acquire(const locks::Acquire& acquire, wire::Acquire::Builder to) {
  to.setLease(acquire.lease.value);
  to.setHolder(acquire.holder.value);
  to.setAgent(acquire.agent.value);
  to.setWait(acquire.wait);
  if (!acquire.reason.empty()) to.setReason(text(acquire.reason));
  if (!acquire.value.empty()) to.setValue(bytes(acquire.value));
  auto locks = to.initLocks(static_cast<unsigned>(acquire.locks.size()));
  for (unsigned i = 0; i < locks.size(); ++i) {
    const locks::LockRequest& request = acquire.locks[i];
    locks[i].setName(text(request.name));
    locks[i].setMode(wire_mode(request.mode));
    locks[i].setPermits(request.permits);
    locks[i].setCapacity(request.capacity);
    locks[i].setKind(static_cast<wire::LockKind>(request.kind));
  }
}

void fill_open_lease(const locks::OpenLease& open, wire::OpenLease::Builder to) {
  to.setTtlMs(open.ttl_ms);
  to.setLockDelayMs(open.lock_delay_ms);
  to.setSecret(bytes(open.secret));
  fill_owner(open.owner, to.initOwner());
  to.setDropOnDisconnect(open.drop_on_disconnect);
}

void fill_adopt_lease(const locks::AdoptLease& adopt, wire::AdoptLease::Builder to) {
  to.setLease(adopt.lease.value);
  to.setSecret(bytes(adopt.secret));
  fill_owner(adopt.owner, to.initOwner());
}

void fill_release(const locks::Release& release, wire::Release::Builder to) {
  to.setLease(release.lease.value);
  to.setLock(text(release.lock));
  to.setToken(release.token.value);
}

void fill_convert(const locks::Convert& convert, wire::Convert::Builder to) {
  to.setLease(convert.lease.value);
  to.setLock(text(convert.lock));
  to.setToken(convert.token.value);
  to.setMode(wire_mode(convert.mode));
  to.setAgent(convert.agent.value);
  to.setWait(convert.wait);
}

void fill_set_value(const locks::SetHoldValue& set, wire::SetHoldValue::Builder to) {
  to.setLease(set.lease.value);
  to.setLock(text(set.lock));
  to.setToken(set.token.value);
  to.setValue(bytes(set.value));
}

void fill_force(const locks::ForceRelease& force, wire::ForceRelease::Builder to) {
  to.setLock(text(force.lock));
  to.setToken(force.token.value);
  to.setReason(text(force.reason));
  to.setBy(text(force.by));
}

void fill_owner(const base::Owner& owner, wire::Owner::Builder to) {
  to.setHost(text(owner.host));
  to.setPid(owner.pid);
  to.setBootId(text(owner.boot_id));
  to.setProgram(text(owner.program));
  to.setUser(text(owner.user));
  to.setReason(text(owner.reason));
  to.setVersion(text(owner.version));
  to.setStartedAtMs(owner.started_at_ms);
}

void fill_ballot(base::Ballot ballot, wire::Ballot::Builder to) {
  to.setRound(ballot.round);
  to.setNode(ballot.node.value);
}

// -- what servers answer --------------------------------------------------------------------------

void fill_error(const base::Error& error, wire::Error::Builder to) {
  to.setCode(static_cast<uint16_t>(error.code));
  to.setMessage(text(error.message));
  if (error.detail.empty()) return;
  auto detail = to.initDetail(static_cast<unsigned>(error.detail.size()));
  for (unsigned i = 0; i < detail.size(); ++i) {
    detail[i].setName(text(error.detail[i].first));
    detail[i].setValue(text(error.detail[i].second));
  }
}

base::Error read_error(wire::Error::Reader from) {
  base::Error error;
  error.code = static_cast<base::ErrorCode>(from.getCode());
  error.message = text(from.getMessage());
  auto detail = from.getDetail();
  for (unsigned i = 0; i < detail.size() && i < kMaxErrorDetails; ++i) {
    error.detail.emplace_back(text(detail[i].getName()), text(detail[i].getValue()));
  }
  return error;
}

void fill_answer(const locks::Answer& answer, wire::Answer::Builder to) {
  struct Fill {
    wire::Answer::Builder to;
    void operator()(const locks::ClientRegistered& it) { to.setClientRegistered(it.client.value); }
    void operator()(const locks::LeaseOpened& it) {
      auto opened = to.initLeaseOpened();
      opened.setLease(it.lease.value);
      opened.setTtlMs(it.ttl_ms);
      opened.setSecret(bytes(it.secret));
      opened.setDropOnDisconnect(it.drop_on_disconnect);
    }
    void operator()(const locks::Granted& it) {
      fill_ids(it.tokens, to.initGranted(static_cast<unsigned>(it.tokens.size())));
    }
    void operator()(const locks::Done& it) { to.setDone(it.revision.value); }
    void operator()(const locks::WaitCancelled&) { to.setWaitCancelled(); }
    void operator()(const locks::TxnDone& it) { fill_txn_done(it, to.initTxnDone()); }
    void operator()(const base::Error& it) { fill_error(it, to.initError()); }
  };
  std::visit(Fill{to}, answer);
}

locks::Answer read_answer(wire::Answer::Reader from) {
  switch (from.which()) {
    case wire::Answer::CLIENT_REGISTERED:
      return locks::ClientRegistered{{from.getClientRegistered()}};
    case wire::Answer::LEASE_OPENED: {
      auto opened = from.getLeaseOpened();
      return locks::LeaseOpened{{opened.getLease()},
                                opened.getTtlMs(),
                                bytes(opened.getSecret()),
                                opened.getDropOnDisconnect()};
    }
    case wire::Answer::GRANTED: {
      locks::Granted granted;
      auto tokens = from.getGranted();
      for (unsigned i = 0; i < tokens.size() && i < kMaxGrants; ++i) {
        granted.tokens.push_back({tokens[i]});
      }
      return granted;
    }
    case wire::Answer::DONE: return locks::Done{{from.getDone()}};
    case wire::Answer::WAIT_CANCELLED: return locks::WaitCancelled{};
    case wire::Answer::ERROR: return read_error(from.getError());
    case wire::Answer::TXN_DONE: return read_txn_done(from.getTxnDone());
    case wire::Answer::NONE: break;
  }
  return base::Error{
      base::ErrorCode::kUnsupported, "the answer is of a kind that this version doesn't know", {}};
}

// -- what is told about locks and leases ----------------------------------------------------------

void fill_lock(const locks::LockInfo& lock, wire::LockInfo::Builder to) {
  to.setName(text(lock.name));
  to.setKind(static_cast<wire::LockKind>(lock.kind));
  to.setMode(wire_mode(lock.mode));
  to.setCapacity(lock.capacity);
  to.setRevision(lock.revision.value);
  if (!lock.drain.empty()) to.setDrain(text(lock.drain));
  auto holders = to.initHolders(static_cast<unsigned>(lock.holders.size()));
  for (unsigned i = 0; i < holders.size(); ++i) {
    const locks::HolderInfo& it = lock.holders[i];
    auto out = holders[i];
    out.setLease(it.lease.value);
    out.setHolder(it.holder.value);
    out.setMode(wire_mode(it.mode));
    out.setPermits(it.permits);
    out.setToken(it.token.value);
    out.setAcquiredAtMs(it.acquired_wall_ms);
    out.setReason(text(it.reason));
    if (!it.value.empty()) out.setValue(bytes(it.value));
    if (it.owner) fill_owner(*it.owner, out.initOwner());
  }
  auto waiters = to.initWaiters(static_cast<unsigned>(lock.waiters.size()));
  for (unsigned i = 0; i < waiters.size(); ++i) {
    const locks::WaiterInfo& it = lock.waiters[i];
    auto out = waiters[i];
    out.setLease(it.lease.value);
    out.setHolder(it.holder.value);
    out.setMode(wire_mode(it.mode));
    out.setPermits(it.permits);
    out.setPosition(it.position);
    out.setWaitingSinceMs(it.since_wall_ms);
    out.setReason(text(it.reason));
    out.setConverts(it.converts.value);
    if (it.owner) fill_owner(*it.owner, out.initOwner());
  }
}

locks::LockInfo read_lock(wire::LockInfo::Reader from) {
  locks::LockInfo lock;
  lock.name = text(from.getName());
  lock.kind = read_kind(from.getKind());
  lock.mode = read_mode(from.getMode());
  lock.capacity = from.getCapacity();
  lock.revision = {from.getRevision()};
  for (auto it : from.getHolders()) {
    locks::HolderInfo& out = lock.holders.emplace_back();
    out.lease = {it.getLease()};
    out.holder = {it.getHolder()};
    out.mode = read_mode(it.getMode());
    out.permits = it.getPermits();
    out.token = {it.getToken()};
    out.acquired_wall_ms = it.getAcquiredAtMs();
    out.reason = text(it.getReason());
    out.value = bytes(it.getValue());
    out.owner = std::make_shared<const base::Owner>(read_owner(it.getOwner()));
  }
  for (auto it : from.getWaiters()) {
    locks::WaiterInfo& out = lock.waiters.emplace_back();
    out.lease = {it.getLease()};
    out.holder = {it.getHolder()};
    out.mode = read_mode(it.getMode());
    out.permits = it.getPermits();
    out.position = it.getPosition();
    out.since_wall_ms = it.getWaitingSinceMs();
    out.reason = text(it.getReason());
    out.converts = {it.getConverts()};
    out.owner = std::make_shared<const base::Owner>(read_owner(it.getOwner()));
  }
  return lock;
}

void fill_lease(const locks::LeaseInfo& lease, int64_t remaining_ms, wire::LeaseInfo::Builder to) {
  to.setLease(lease.lease.value);
  to.setTtlMs(lease.ttl_ms);
  to.setRemainingMs(remaining_ms);
  to.setLockDelayMs(lease.lock_delay_ms);
  to.setOpenedAtMs(lease.opened_wall_ms);
  if (lease.owner) fill_owner(*lease.owner, to.initOwner());
  to.setWaits(lease.waits);
  auto holds = to.initHolds(static_cast<unsigned>(lease.holds.size()));
  for (unsigned i = 0; i < holds.size(); ++i) {
    holds[i].setLock(text(lease.holds[i].first));
    holds[i].setToken(lease.holds[i].second.value);
  }
}

locks::LeaseInfo read_lease(wire::LeaseInfo::Reader from) {
  locks::LeaseInfo lease;
  lease.lease = {from.getLease()};
  lease.ttl_ms = from.getTtlMs();
  lease.lock_delay_ms = from.getLockDelayMs();
  lease.opened_wall_ms = from.getOpenedAtMs();
  lease.owner = std::make_shared<const base::Owner>(read_owner(from.getOwner()));
  lease.waits = from.getWaits();
  for (auto it : from.getHolds()) {
    lease.holds.emplace_back(text(it.getLock()), base::Token{it.getToken()});
  }
  return lease;
}

// -- how much it takes ----------------------------------------------------------------------------

namespace {

// A text takes its bytes, a terminating zero, and padding to a word.
size_t text_bytes(const std::string& text) {
  return text.size() + 8;
}

size_t owner_bytes(const std::shared_ptr<const base::Owner>& owner) {
  constexpr size_t kStruct = 64;
  if (!owner) return 0;
  return kStruct + text_bytes(owner->host) + text_bytes(owner->boot_id) +
         text_bytes(owner->program) + text_bytes(owner->user) + text_bytes(owner->reason) +
         text_bytes(owner->version);
}

}  // namespace

size_t wire_bytes(const locks::LockInfo& lock) {
  constexpr size_t kStruct = 80;  // of a lock, a holder, a waiter: data and pointers, at most
  size_t bytes = kStruct + 16 + text_bytes(lock.name);
  const auto add = [&](const auto& it) {
    bytes += kStruct + text_bytes(it.reason) + owner_bytes(it.owner);
  };
  for (const auto& holder : lock.holders) {
    add(holder);
    bytes += text_bytes(holder.value);
  }
  for (const auto& waiter : lock.waiters) add(waiter);
  return bytes;
}

size_t wire_bytes(const locks::LeaseInfo& lease) {
  constexpr size_t kStruct = 72;  // seven words of data, two pointers
  constexpr size_t kHold = 16;
  size_t bytes = kStruct + 8 + owner_bytes(lease.owner);
  for (const auto& hold : lease.holds) bytes += kHold + text_bytes(hold.first);
  return bytes;
}

}  // namespace holdfast::rpc
