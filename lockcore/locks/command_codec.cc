// Batches and answers as bytes: Cap'n Proto messages of base/command.capnp, one segment if small.
//
// Bytes come from peers and from disks. Whatever is wrong with them becomes a returned reason:
// Cap'n Proto's exceptions end here.
#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/io.h>

#include <cstring>

#include "lockcore/base/command.capnp.h"
#include "lockcore/base/limits.h"
#include "lockcore/locks/command.h"

namespace holdfast::locks {
namespace {

// -- writing --------------------------------------------------------------------------------------

// Memory for a message's first segment, one a thread: Cap'n Proto wants it zeroed, and zeroes what
// it used when it is done, so that a small message costs neither an allocation nor a large memset.
kj::ArrayPtr<capnp::word> scratch() {
  constexpr size_t kScratchWords = 8192;
  thread_local std::vector<uint64_t> words(kScratchWords);
  return kj::arrayPtr(reinterpret_cast<capnp::word*>(words.data()), words.size());
}

class StringOutput final : public kj::OutputStream {
 public:
  explicit StringOutput(std::string& out) : out_(out) {}
  void write(const void* buffer, size_t size) override {
    out_.append(static_cast<const char*>(buffer), size);
  }

 private:
  std::string& out_;
};

std::string to_bytes(capnp::MessageBuilder& message) {
  std::string bytes;
  bytes.reserve(capnp::computeSerializedSizeInWords(message) * sizeof(capnp::word));
  StringOutput output(bytes);
  capnp::writeMessage(output, message);
  return bytes;
}

capnp::Text::Reader text(const std::string& s) {
  return {s.c_str(), s.size()};
}
capnp::Data::Reader data(const std::string& s) {
  return {reinterpret_cast<const kj::byte*>(s.data()), s.size()};
}
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
  put_owner(open.initOwner(), body.owner);
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

void put_answer(wire::Answer::Builder out, const ClientRegistered& answer) {
  out.setClientRegistered(answer.client.value);
}
void put_answer(wire::Answer::Builder out, const LeaseOpened& answer) {
  auto opened = out.initLeaseOpened();
  opened.setLease(answer.lease.value);
  opened.setTtlMs(answer.ttl_ms);
  opened.setSecret(data(answer.secret));
}
void put_answer(wire::Answer::Builder out, const Granted& answer) {
  auto tokens = out.initGranted(static_cast<unsigned>(answer.tokens.size()));
  for (unsigned i = 0; i < tokens.size(); ++i) tokens.set(i, answer.tokens[i].value);
}
void put_answer(wire::Answer::Builder out, const Done& answer) {
  out.setDone(answer.revision.value);
}
void put_answer(wire::Answer::Builder out, const WaitCancelled&) {
  out.setWaitCancelled();
}
void put_answer(wire::Answer::Builder out, const base::Error& answer) {
  auto error = out.initError();
  error.setCode(static_cast<uint16_t>(answer.code));
  error.setMessage(text(answer.message));
  auto detail = error.initDetail(static_cast<unsigned>(answer.detail.size()));
  for (unsigned i = 0; i < detail.size(); ++i) {
    detail[i].setName(text(answer.detail[i].first));
    detail[i].setValue(text(answer.detail[i].second));
  }
}

// -- reading --------------------------------------------------------------------------------------

// Thrown by the readers below and caught in this file: the bytes are sound, but not of this
// version.
struct NotOfThisVersion {
  std::string why;
};

// Calls read(message) on the message in `bytes`. Returns what is wrong with it, if anything.
template <class Read>
std::optional<std::string> read_message(std::string_view bytes, Read read) {
  if (bytes.empty() || bytes.size() % sizeof(capnp::word) != 0) {
    return "its length, " + std::to_string(bytes.size()) + ", is not one of a message";
  }
  const size_t size = bytes.size() / sizeof(capnp::word);
  capnp::ReaderOptions limits;
  // Each part is read once. Lists that claim more elements than there are bytes end here.
  limits.traversalLimitInWords = size * 2 + 64;
  limits.nestingLimit = 8;
  try {
    kj::Array<capnp::word> aligned;
    const auto* words = reinterpret_cast<const capnp::word*>(bytes.data());
    if (reinterpret_cast<uintptr_t>(bytes.data()) % alignof(uint64_t) != 0) {
      aligned = kj::heapArray<capnp::word>(size);
      std::memcpy(aligned.begin(), bytes.data(), bytes.size());
      words = aligned.begin();
    }
    capnp::FlatArrayMessageReader message(kj::arrayPtr(words, size), limits);
    if (message.getEnd() != words + size) return "bytes follow the message";
    read(message);
    return std::nullopt;
  } catch (const NotOfThisVersion& other) {
    return other.why;
  } catch (const kj::Exception& e) {
    return std::string(e.getDescription().cStr());
  }
}

std::string get_text(capnp::Text::Reader reader) {
  return {reader.cStr(), reader.size()};
}
std::string get_data(capnp::Data::Reader reader) {
  return {reinterpret_cast<const char*>(reader.begin()), reader.size()};
}

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
  return {in.getTtlMs(), in.getLockDelayMs(), get_data(in.getSecret()), get_owner(in.getOwner())};
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

base::Error get_error(wire::Error::Reader in) {
  if (in.getCode() > static_cast<uint16_t>(base::ErrorCode::kUnknownClient)) {
    throw NotOfThisVersion{"error code " + std::to_string(in.getCode()) + " is not known"};
  }
  base::Error error{static_cast<base::ErrorCode>(in.getCode()), get_text(in.getMessage()), {}};
  for (const auto& detail : in.getDetail()) {
    error.detail.emplace_back(get_text(detail.getName()), get_text(detail.getValue()));
  }
  return error;
}

Answer get_answer(wire::Answer::Reader in) {
  switch (in.which()) {
    case wire::Answer::NONE: break;
    case wire::Answer::CLIENT_REGISTERED:
      return ClientRegistered{base::ClientId{in.getClientRegistered()}};
    case wire::Answer::LEASE_OPENED: {
      const auto opened = in.getLeaseOpened();
      return LeaseOpened{base::LeaseId{opened.getLease()}, opened.getTtlMs(),
                         get_data(opened.getSecret())};
    }
    case wire::Answer::GRANTED: {
      Granted granted;
      for (uint64_t token : in.getGranted()) granted.tokens.push_back(base::Token{token});
      return granted;
    }
    case wire::Answer::DONE: return Done{base::Revision{in.getDone()}};
    case wire::Answer::WAIT_CANCELLED: return WaitCancelled{};
    case wire::Answer::ERROR: return get_error(in.getError());
  }
  throw NotOfThisVersion{"answer kind " + std::to_string(static_cast<uint16_t>(in.which())) +
                         " is not known to this version"};
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

std::string encode_answer(const Answer& answer) {
  capnp::MallocMessageBuilder message(scratch());
  auto out = message.initRoot<wire::Answer>();
  std::visit([&](const auto& body) { put_answer(out, body); }, answer);
  return to_bytes(message);
}

std::optional<Answer> decode_answer(std::string_view bytes) {
  Answer answer;
  const auto wrong = read_message(
      bytes, [&](auto& message) { answer = get_answer(message.template getRoot<wire::Answer>()); });
  if (wrong) return std::nullopt;
  return answer;
}

}  // namespace holdfast::locks
