#include "rpc/peer_convert.h"

#include <kj/exception.h>

#include <algorithm>
#include <utility>

#include "rpc/limits.h"

namespace holdfast::rpc {

namespace {

using Wire = wire::peer::Message;

// A list may claim more elements than its message has bytes for: room is made as they come.
constexpr unsigned kReservedAtOnce = 256;
// Voters and learners of one cell; far above what DESIGN allows.
constexpr unsigned kMaxMembers = 64;

std::string text(capnp::Text::Reader from) {
  return std::string(from.begin(), from.size());
}
capnp::Text::Reader text(const std::string& from) {
  return capnp::Text::Reader(from.c_str(), from.size());
}

base::Ballot read_ballot(wire::Ballot::Reader from) {
  return {from.getRound(), {from.getNode()}};
}
void fill_ballot(base::Ballot ballot, wire::Ballot::Builder to) {
  to.setRound(ballot.round);
  to.setNode(ballot.node.value);
}

}  // namespace

void fill_config(const base::Config& config, wire::peer::Config::Builder to) {
  to.setCell(config.cell.value);
  to.setVersion(config.version.value);
  auto members = to.initMembers(static_cast<unsigned>(config.members.size()));
  for (unsigned i = 0; i < members.size(); ++i) {
    const base::Member& member = config.members[i];
    members[i].setId(member.id.value);
    members[i].setIncarnation(member.incarnation.value);
    members[i].setAddress(text(member.address));
    members[i].setVoter(member.voter);
  }
}

std::optional<base::Config> read_config(wire::peer::Config::Reader from, std::string& why) {
  base::Config config;
  config.cell = {from.getCell()};
  config.version = {from.getVersion()};
  if (from.getMembers().size() > kMaxMembers) {
    why = "a cell of " + std::to_string(from.getMembers().size()) + " nodes";
    return std::nullopt;
  }
  for (auto member : from.getMembers()) {
    config.members.push_back({{member.getId()},
                              {member.getIncarnation()},
                              text(member.getAddress()),
                              member.getVoter()});
  }
  return config;
}

namespace {

std::optional<paxos::Message> read_found_propose(wire::peer::Config::Reader from,
                                                 std::string& why) {
  auto config = read_config(from, why);
  if (!config) return std::nullopt;
  return paxos::FoundPropose{std::move(*config)};
}

using Entries = std::vector<base::Entry>;
using WireEntries = capnp::List<wire::peer::Entry>;

void fill_entries(const Entries& entries, WireEntries::Builder to) {
  for (unsigned i = 0; i < to.size(); ++i) {
    const base::Entry& entry = entries[i];
    auto out = to[i];
    out.setSlot(entry.slot.value);
    out.setBallotRound(entry.ballot.round);
    out.setBallotNode(entry.ballot.node.value);
    out.setKind(static_cast<uint8_t>(entry.kind));
    out.setValue(capnp::Data::Reader(reinterpret_cast<const kj::byte*>(entry.value->data()),
                                     entry.value->size()));
    out.setChecksum(base::entry_checksum(entry));
  }
}

// P11: an entry is checked after every read. False: `why` says which is damaged.
bool read_entries(WireEntries::Reader from, Entries& entries, std::string& why) {
  entries.reserve(std::min(from.size(), kReservedAtOnce));
  for (auto it : from) {
    if (it.getKind() > static_cast<uint8_t>(base::EntryKind::kReconfigure)) {
      why = "an entry of an unknown kind at slot " + std::to_string(it.getSlot());
      return false;
    }
    auto value = it.getValue();
    base::Entry entry{{it.getSlot()},
                      {it.getBallotRound(), {it.getBallotNode()}},
                      static_cast<base::EntryKind>(it.getKind()),
                      std::make_shared<const std::string>(
                          reinterpret_cast<const char*>(value.begin()), value.size())};
    if (base::entry_checksum(entry) != it.getChecksum()) {
      why = "a damaged entry at slot " + std::to_string(it.getSlot());
      return false;
    }
    entries.push_back(std::move(entry));
  }
  return true;
}

unsigned count(const Entries& entries) {
  return static_cast<unsigned>(entries.size());
}

// One overload for each kind of message; the ballot is set by fill_message().
struct Fill {
  Wire::Builder to;

  void ballot(base::Ballot ballot) {
    to.setBallotRound(ballot.round);
    to.setBallotNode(ballot.node.value);
  }
  void operator()(const paxos::FoundPropose& it) { fill_config(it.config, to.initFoundPropose()); }
  void operator()(const paxos::FoundAck& it) { to.setFoundAck(it.cell.value); }
  void operator()(const paxos::FoundCommit& it) { to.setFoundCommit(it.cell.value); }
  void operator()(const paxos::Probe& it) {
    ballot(it.ballot);
    to.setProbe();
  }
  void operator()(const paxos::ProbeReply& it) {
    ballot(it.ballot);
    auto out = to.initProbeReply();
    out.setYes(it.yes);
    fill_ballot(it.promised, out.initPromised());
  }
  void operator()(const paxos::Prepare& it) {
    ballot(it.ballot);
    to.setPrepare(it.from.value);
  }
  void operator()(const paxos::Promise& it) {
    ballot(it.ballot);
    auto out = to.initPromise();
    out.setFirstRetained(it.first_retained.value);
    out.setChosenUpto(it.chosen_upto.value);
    fill_entries(it.entries, out.initEntries(count(it.entries)));
    out.setPart(it.part);
    out.setParts(it.parts);
  }
  void operator()(const paxos::Accept& it) {
    ballot(it.ballot);
    auto out = to.initAccept();
    fill_entries(it.entries, out.initEntries(count(it.entries)));
    out.setChosenUpto(it.chosen_upto.value);
    out.setConfirm(it.confirm.value);
  }
  void operator()(const paxos::Accepted& it) {
    ballot(it.ballot);
    auto out = to.initAccepted();
    auto slots = out.initSlots(static_cast<unsigned>(it.slots.size()));
    for (unsigned i = 0; i < slots.size(); ++i) slots.set(i, it.slots[i].value);
    out.setConfirm(it.confirm.value);
  }
  void operator()(const paxos::Heartbeat& it) {
    ballot(it.ballot);
    auto out = to.initHeartbeat();
    out.setChosenUpto(it.chosen_upto.value);
    out.setConfirm(it.confirm.value);
  }
  void operator()(const paxos::HeartbeatReply& it) {
    ballot(it.ballot);
    auto out = to.initHeartbeatReply();
    out.setConfirm(it.confirm.value);
    out.setChosenUpto(it.chosen_upto.value);
    out.setApplied(it.applied.value);
    out.setRecorded(it.recorded.value);
  }
  void operator()(const paxos::Reject& it) {
    ballot(it.ballot);
    fill_ballot(it.promised, to.initReject());
  }
  void operator()(const paxos::TakeOver& it) {
    ballot(it.ballot);
    to.setTakeOver(it.chosen_upto.value);
  }
  void operator()(const paxos::ClockQuery& it) { to.setClockQuery(it.sent.ns); }
  void operator()(const paxos::ClockReply& it) {
    auto out = to.initClockReply();
    out.setAsked(it.asked.ns);
    out.setClock(it.clock.ns);
  }
  void operator()(const paxos::ReadIndexQuery& it) {
    auto out = to.initReadIndexQuery();
    out.setProcess(it.process);
    out.setNumber(it.number);
  }
  void operator()(const paxos::ReadIndexReply& it) {
    ballot(it.ballot);
    auto out = to.initReadIndexReply();
    out.setProcess(it.process);
    out.setNumber(it.number);
    out.setSlot(it.slot.value);
  }
  void operator()(const paxos::Fetch& it) {
    auto out = to.initFetch();
    out.setFrom(it.from.value);
    out.setTo(it.to.value);
  }
  void operator()(const paxos::FetchReply& it) {
    auto out = to.initFetchReply();
    out.setFrom(it.from.value);
    out.setFirstRetained(it.first_retained.value);
    out.setChosenUpto(it.chosen_upto.value);
    fill_entries(it.entries, out.initEntries(count(it.entries)));
  }
  void operator()(const paxos::SnapshotFetch& it) {
    auto out = to.initSnapshotFetch();
    out.setId(it.id);
    out.setOffset(it.offset);
    out.setMaxBytes(it.max_bytes);
  }
  void operator()(const paxos::SnapshotReply& it) {
    auto out = to.initSnapshotReply();
    out.setAsked(it.asked);
    if (it.part.id != 0) fill_snapshot_part(it.part, out.initPart());
  }
};

std::optional<paxos::Message> read_promise(Wire::Promise::Reader from, base::Ballot ballot,
                                           std::string& why) {
  paxos::Promise out{
      ballot,         {from.getFirstRetained()}, {from.getChosenUpto()}, {}, from.getPart(),
      from.getParts()};
  if (!read_entries(from.getEntries(), out.entries, why)) return std::nullopt;
  return out;
}

std::optional<paxos::Message> read_accept(Wire::Accept::Reader from, base::Ballot ballot,
                                          std::string& why) {
  paxos::Accept out{ballot, {}, {from.getChosenUpto()}, {from.getConfirm()}};
  if (!read_entries(from.getEntries(), out.entries, why)) return std::nullopt;
  return out;
}

paxos::Message read_accepted(Wire::Accepted::Reader from, base::Ballot ballot) {
  paxos::Accepted out{ballot, {}, {from.getConfirm()}};
  auto slots = from.getSlots();
  out.slots.reserve(std::min(slots.size(), kReservedAtOnce));
  for (const uint64_t slot : slots) out.slots.push_back({slot});
  return out;
}

std::optional<paxos::Message> read_fetch_reply(Wire::FetchReply::Reader from, std::string& why) {
  paxos::FetchReply out{{from.getFrom()}, {from.getFirstRetained()}, {from.getChosenUpto()}, {}};
  if (!read_entries(from.getEntries(), out.entries, why)) return std::nullopt;
  return out;
}

// May throw, as Cap'n Proto's readers do.
std::optional<paxos::Message> read_kind(Wire::Reader from, std::string& why) {
  const base::Ballot ballot{from.getBallotRound(), {from.getBallotNode()}};
  switch (from.which()) {
    case Wire::FOUND_PROPOSE: return read_found_propose(from.getFoundPropose(), why);
    case Wire::FOUND_ACK: return paxos::FoundAck{{from.getFoundAck()}};
    case Wire::FOUND_COMMIT: return paxos::FoundCommit{{from.getFoundCommit()}};
    case Wire::PROBE: return paxos::Probe{ballot};
    case Wire::PROBE_REPLY: {
      auto it = from.getProbeReply();
      return paxos::ProbeReply{ballot, it.getYes(), read_ballot(it.getPromised())};
    }
    case Wire::PREPARE: return paxos::Prepare{ballot, {from.getPrepare()}};
    case Wire::PROMISE: return read_promise(from.getPromise(), ballot, why);
    case Wire::ACCEPT: return read_accept(from.getAccept(), ballot, why);
    case Wire::ACCEPTED: return read_accepted(from.getAccepted(), ballot);
    case Wire::HEARTBEAT: {
      auto it = from.getHeartbeat();
      return paxos::Heartbeat{ballot, {it.getChosenUpto()}, {it.getConfirm()}};
    }
    case Wire::HEARTBEAT_REPLY: {
      auto it = from.getHeartbeatReply();
      return paxos::HeartbeatReply{
          ballot, {it.getConfirm()}, {it.getChosenUpto()}, {it.getApplied()}, {it.getRecorded()}};
    }
    case Wire::REJECT: return paxos::Reject{ballot, read_ballot(from.getReject())};
    case Wire::FETCH: {
      auto it = from.getFetch();
      return paxos::Fetch{{it.getFrom()}, {it.getTo()}};
    }
    case Wire::TAKE_OVER: return paxos::TakeOver{ballot, {from.getTakeOver()}};
    case Wire::CLOCK_QUERY: return paxos::ClockQuery{{from.getClockQuery()}};
    case Wire::CLOCK_REPLY: {
      auto it = from.getClockReply();
      return paxos::ClockReply{{it.getAsked()}, {it.getClock()}};
    }
    case Wire::READ_INDEX_QUERY: {
      auto it = from.getReadIndexQuery();
      return paxos::ReadIndexQuery{it.getProcess(), it.getNumber()};
    }
    case Wire::READ_INDEX_REPLY: {
      auto it = from.getReadIndexReply();
      return paxos::ReadIndexReply{ballot, it.getProcess(), it.getNumber(), {it.getSlot()}};
    }
    case Wire::FETCH_REPLY: return read_fetch_reply(from.getFetchReply(), why);
    case Wire::SNAPSHOT_FETCH: {
      auto it = from.getSnapshotFetch();
      return paxos::SnapshotFetch{it.getId(), it.getOffset(), it.getMaxBytes()};
    }
    case Wire::SNAPSHOT_REPLY: {
      auto it = from.getSnapshotReply();
      return paxos::SnapshotReply{it.getAsked(), read_snapshot_part(it.getPart())};
    }
  }
  return std::nullopt;  // of a later version
}

size_t entries_bytes(const Entries& entries) {
  constexpr size_t kStruct = 64;
  size_t bytes = 16;
  for (const base::Entry& entry : entries) bytes += kStruct + entry.value->size();
  return bytes;
}

struct Size {
  size_t operator()(const paxos::FoundPropose& it) const {
    size_t bytes = 64;
    for (const base::Member& member : it.config.members) bytes += 64 + member.address.size();
    return bytes;
  }
  size_t operator()(const paxos::Promise& it) const { return entries_bytes(it.entries); }
  size_t operator()(const paxos::Accept& it) const { return entries_bytes(it.entries); }
  size_t operator()(const paxos::FetchReply& it) const { return entries_bytes(it.entries); }
  size_t operator()(const paxos::SnapshotReply& it) const {
    return 64 + (it.part.bytes ? it.part.bytes->size() : 0);
  }
  size_t operator()(const paxos::Accepted& it) const { return 16 + it.slots.size() * 8; }
  template <class Small>
  size_t operator()(const Small&) const {
    return 32;  // a ballot beside it, at most
  }
};

}  // namespace

void fill_hello(const paxos::Hello& hello, wire::peer::Hello::Builder to) {
  to.setNode(hello.node.value);
  to.setCell(hello.cell.value);
  to.setIncarnation(hello.incarnation.value);
  to.setStartCount(hello.start_count);
  to.setProcessNonce(hello.process_nonce);
  to.setFounding(static_cast<uint8_t>(hello.founding));
  fill_ballot(hello.promised, to.initPromised());
  to.setHighestAccepted(hello.highest_accepted.value);
  to.setConfigVersion(hello.config_version.value);
  to.setProtocol(hello.protocol);
  to.setAddress(text(hello.address));
  to.setCluster(text(hello.cluster));
}

std::optional<paxos::Hello> read_hello(wire::peer::Hello::Reader from) {
  std::optional<paxos::Hello> result;
  auto damaged = kj::runCatchingExceptions([&]() {
    if (from.getFounding() > static_cast<uint8_t>(base::FoundingState::kFounded)) return;
    // Whoever says it may be a stranger, and its words are kept, compared and logged.
    if (from.getAddress().size() > kMaxHelloTextBytes) return;
    if (from.getCluster().size() > kMaxHelloTextBytes) return;
    paxos::Hello hello;
    hello.node = {from.getNode()};
    hello.cell = {from.getCell()};
    hello.incarnation = {from.getIncarnation()};
    hello.start_count = from.getStartCount();
    hello.process_nonce = from.getProcessNonce();
    hello.founding = static_cast<base::FoundingState>(from.getFounding());
    hello.promised = read_ballot(from.getPromised());
    hello.highest_accepted = {from.getHighestAccepted()};
    hello.config_version = {from.getConfigVersion()};
    hello.protocol = from.getProtocol();
    hello.address = text(from.getAddress());
    hello.cluster = text(from.getCluster());
    result = std::move(hello);
  });
  if (damaged != nullptr) return std::nullopt;
  return result;
}

void fill_refusal(const paxos::Refusal& refusal, wire::peer::Refusal::Builder to) {
  to.setReason(text(refusal.reason));
  to.setDiskLost(refusal.disk_lost);
  to.setRemovedBy(refusal.removed_by.value);
}

paxos::Refusal read_refusal(wire::peer::Refusal::Reader from) {
  paxos::Refusal refusal;
  auto damaged = kj::runCatchingExceptions([&]() {
    refusal = {text(from.getReason()).substr(0, kMaxHelloTextBytes),
               from.getDiskLost(),
               {from.getRemovedBy()}};
  });
  if (damaged != nullptr) return {"refused, for a reason that can't be read", false};
  return refusal;
}

void fill_snapshot_part(const base::SnapshotPart& part, wire::peer::SnapshotPart::Builder to) {
  to.setId(part.id);
  to.setSlot(part.slot.value);
  to.setTotalBytes(part.total_bytes);
  to.setOffset(part.offset);
  to.setBytes(capnp::Data::Reader(reinterpret_cast<const kj::byte*>(part.bytes->data()),
                                  part.bytes->size()));
  to.setChecksum(part.checksum);
}

base::SnapshotPart read_snapshot_part(wire::peer::SnapshotPart::Reader from) {
  const auto bytes = from.getBytes();
  return {from.getId(),
          {from.getSlot()},
          from.getTotalBytes(),
          from.getOffset(),
          std::make_shared<const std::string>(reinterpret_cast<const char*>(bytes.begin()),
                                              bytes.size()),
          from.getChecksum()};
}

void fill_message(const paxos::Message& message, Wire::Builder to) {
  std::visit(Fill{to}, message);
}

std::optional<paxos::Message> read_message(Wire::Reader from, std::string& why) {
  why.clear();
  std::optional<paxos::Message> result;
  auto damaged = kj::runCatchingExceptions([&]() { result = read_kind(from, why); });
  KJ_IF_MAYBE (error, damaged) {
    why = error->getDescription().cStr();
    return std::nullopt;
  }
  return result;
}

size_t wire_bytes(const paxos::Message& message) {
  constexpr size_t kStruct = 112;  // of the message itself
  return kStruct + std::visit(Size{}, message);
}

}  // namespace holdfast::rpc
