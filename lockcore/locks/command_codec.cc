// Batches as bytes: Cap'n Proto messages of base/command.capnp, one segment if small.
//
// Bytes come from peers and from disks. Whatever is wrong with them becomes a returned reason:
// Cap'n Proto's exceptions end here.
#include "lockcore/base/command.capnp.h"
#include "lockcore/base/limits.h"
#include "lockcore/locks/codec.h"
#include "lockcore/locks/command.h"

namespace holdfast::locks {

using namespace codec;

namespace {

// -- writing --------------------------------------------------------------------------------------

// Absent is read as empty, and takes no bytes.
#define HF_SET_TEXT(builder, Field, value) \
  if (!(value).empty()) (builder).set##Field(text(value))

void put_ballot(wire::Ballot::Builder out, const base::Ballot& ballot) {
  out.setRound(ballot.round);
  out.setNode(ballot.node.value);
}

void put_op(wire::OpId::Builder out, const OpId& op) {
  out.setClient(op.client.value);
  out.setNumber(op.number);
  out.setLowestUnanswered(op.lowest_unanswered);
  if (op.answered.empty()) return;
  auto answered = out.initAnswered(static_cast<unsigned>(op.answered.size()));
  for (unsigned i = 0; i < answered.size(); ++i) answered.set(i, op.answered[i]);
}

void put_owner(wire::Owner::Builder out, const base::Owner& owner) {
  HF_SET_TEXT(out, Host, owner.host);
  out.setPid(owner.pid);
  HF_SET_TEXT(out, BootId, owner.boot_id);
  HF_SET_TEXT(out, Program, owner.program);
  HF_SET_TEXT(out, User, owner.user);
  HF_SET_TEXT(out, Reason, owner.reason);
  HF_SET_TEXT(out, Version, owner.version);
  out.setStartedAtMs(owner.started_at_ms);
}

void put_body(wire::Command::Builder out, const RegisterClient& body) {
  out.initRegisterClient().setTtlMs(body.ttl_ms);
}
void put_body(wire::Command::Builder out, const ForgetClient&) {
  out.setForgetClient();
}
void put_body(wire::Command::Builder out, const OpenLease& body) {
  auto open = out.initOpenLease();
  open.setTtlMs(body.ttl_ms);
  open.setLockDelayMs(body.lock_delay_ms);
  open.setSecret(data(body.secret));
  open.setDropOnDisconnect(body.drop_on_disconnect);
  put_owner(open.initOwner(), body.owner);
}
void put_body(wire::Command::Builder out, const AdoptLease& body) {
  auto adopt = out.initAdoptLease();
  adopt.setLease(body.lease.value);
  adopt.setSecret(data(body.secret));
  put_owner(adopt.initOwner(), body.owner);
}
void put_body(wire::Command::Builder out, const CloseLease& body) {
  out.setCloseLease(body.lease.value);
}
void put_body(wire::Command::Builder out, const ExpireLeases& body) {
  auto expire = out.initExpireLeases();
  put_ballot(expire.initDecided(), body.decided);
  auto leases = expire.initLeases(static_cast<unsigned>(body.leases.size()));
  for (unsigned i = 0; i < leases.size(); ++i) leases.set(i, body.leases[i].value);
}
void put_body(wire::Command::Builder out, const Acquire& body) {
  auto acquire = out.initAcquire();
  acquire.setLease(body.lease.value);
  acquire.setHolder(body.holder.value);
  acquire.setAgent(body.agent.value);
  acquire.setWait(body.wait);
  HF_SET_TEXT(acquire, Reason, body.reason);
  if (!body.value.empty()) acquire.setValue(data(body.value));
  auto locks = acquire.initLocks(static_cast<unsigned>(body.locks.size()));
  for (unsigned i = 0; i < locks.size(); ++i) {
    const LockRequest& request = body.locks[i];
    locks[i].setName(text(request.name));
    locks[i].setMode(static_cast<wire::Mode>(request.mode));
    locks[i].setPermits(request.permits);
    locks[i].setCapacity(request.capacity);
    locks[i].setKind(static_cast<wire::LockKind>(request.kind));
  }
}
void put_body(wire::Command::Builder out, const CancelWait& body) {
  out.setCancelWait(body.target);
}
void put_body(wire::Command::Builder out, const Release& body) {
  auto release = out.initRelease();
  release.setLease(body.lease.value);
  release.setLock(text(body.lock));
  release.setToken(body.token.value);
}
void put_body(wire::Command::Builder out, const Convert& body) {
  auto convert = out.initConvert();
  convert.setLease(body.lease.value);
  convert.setLock(text(body.lock));
  convert.setToken(body.token.value);
  convert.setMode(static_cast<wire::Mode>(body.mode));
  convert.setAgent(body.agent.value);
  convert.setWait(body.wait);
}
void put_body(wire::Command::Builder out, const SetHoldValue& body) {
  auto set = out.initSetHoldValue();
  set.setLease(body.lease.value);
  set.setLock(text(body.lock));
  set.setToken(body.token.value);
  set.setValue(data(body.value));
}
void put_body(wire::Command::Builder out, const ForceRelease& body) {
  auto force = out.initForceRelease();
  force.setLock(text(body.lock));
  force.setToken(body.token.value);
  HF_SET_TEXT(force, Reason, body.reason);
  HF_SET_TEXT(force, By, body.by);
}
void put_body(wire::Command::Builder out, const AdvanceTime& body) {
  put_ballot(out.initAdvanceTime(), body.decided);
}
void put_compare(wire::Compare::Builder out, const Compare& compare) {
  out.setKey(text(compare.key));
  out.setRelation(static_cast<wire::Relation>(compare.relation));
  switch (compare.target) {
    case Compare::Target::kValue: return out.setValue(data(compare.value));
    case Compare::Target::kVersion: return out.setVersion(compare.number);
    case Compare::Target::kRevision: return out.setRevision(compare.number);
    case Compare::Target::kCreate: return out.setCreate(compare.number);
    case Compare::Target::kHolds: return out.setHolds(compare.number);
  }
}
void put_txn_op(wire::TxnOp::Builder out, const TxnOp& op) {
  out.setKey(text(op.key));
  switch (op.kind) {
    case TxnOp::Kind::kGet: return out.setGet();
    case TxnOp::Kind::kDelete: return out.setDelete();
    case TxnOp::Kind::kPut: break;
  }
  auto put = out.initPut();
  put.setValue(data(op.value));
  put.setLease(op.lease.value);
  put.setSequential(op.sequential);
}
void put_body(wire::Command::Builder out, const Txn& body) {
  auto txn = out.initTxn();
  auto compare = txn.initCompare(static_cast<unsigned>(body.compare.size()));
  for (unsigned i = 0; i < compare.size(); ++i) put_compare(compare[i], body.compare[i]);
  auto then = txn.initThen(static_cast<unsigned>(body.then.size()));
  for (unsigned i = 0; i < then.size(); ++i) put_txn_op(then[i], body.then[i]);
  auto orelse = txn.initOrelse(static_cast<unsigned>(body.orelse.size()));
  for (unsigned i = 0; i < orelse.size(); ++i) put_txn_op(orelse[i], body.orelse[i]);
}
void put_body(wire::Command::Builder out, const CheckpointLeases& body) {
  auto checkpoint = out.initCheckpointLeases();
  put_ballot(checkpoint.initDecided(), body.decided);
  auto leases = checkpoint.initLeases(static_cast<unsigned>(body.leases.size()));
  for (unsigned i = 0; i < leases.size(); ++i) {
    leases[i].setLease(body.leases[i].lease.value);
    leases[i].setLeftMs(body.leases[i].left_ms);
  }
}
void put_body(wire::Command::Builder out, const SetPolicy& body) {
  auto set = out.initSetPolicy();
  set.setKind(static_cast<wire::PolicyKind>(body.key.kind));
  set.setName(text(body.key.name));
  set.setEnd(body.end);
  auto limits = set.initLimits();
  limits.setLeases(body.limits.leases);
  limits.setLocks(body.limits.locks);
  limits.setWaiters(body.limits.waiters);
  limits.setBytes(body.limits.bytes);
  HF_SET_TEXT(set, Reason, body.reason);
  HF_SET_TEXT(set, By, body.by);
}
void put_body(wire::Command::Builder out, const NewLeader& body) {
  put_ballot(out.initNewLeader(), body.ballot);
}
void put_body(wire::Command::Builder out, const Reconfigure& body) {
  auto to = out.initReconfigure();
  to.setVersion(body.config.version.value);
  HF_SET_TEXT(to, Note, body.note);
  auto members = to.initMembers(static_cast<unsigned>(body.config.members.size()));
  for (unsigned i = 0; i < members.size(); ++i) {
    const base::Member& member = body.config.members[i];
    members[i].setId(member.id.value);
    members[i].setIncarnation(member.incarnation.value);
    members[i].setAddress(text(member.address));
    members[i].setVoter(member.voter);
  }
  auto removed = to.initRemoved(static_cast<unsigned>(body.config.removed.size()));
  for (unsigned i = 0; i < removed.size(); ++i) removed.set(i, body.config.removed[i].value);
}

// -- reading --------------------------------------------------------------------------------------

base::Ballot get_ballot(wire::Ballot::Reader in) {
  return {in.getRound(), base::NodeId{in.getNode()}};
}

OpId get_op(wire::OpId::Reader in) {
  OpId op{base::ClientId{in.getClient()}, in.getNumber(), in.getLowestUnanswered(), {}};
  const auto answered = in.getAnswered();
  op.answered.reserve(answered.size());
  for (uint64_t number : answered) op.answered.push_back(number);
  return op;
}

base::Owner get_owner(wire::Owner::Reader in) {
  return {get_text(in.getHost()),    in.getPid(),
          get_text(in.getBootId()),  get_text(in.getProgram()),
          get_text(in.getUser()),    get_text(in.getReason()),
          get_text(in.getVersion()), in.getStartedAtMs()};
}

OpenLease get_open(wire::OpenLease::Reader in) {
  return {in.getTtlMs(), in.getLockDelayMs(), get_data(in.getSecret()), get_owner(in.getOwner()),
          in.getDropOnDisconnect()};
}

AdoptLease get_adopt(wire::AdoptLease::Reader in) {
  return {base::LeaseId{in.getLease()}, get_data(in.getSecret()), get_owner(in.getOwner())};
}

ExpireLeases get_expire(wire::Command::ExpireLeases::Reader in) {
  ExpireLeases body{get_ballot(in.getDecided()), {}};
  const auto leases = in.getLeases();
  body.leases.reserve(leases.size());
  for (uint64_t lease : leases) body.leases.push_back(base::LeaseId{lease});
  return body;
}

base::Mode get_mode(wire::Mode in) {
  const auto mode = static_cast<uint16_t>(in);
  if (mode > static_cast<uint16_t>(base::Mode::kExclusive)) {
    throw NotOfThisVersion{"lock mode " + std::to_string(mode) + " is not known to this version"};
  }
  return static_cast<base::Mode>(mode);
}

LockRequest get_lock(wire::LockRequest::Reader in) {
  const auto kind = static_cast<uint16_t>(in.getKind());
  if (kind > static_cast<uint16_t>(base::LockKind::kElection)) {
    throw NotOfThisVersion{"lock kind " + std::to_string(kind) + " is not known to this version"};
  }
  return {get_text(in.getName()), get_mode(in.getMode()), in.getPermits(), in.getCapacity(),
          static_cast<base::LockKind>(kind)};
}

Acquire get_acquire(wire::Acquire::Reader in) {
  Acquire body;
  body.lease = {in.getLease()};
  body.holder = {in.getHolder()};
  body.agent = {in.getAgent()};
  body.wait = in.getWait();
  body.reason = get_text(in.getReason());
  body.value = get_data(in.getValue());
  const auto locks = in.getLocks();
  body.locks.reserve(locks.size());
  for (const auto& lock : locks) body.locks.push_back(get_lock(lock));
  return body;
}

Release get_release(wire::Release::Reader in) {
  return {base::LeaseId{in.getLease()}, get_text(in.getLock()), base::Token{in.getToken()}};
}

Convert get_convert(wire::Convert::Reader in) {
  return {base::LeaseId{in.getLease()}, get_text(in.getLock()),       base::Token{in.getToken()},
          get_mode(in.getMode()),       base::AgentId{in.getAgent()}, in.getWait()};
}

SetHoldValue get_set_value(wire::SetHoldValue::Reader in) {
  return {base::LeaseId{in.getLease()}, get_text(in.getLock()), base::Token{in.getToken()},
          get_data(in.getValue())};
}

ForceRelease get_force(wire::ForceRelease::Reader in) {
  return {get_text(in.getLock()), base::Token{in.getToken()}, get_text(in.getReason()),
          get_text(in.getBy())};
}

Reconfigure get_reconfigure(wire::Reconfigure::Reader in) {
  Reconfigure body;
  body.config.version = {in.getVersion()};
  body.note = get_text(in.getNote());
  for (const auto& member : in.getMembers()) {
    body.config.members.push_back({{member.getId()},
                                   {member.getIncarnation()},
                                   get_text(member.getAddress()),
                                   member.getVoter()});
  }
  for (const uint64_t removed : in.getRemoved()) body.config.removed.push_back({removed});
  return body;
}

Relation get_relation(wire::Relation in) {
  const auto relation = static_cast<uint16_t>(in);
  if (relation > static_cast<uint16_t>(Relation::kGreater)) {
    throw NotOfThisVersion{"relation " + std::to_string(relation) + " is not known"};
  }
  return static_cast<Relation>(relation);
}

Compare get_compare(wire::Compare::Reader in) {
  using Target = Compare::Target;
  Compare compare{get_text(in.getKey()), {}, get_relation(in.getRelation()), 0, {}};
  const auto of = [&compare](Target target, uint64_t number) {
    compare.target = target;
    compare.number = number;
    return compare;
  };
  switch (in.which()) {
    case wire::Compare::VALUE:
      compare.target = Target::kValue;
      compare.value = get_data(in.getValue());
      return compare;
    case wire::Compare::VERSION: return of(Target::kVersion, in.getVersion());
    case wire::Compare::REVISION: return of(Target::kRevision, in.getRevision());
    case wire::Compare::CREATE: return of(Target::kCreate, in.getCreate());
    case wire::Compare::HOLDS: return of(Target::kHolds, in.getHolds());
  }
  throw NotOfThisVersion{"a compare is of a kind that is not known"};
}

TxnOp get_txn_op(wire::TxnOp::Reader in) {
  TxnOp op;
  op.key = get_text(in.getKey());
  switch (in.which()) {
    case wire::TxnOp::GET: op.kind = TxnOp::Kind::kGet; return op;
    case wire::TxnOp::DELETE: op.kind = TxnOp::Kind::kDelete; return op;
    case wire::TxnOp::PUT: {
      const auto put = in.getPut();
      op.kind = TxnOp::Kind::kPut;
      op.value = get_data(put.getValue());
      op.lease = {put.getLease()};
      op.sequential = put.getSequential();
      return op;
    }
  }
  throw NotOfThisVersion{"an operation of a transaction is of a kind that is not known"};
}

Txn get_txn(wire::Txn::Reader in) {
  Txn body;
  for (const auto& compare : in.getCompare()) body.compare.push_back(get_compare(compare));
  for (const auto& op : in.getThen()) body.then.push_back(get_txn_op(op));
  for (const auto& op : in.getOrelse()) body.orelse.push_back(get_txn_op(op));
  return body;
}

CheckpointLeases get_checkpoint(wire::CheckpointLeases::Reader in) {
  CheckpointLeases body{get_ballot(in.getDecided()), {}};
  for (const auto& lease : in.getLeases()) {
    body.leases.push_back({base::LeaseId{lease.getLease()}, lease.getLeftMs()});
  }
  return body;
}

SetPolicy get_policy(wire::SetPolicy::Reader in) {
  const auto kind = static_cast<uint16_t>(in.getKind());
  if (kind > static_cast<uint16_t>(base::PolicyKind::kOwnerQuota)) {
    throw NotOfThisVersion{"policy kind " + std::to_string(kind) + " is not known"};
  }
  const auto limits = in.getLimits();
  return {{static_cast<base::PolicyKind>(kind), get_text(in.getName())},
          in.getEnd(),
          {limits.getLeases(), limits.getLocks(), limits.getWaiters(), limits.getBytes()},
          get_text(in.getReason()),
          get_text(in.getBy())};
}

Body get_body(wire::Command::Reader in) {
  switch (in.which()) {
    case wire::Command::REGISTER_CLIENT: return RegisterClient{in.getRegisterClient().getTtlMs()};
    case wire::Command::FORGET_CLIENT: return ForgetClient{};
    case wire::Command::OPEN_LEASE: return get_open(in.getOpenLease());
    case wire::Command::CLOSE_LEASE: return CloseLease{base::LeaseId{in.getCloseLease()}};
    case wire::Command::EXPIRE_LEASES: return get_expire(in.getExpireLeases());
    case wire::Command::ACQUIRE: return get_acquire(in.getAcquire());
    case wire::Command::CANCEL_WAIT: return CancelWait{in.getCancelWait()};
    case wire::Command::RELEASE: return get_release(in.getRelease());
    case wire::Command::NEW_LEADER: return NewLeader{get_ballot(in.getNewLeader())};
    case wire::Command::CONVERT: return get_convert(in.getConvert());
    case wire::Command::SET_HOLD_VALUE: return get_set_value(in.getSetHoldValue());
    case wire::Command::FORCE_RELEASE: return get_force(in.getForceRelease());
    case wire::Command::ADVANCE_TIME: return AdvanceTime{get_ballot(in.getAdvanceTime())};
    case wire::Command::RECONFIGURE: return get_reconfigure(in.getReconfigure());
    case wire::Command::TXN: return get_txn(in.getTxn());
    case wire::Command::CHECKPOINT_LEASES: return get_checkpoint(in.getCheckpointLeases());
    case wire::Command::SET_POLICY: return get_policy(in.getSetPolicy());
    case wire::Command::ADOPT_LEASE: return get_adopt(in.getAdoptLease());
  }
  // DESIGN 7: a node stops at a command that it doesn't know. To skip it would be to diverge.
  throw NotOfThisVersion{"command kind " + std::to_string(static_cast<uint16_t>(in.which())) +
                         " is not known to this version"};
}

Batch get_batch(wire::Batch::Reader in) {
  if (in.getVersion() != kBatchVersion) {
    throw NotOfThisVersion{"batch version " + std::to_string(in.getVersion()) +
                           " is not known to this version, which writes " +
                           std::to_string(kBatchVersion)};
  }
  Batch batch{in.getCellTimeMs(), in.getWallMs(), {}};
  const auto commands = in.getCommands();
  if (commands.size() > base::kMaxBatchCommands) {
    throw NotOfThisVersion{"a batch of " + std::to_string(commands.size()) +
                           " commands is larger than any that this version writes"};
  }
  batch.commands.reserve(commands.size());
  for (const auto& command : commands) {
    batch.commands.push_back({get_op(command.getOp()), get_body(command)});
  }
  return batch;
}

}  // namespace

std::string encode_batch(const Batch& batch) {
  capnp::MallocMessageBuilder message(scratch());
  auto out = message.initRoot<wire::Batch>();
  out.setVersion(kBatchVersion);
  out.setCellTimeMs(batch.cell_time_ms);
  out.setWallMs(batch.wall_ms);
  auto commands = out.initCommands(static_cast<unsigned>(batch.commands.size()));
  for (unsigned i = 0; i < commands.size(); ++i) {
    auto command = commands[i];
    put_op(command.initOp(), batch.commands[i].op);
    std::visit([&](const auto& body) { put_body(command, body); }, batch.commands[i].body);
  }
  return to_bytes(message);
}

std::optional<Batch> decode_batch(std::string_view bytes, std::string& why) {
  if (bytes.size() > base::kMaxPeerMessageBytes) {
    why = "not a batch: " + std::to_string(bytes.size()) + " bytes are more than any has";
    return std::nullopt;
  }
  Batch batch;
  const auto wrong = read_message(
      bytes, [&](auto& message) { batch = get_batch(message.template getRoot<wire::Batch>()); });
  if (!wrong) return batch;
  why = "not a batch of this version: " + *wrong;
  return std::nullopt;
}

}  // namespace holdfast::locks
