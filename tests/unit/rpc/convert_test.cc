// Conversions: what goes over the wire comes back the same, and what makes no sense is refused
// without an exception that nobody expects, and without more memory than it came with.
#include "rpc/convert.h"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <tuple>

#include "lockcore/base/limits.h"
#include "rpc/limits.h"
#include "rpc/peer_convert.h"
#include "tests/unit/rpc/samples.h"

namespace holdfast::rpc {

namespace {

constexpr int kRounds = 300;

// -- equality of what has no operator== of its own ------------------------------------------------

bool same(const locks::LockRequest& a, const locks::LockRequest& b) {
  return std::tie(a.name, a.mode, a.permits, a.capacity, a.kind) ==
         std::tie(b.name, b.mode, b.permits, b.capacity, b.kind);
}
bool same(const base::Owner& a, const base::Owner& b) {
  return std::tie(a.host, a.pid, a.boot_id, a.program, a.user, a.reason, a.version,
                  a.started_at_ms) == std::tie(b.host, b.pid, b.boot_id, b.program, b.user,
                                               b.reason, b.version, b.started_at_ms);
}
bool same(const locks::HolderInfo& a, const locks::HolderInfo& b) {
  return std::tie(a.lease, a.holder, a.mode, a.permits, a.token, a.acquired_wall_ms, a.reason,
                  a.value) == std::tie(b.lease, b.holder, b.mode, b.permits, b.token,
                                       b.acquired_wall_ms, b.reason, b.value) &&
         same(*a.owner, *b.owner);
}
bool same(const locks::WaiterInfo& a, const locks::WaiterInfo& b) {
  return std::tie(a.lease, a.holder, a.mode, a.permits, a.position, a.since_wall_ms, a.reason,
                  a.converts) == std::tie(b.lease, b.holder, b.mode, b.permits, b.position,
                                          b.since_wall_ms, b.reason, b.converts) &&
         same(*a.owner, *b.owner);
}
bool same(const base::Entry& a, const base::Entry& b) {
  return std::tie(a.slot, a.ballot, a.kind, *a.value) ==
         std::tie(b.slot, b.ballot, b.kind, *b.value);
}
template <class T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const T& x, const T& y) { return same(x, y); });
}

bool same(const paxos::FoundPropose& a, const paxos::FoundPropose& b) {
  return a.config == b.config;
}
bool same(const paxos::FoundAck& a, const paxos::FoundAck& b) {
  return a.cell == b.cell;
}
bool same(const paxos::FoundCommit& a, const paxos::FoundCommit& b) {
  return a.cell == b.cell;
}
bool same(const paxos::Probe& a, const paxos::Probe& b) {
  return a.ballot == b.ballot;
}
bool same(const paxos::ProbeReply& a, const paxos::ProbeReply& b) {
  return std::tie(a.ballot, a.yes, a.promised) == std::tie(b.ballot, b.yes, b.promised);
}
bool same(const paxos::Prepare& a, const paxos::Prepare& b) {
  return std::tie(a.ballot, a.from) == std::tie(b.ballot, b.from);
}
bool same(const paxos::Promise& a, const paxos::Promise& b) {
  return std::tie(a.ballot, a.first_retained, a.chosen_upto, a.part, a.parts) ==
             std::tie(b.ballot, b.first_retained, b.chosen_upto, b.part, b.parts) &&
         same(a.entries, b.entries);
}
bool same(const paxos::Accept& a, const paxos::Accept& b) {
  return std::tie(a.ballot, a.chosen_upto, a.confirm) ==
             std::tie(b.ballot, b.chosen_upto, b.confirm) &&
         same(a.entries, b.entries);
}
bool same(const paxos::Accepted& a, const paxos::Accepted& b) {
  return std::tie(a.ballot, a.slots, a.confirm) == std::tie(b.ballot, b.slots, b.confirm);
}
bool same(const paxos::Heartbeat& a, const paxos::Heartbeat& b) {
  return std::tie(a.ballot, a.chosen_upto, a.confirm) ==
         std::tie(b.ballot, b.chosen_upto, b.confirm);
}
bool same(const paxos::HeartbeatReply& a, const paxos::HeartbeatReply& b) {
  return std::tie(a.ballot, a.confirm, a.chosen_upto, a.applied, a.recorded) ==
         std::tie(b.ballot, b.confirm, b.chosen_upto, b.applied, b.recorded);
}
bool same(const paxos::Reject& a, const paxos::Reject& b) {
  return std::tie(a.ballot, a.promised) == std::tie(b.ballot, b.promised);
}
bool same(const paxos::TakeOver& a, const paxos::TakeOver& b) {
  return std::tie(a.ballot, a.chosen_upto) == std::tie(b.ballot, b.chosen_upto);
}
bool same(const paxos::Fetch& a, const paxos::Fetch& b) {
  return std::tie(a.from, a.to) == std::tie(b.from, b.to);
}
bool same(const paxos::FetchReply& a, const paxos::FetchReply& b) {
  return std::tie(a.from, a.first_retained, a.chosen_upto) ==
             std::tie(b.from, b.first_retained, b.chosen_upto) &&
         same(a.entries, b.entries);
}
bool same(const paxos::SnapshotFetch& a, const paxos::SnapshotFetch& b) {
  return std::tie(a.id, a.offset, a.max_bytes) == std::tie(b.id, b.offset, b.max_bytes);
}
bool same(const paxos::SnapshotReply& a, const paxos::SnapshotReply& b) {
  const base::SnapshotPart& p = a.part;
  const base::SnapshotPart& q = b.part;
  return a.asked == b.asked && *p.bytes == *q.bytes &&
         std::tie(p.id, p.slot, p.total_bytes, p.offset, p.checksum) ==
             std::tie(q.id, q.slot, q.total_bytes, q.offset, q.checksum);
}
bool same(const paxos::ClockQuery& a, const paxos::ClockQuery& b) {
  return a.sent == b.sent;
}
bool same(const paxos::ClockReply& a, const paxos::ClockReply& b) {
  return std::tie(a.asked, a.clock) == std::tie(b.asked, b.clock);
}
bool same(const paxos::ReadIndexQuery& a, const paxos::ReadIndexQuery& b) {
  return std::tie(a.process, a.number) == std::tie(b.process, b.number);
}
bool same(const paxos::ReadIndexReply& a, const paxos::ReadIndexReply& b) {
  return std::tie(a.ballot, a.process, a.number, a.slot) ==
         std::tie(b.ballot, b.process, b.number, b.slot);
}
bool same_message(const paxos::Message& a, const paxos::Message& b) {
  return a.index() == b.index() &&
         std::visit(
             [&](const auto& one) { return same(one, std::get<std::decay_t<decltype(one)>>(b)); },
             a);
}

// -- there and back -------------------------------------------------------------------------------

// The words of a message with this content, as they lie on the wire.
template <class Wire, class Fill>
kj::Array<capnp::word> packed(Fill fill) {
  capnp::MallocMessageBuilder message;
  fill(message.initRoot<Wire>());
  return capnp::messageToFlatArray(message);
}

// Fills a struct, carries it over the wire, and hands the reader to `read`.
template <class Wire, class Fill, class Read>
auto carried(Fill fill, Read read) {
  auto words = packed<Wire>(fill);
  capnp::FlatArrayMessageReader reader(words);
  return read(reader.getRoot<Wire>());
}

template <class T>
T good(Read<T> read) {
  const auto* error = std::get_if<base::Error>(&read);
  if (error != nullptr) FAIL(error->message);
  return std::get<T>(std::move(read));
}

template <class T>
base::ErrorCode refused(const Read<T>& read) {
  REQUIRE(std::holds_alternative<base::Error>(read));
  return std::get<base::Error>(read).code;
}

}  // namespace

TEST_CASE("convert: what a client asks arrives as it was asked") {
  // Why: a field that is lost on the way is a lock that behaves as nobody asked for.
  Samples samples(1);
  for (int round = 0; round < kRounds; ++round) {
    const locks::OpId op = samples.op();
    const auto op2 = good(carried<wire::OpId>([&](auto to) { fill_op(op, to); }, read_op));
    CHECK(std::tie(op2.client, op2.number, op2.lowest_unanswered, op2.answered) ==
          std::tie(op.client, op.number, op.lowest_unanswered, op.answered));

    const locks::Acquire acquire = samples.acquire();
    const auto acquire2 =
        good(carried<wire::Acquire>([&](auto to) { fill_acquire(acquire, to); }, read_acquire));
    CHECK(
        std::tie(acquire2.lease, acquire2.holder, acquire2.agent, acquire2.wait, acquire2.reason) ==
        std::tie(acquire.lease, acquire.holder, acquire.agent, acquire.wait, acquire.reason));
    CHECK(same(acquire2.locks, acquire.locks));

    const locks::AdoptLease adopt = samples.adopt_lease();
    const auto adopt2 = good(
        carried<wire::AdoptLease>([&](auto to) { fill_adopt_lease(adopt, to); }, read_adopt_lease));
    CHECK(std::tie(adopt2.lease, adopt2.secret) == std::tie(adopt.lease, adopt.secret));
    CHECK(same(adopt2.owner, adopt.owner));
    const locks::OpenLease open = samples.open_lease();
    const auto open2 = good(
        carried<wire::OpenLease>([&](auto to) { fill_open_lease(open, to); }, read_open_lease));
    CHECK(std::tie(open2.ttl_ms, open2.lock_delay_ms, open2.secret, open2.drop_on_disconnect) ==
          std::tie(open.ttl_ms, open.lock_delay_ms, open.secret, open.drop_on_disconnect));
    CHECK(same(open2.owner, open.owner));

    const locks::Release release = samples.release();
    const auto release2 =
        good(carried<wire::Release>([&](auto to) { fill_release(release, to); }, read_release));
    CHECK(std::tie(release2.lease, release2.lock, release2.token) ==
          std::tie(release.lease, release.lock, release.token));

    const locks::Convert convert = samples.convert();
    const auto convert2 =
        good(carried<wire::Convert>([&](auto to) { fill_convert(convert, to); }, read_convert));
    const auto fields = [](const locks::Convert& c) {
      return std::tie(c.lease, c.lock, c.token, c.mode, c.agent, c.wait);
    };
    CHECK(fields(convert2) == fields(convert));

    const locks::SetHoldValue set = samples.set_value();
    const auto set2 = good(
        carried<wire::SetHoldValue>([&](auto to) { fill_set_value(set, to); }, read_set_value));
    CHECK(std::tie(set2.lease, set2.lock, set2.token, set2.value) ==
          std::tie(set.lease, set.lock, set.token, set.value));
  }
}

TEST_CASE("convert: what a node answers arrives as it was answered") {
  // Why: tokens above all; the client puts them in front of its writes.
  Samples samples(2);
  for (int round = 0; round < kRounds; ++round) {
    const locks::Answer answer = samples.answer();
    CHECK(carried<wire::Answer>([&](auto to) { fill_answer(answer, to); }, read_answer) == answer);
    const base::Error error = samples.error();
    CHECK(carried<wire::Error>([&](auto to) { fill_error(error, to); }, read_error) == error);

    const locks::LockInfo lock = samples.lock_info();
    const auto lock2 = carried<wire::LockInfo>([&](auto to) { fill_lock(lock, to); }, read_lock);
    CHECK(std::tie(lock2.name, lock2.kind, lock2.mode, lock2.capacity, lock2.revision) ==
          std::tie(lock.name, lock.kind, lock.mode, lock.capacity, lock.revision));
    CHECK(same(lock2.holders, lock.holders));
    CHECK(same(lock2.waiters, lock.waiters));

    const locks::LeaseInfo lease = samples.lease_info();
    const auto lease2 =
        carried<wire::LeaseInfo>([&](auto to) { fill_lease(lease, -5, to); }, read_lease);
    CHECK(std::tie(lease2.lease, lease2.ttl_ms, lease2.lock_delay_ms, lease2.opened_wall_ms,
                   lease2.holds,
                   lease2.waits) == std::tie(lease.lease, lease.ttl_ms, lease.lock_delay_ms,
                                             lease.opened_wall_ms, lease.holds, lease.waits));
    CHECK(same(*lease2.owner, *lease.owner));
  }
}

TEST_CASE("convert: what a peer says arrives as it was said") {
  // Why: the rules of Paxos are about these fields, every one of them.
  Samples samples(3);
  for (int round = 0; round < kRounds; ++round) {
    const paxos::Hello hello = samples.hello();
    const auto hello2 =
        carried<wire::peer::Hello>([&](auto to) { fill_hello(hello, to); }, read_hello);
    REQUIRE(hello2.has_value());
    CHECK(std::tie(hello2->node, hello2->cell, hello2->incarnation, hello2->start_count,
                   hello2->process_nonce, hello2->founding, hello2->promised,
                   hello2->highest_accepted, hello2->config_version, hello2->protocol,
                   hello2->address, hello2->cluster) ==
          std::tie(hello.node, hello.cell, hello.incarnation, hello.start_count,
                   hello.process_nonce, hello.founding, hello.promised, hello.highest_accepted,
                   hello.config_version, hello.protocol, hello.address, hello.cluster));

    const paxos::Refusal refusal{samples.bytes(80), samples.coin(), {samples.number()}};
    const auto refusal2 =
        carried<wire::peer::Refusal>([&](auto to) { fill_refusal(refusal, to); }, read_refusal);
    CHECK(std::tie(refusal2.reason, refusal2.disk_lost, refusal2.removed_by) ==
          std::tie(refusal.reason, refusal.disk_lost, refusal.removed_by));

    for (size_t kind = 0; kind < Samples::kKinds; ++kind) {
      const paxos::Message message = samples.message(kind);
      REQUIRE(message.index() == kind);
      std::string why;
      const auto message2 =
          carried<wire::peer::Message>([&](auto to) { fill_message(message, to); },
                                       [&](auto from) { return read_message(from, why); });
      REQUIRE_MESSAGE(message2.has_value(), why);
      CHECK(same_message(*message2, message));
    }
  }
}

TEST_CASE("convert: the bound on a message's size holds") {
  // Why: pages, deliveries and windows are cut by it; one that is too low makes a message that the
  // other side takes for an attack.
  Samples samples(4);
  const auto bytes = [](auto words) { return words.size() * sizeof(capnp::word); };
  constexpr size_t kFrame = 16;  // the segment table and the root pointer
  for (int round = 0; round < kRounds; ++round) {
    const locks::LockInfo lock = samples.lock_info();
    CHECK(bytes(packed<wire::LockInfo>([&](auto to) { fill_lock(lock, to); })) <=
          wire_bytes(lock) + kFrame);
    const locks::LeaseInfo lease = samples.lease_info();
    CHECK(bytes(packed<wire::LeaseInfo>([&](auto to) { fill_lease(lease, 1, to); })) <=
          wire_bytes(lease) + kFrame);
    for (size_t kind = 0; kind < Samples::kKinds; ++kind) {
      const paxos::Message message = samples.message(kind);
      CHECK(bytes(packed<wire::peer::Message>([&](auto to) { fill_message(message, to); })) <=
            wire_bytes(message) + kFrame);
    }
  }
}

TEST_CASE("convert: lists beyond their limits are refused by the limit's name") {
  // Why: DESIGN 2.10: a clear error to the one who reached it.
  locks::OpId op;
  op.answered.assign(base::kMaxAnswersPerClient + 1, 7);
  CHECK(refused(carried<wire::OpId>([&](auto to) { fill_op(op, to); }, read_op)) ==
        base::ErrorCode::kResourceExhausted);
  locks::Acquire acquire;
  acquire.locks.resize(base::kMaxLocksPerAcquire + 1);
  CHECK(refused(carried<wire::Acquire>([&](auto to) { fill_acquire(acquire, to); },
                                       read_acquire)) == base::ErrorCode::kResourceExhausted);
  capnp::MallocMessageBuilder message;
  auto leases =
      message.initRoot<wire::Cell::RenewParams>().initLeases(base::kMaxRenewalsPerCall + 1);
  CHECK(refused(read_leases(leases.asReader())) == base::ErrorCode::kResourceExhausted);
}

TEST_CASE("convert: a mode of a later version is refused, never taken for a weaker one") {
  // Why: a mode that reads as `null` would be granted beside every other holder.
  capnp::MallocMessageBuilder message;
  auto acquire = message.initRoot<wire::Acquire>();
  acquire.setLease(1);
  auto lock = acquire.initLocks(1)[0];
  lock.setName("a");
  lock.setMode(static_cast<wire::Mode>(6));
  CHECK(refused(read_acquire(acquire.asReader())) == base::ErrorCode::kUnsupported);
}

TEST_CASE("convert: a hello that is no hello, and one of absurd length, is none") {
  // Why: its texts are logged and compared; a stranger may put a megabyte there.
  paxos::Hello hello = Samples(5).hello();
  hello.founding = static_cast<base::FoundingState>(3);
  const auto read = [&] {
    return carried<wire::peer::Hello>([&](auto to) { fill_hello(hello, to); }, read_hello);
  };
  CHECK_FALSE(read().has_value());
  hello.founding = base::FoundingState::kEmpty;
  CHECK(read().has_value());
  hello.address.assign(kMaxHelloTextBytes + 1, 'a');
  CHECK_FALSE(read().has_value());
  hello.address.clear();
  hello.cluster.assign(kMaxHelloTextBytes + 1, 'a');
  CHECK_FALSE(read().has_value());
  const paxos::Refusal refusal{std::string(1'000'000, 'x'), true};
  const auto cut =
      carried<wire::peer::Refusal>([&](auto to) { fill_refusal(refusal, to); }, read_refusal);
  CHECK(cut.reason.size() <= kMaxHelloTextBytes);
  CHECK(cut.disk_lost);
}

TEST_CASE("convert: a damaged entry is not handed on, and is named") {
  // Why: P11. What a checksum refuses must neither be accepted nor counted.
  paxos::Accept accept;
  accept.ballot = {3, {1}};
  accept.entries = {
      {{7}, {3, {1}}, base::EntryKind::kCommands, std::make_shared<const std::string>("value")}};
  std::string why;
  const auto read = [&](auto damage) {
    return carried<wire::peer::Message>(
        [&](wire::peer::Message::Builder to) {
          fill_message(accept, to);
          damage(to.getAccept().getEntries()[0]);
        },
        [&](auto from) { return read_message(from, why); });
  };
  CHECK(read([](auto) {}).has_value());
  CHECK_FALSE(read([](auto entry) { entry.getValue()[0] ^= 1; }).has_value());
  CHECK(why.find("slot 7") != std::string::npos);
  CHECK_FALSE(read([](auto entry) { entry.setSlot(8); }).has_value());
  CHECK_FALSE(read([](auto entry) { entry.setBallotNode(2); }).has_value());
  CHECK_FALSE(read([](auto entry) { entry.setKind(77); }).has_value());
}

TEST_CASE("convert: a message of a later version's kind is passed over in silence") {
  // Why: a cell is upgraded one node at a time.
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<wire::peer::Message>();
  root.setProbe();
  auto words = capnp::messageToFlatArray(message);
  // The discriminant follows the ballot: look for it by what changes when it does.
  root.setFoundAck(0);
  auto other = capnp::messageToFlatArray(message);
  REQUIRE(words.size() == other.size());
  auto* bytes = reinterpret_cast<kj::byte*>(words.begin());
  const auto* changed = reinterpret_cast<const kj::byte*>(other.begin());
  size_t place = 0;
  while (bytes[place] == changed[place]) ++place;
  bytes[place] = 200;
  capnp::FlatArrayMessageReader reader(words);
  std::string why = "something";
  CHECK_FALSE(read_message(reader.getRoot<wire::peer::Message>(), why).has_value());
  CHECK(why.empty());
}

namespace {

// Reads a damaged message as everything that a stranger or a peer may send. Whatever comes out is
// fine, as long as it comes out.
void read_as_everything(kj::ArrayPtr<const capnp::word> words) {
  capnp::ReaderOptions options;
  options.traversalLimitInWords = kTraversalBytes / sizeof(capnp::word);
  options.nestingLimit = kNestingLimit;
  const auto with_reader = [&](auto read) {
    capnp::FlatArrayMessageReader reader(words, options);
    read(reader);
  };
  // The root pointer itself may be damaged: the RPC system throws for that.
  const auto caught = [&](auto read) { kj::runCatchingExceptions([&] { with_reader(read); }); };
  caught([](auto& r) { read_op(r.template getRoot<wire::OpId>()); });
  caught([](auto& r) { read_acquire(r.template getRoot<wire::Acquire>()); });
  caught([](auto& r) { read_open_lease(r.template getRoot<wire::OpenLease>()); });
  caught([](auto& r) { read_release(r.template getRoot<wire::Release>()); });
  caught([](auto& r) { read_answer(r.template getRoot<wire::Answer>()); });
  caught([](auto& r) { read_lock(r.template getRoot<wire::LockInfo>()); });
  caught([](auto& r) { read_lease(r.template getRoot<wire::LeaseInfo>()); });
  caught([](auto& r) { read_hello(r.template getRoot<wire::peer::Hello>()); });
  caught([](auto& r) { read_refusal(r.template getRoot<wire::peer::Refusal>()); });
  caught([](auto& r) {
    std::string why;
    read_message(r.template getRoot<wire::peer::Message>(), why);
  });
}

}  // namespace

TEST_CASE("convert: no damage to a message does more than have it refused") {
  // Why: one port serves strangers. A seed is kept here, so that what it finds stays found.
  Samples samples(20'250'101);
  const auto sample = [&]() -> kj::Array<capnp::word> {
    switch (samples.below(6)) {
      case 0: return packed<wire::OpId>([&](auto to) { fill_op(samples.op(), to); });
      case 1: return packed<wire::Acquire>([&](auto to) { fill_acquire(samples.acquire(), to); });
      case 2: return packed<wire::Answer>([&](auto to) { fill_answer(samples.answer(), to); });
      case 3: return packed<wire::LockInfo>([&](auto to) { fill_lock(samples.lock_info(), to); });
      case 4: return packed<wire::peer::Hello>([&](auto to) { fill_hello(samples.hello(), to); });
      default:
        return packed<wire::peer::Message>(
            [&](auto to) { fill_message(samples.message(samples.below(Samples::kKinds)), to); });
    }
  };
  for (int round = 0; round < 20'000; ++round) {
    auto words = sample();
    auto* bytes = reinterpret_cast<kj::byte*>(words.begin());
    const size_t size = words.size() * sizeof(capnp::word);
    for (uint64_t hits = 1 + samples.below(8); hits > 0; --hits) {
      // The first word is the segment table, which message_network.cc checks.
      const size_t place = sizeof(capnp::word) + samples.below(size - sizeof(capnp::word));
      switch (samples.below(3)) {
        case 0: bytes[place] ^= static_cast<kj::byte>(1u << samples.below(8)); break;
        case 1: bytes[place] = static_cast<kj::byte>(samples.below(256)); break;
        default: {
          // A whole word: pointers to elsewhere, sizes beyond measure.
          const uint64_t value = samples.number();
          std::memcpy(bytes + place / sizeof value * sizeof value, &value, sizeof value);
        }
      }
    }
    const size_t kept = words.size() - (samples.below(4) == 0 ? samples.below(words.size()) : 0);
    kj::runCatchingExceptions([&] { read_as_everything(words.slice(0, kept)); });
  }
}

}  // namespace holdfast::rpc
