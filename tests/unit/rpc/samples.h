// Random values of everything that goes over the wire, from a seed.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lockcore/base/random.h"
#include "lockcore/locks/command.h"
#include "lockcore/locks/lock_table.h"
#include "lockcore/paxos/message.h"

namespace holdfast::rpc {

class Samples {
 public:
  explicit Samples(uint64_t seed) : random_(seed) {}

  uint64_t below(uint64_t bound) { return random_.below(bound); }
  bool coin() { return below(2) == 1; }
  // Small, large or extreme: each of them has had a bug of its own somewhere.
  uint64_t number() {
    switch (below(4)) {
      case 0: return below(3);
      case 1: return below(1000);
      case 2: return random_.next();
      default: return ~uint64_t{0} - below(2);
    }
  }
  uint32_t small_number() { return static_cast<uint32_t>(number()); }
  std::string bytes(size_t most) {
    std::string out(below(most + 1), '\0');
    for (char& c : out) c = static_cast<char>(below(256));
    return out;
  }
  // `make` up to `most` times.
  template <class Make>
  auto list(size_t most, Make make) {
    std::vector<decltype(make())> out(below(most + 1));
    for (auto& one : out) one = make();
    return out;
  }
  template <class Id>
  Id id() {
    return Id{number()};
  }
  template <class Id>
  std::vector<Id> ids(size_t most) {
    return list(most, [this] { return id<Id>(); });
  }

  // -- of clients and locks -----------------------------------------------------------------------
  base::Mode mode() { return static_cast<base::Mode>(below(6)); }
  base::LockKind kind() { return static_cast<base::LockKind>(below(3)); }
  base::Owner owner() {
    return {bytes(20), number(), bytes(40), bytes(20), bytes(20), bytes(20), bytes(9), number()};
  }
  std::shared_ptr<const base::Owner> shared_owner() {
    return std::make_shared<const base::Owner>(owner());
  }
  locks::OpId op() {
    return {id<base::ClientId>(), number(), number(), list(40, [this] { return number(); })};
  }
  locks::Acquire acquire() {
    auto lock = [this] {
      return locks::LockRequest{bytes(60), mode(), small_number(), small_number(), kind()};
    };
    return {id<base::LeaseId>(),
            id<base::HolderId>(),
            id<base::AgentId>(),
            list(6, lock),
            coin(),
            bytes(60)};
  }
  locks::OpenLease open_lease() { return {number(), number(), bytes(20), owner(), coin()}; }
  locks::AdoptLease adopt_lease() { return {id<base::LeaseId>(), bytes(20), owner()}; }
  locks::Convert convert() {
    return {id<base::LeaseId>(), bytes(60), id<base::Token>(), mode(), id<base::AgentId>(), coin()};
  }
  locks::SetHoldValue set_value() {
    return {id<base::LeaseId>(), bytes(60), id<base::Token>(), bytes(80)};
  }
  locks::Release release() { return {id<base::LeaseId>(), bytes(60), id<base::Token>()}; }
  base::Error error() {
    auto detail = [this] { return std::pair{bytes(20), bytes(20)}; };
    return {static_cast<base::ErrorCode>(below(18)), bytes(80), list(5, detail)};
  }
  locks::Answer answer() {
    switch (below(6)) {
      case 0: return locks::ClientRegistered{id<base::ClientId>()};
      case 1: return locks::LeaseOpened{id<base::LeaseId>(), number(), bytes(16), coin()};
      case 2: return locks::Granted{ids<base::Token>(6)};
      case 3: return locks::Done{id<base::Revision>()};
      case 4: return locks::WaitCancelled{};
      default: return error();
    }
  }
  locks::LockInfo lock_info() {
    auto holder = [this] {
      return locks::HolderInfo{id<base::LeaseId>(),
                               id<base::HolderId>(),
                               mode(),
                               small_number(),
                               id<base::Token>(),
                               number(),
                               bytes(30),
                               bytes(30),
                               shared_owner()};
    };
    auto waiter = [this] {
      return locks::WaiterInfo{id<base::LeaseId>(),
                               id<base::HolderId>(),
                               mode(),
                               small_number(),
                               number(),
                               number(),
                               bytes(30),
                               id<base::Token>(),
                               shared_owner()};
    };
    return {bytes(60),       kind(),         mode(), small_number(), id<base::Revision>(),
            list(4, holder), list(6, waiter)};
  }
  locks::LeaseInfo lease_info() {
    auto hold = [this] { return std::pair{bytes(60), id<base::Token>()}; };
    return {id<base::LeaseId>(), number(),      number(), number(),
            shared_owner(),      list(8, hold), number()};
  }

  // -- of peers -----------------------------------------------------------------------------------
  base::Ballot ballot() { return {number(), id<base::NodeId>()}; }
  base::Slot slot() { return id<base::Slot>(); }
  base::Confirm confirm() { return id<base::Confirm>(); }
  base::Instant instant() { return {static_cast<int64_t>(number())}; }
  base::Entry entry() {
    return {slot(), ballot(), static_cast<base::EntryKind>(below(4)),
            std::make_shared<const std::string>(bytes(300))};
  }
  std::vector<base::Entry> entries() {
    return list(5, [this] { return entry(); });
  }
  paxos::Hello hello() {
    return {id<base::NodeId>(),
            id<base::CellId>(),
            id<base::Incarnation>(),
            number(),
            number(),
            static_cast<base::FoundingState>(below(3)),
            ballot(),
            slot(),
            id<base::ConfigVersion>(),
            static_cast<uint16_t>(number()),
            bytes(30),
            bytes(60)};
  }
  base::SnapshotPart snapshot_part() {
    auto content = std::make_shared<const std::string>(bytes(300));
    return {number() | 1, slot(), number(), number(), std::move(content), number()};
  }
  base::Config config() {
    auto member = [this] {
      return base::Member{id<base::NodeId>(), id<base::Incarnation>(), bytes(30), coin()};
    };
    return {id<base::CellId>(), id<base::ConfigVersion>(), list(5, member)};
  }
  static constexpr size_t kKinds = std::variant_size_v<paxos::Message>;
  paxos::Message message(size_t kind) {
    switch (kind) {
      case 0: return paxos::FoundPropose{config()};
      case 1: return paxos::FoundAck{id<base::CellId>()};
      case 2: return paxos::FoundCommit{id<base::CellId>()};
      case 3: return paxos::Probe{ballot()};
      case 4: return paxos::ProbeReply{ballot(), coin(), ballot()};
      case 5: return paxos::Prepare{ballot(), slot()};
      case 6:
        return paxos::Promise{ballot(), slot(), slot(), entries(), small_number(), small_number()};
      case 7: return paxos::Accept{ballot(), entries(), slot(), confirm()};
      case 8: return paxos::Accepted{ballot(), ids<base::Slot>(20), confirm()};
      case 9: return paxos::Heartbeat{ballot(), slot(), confirm()};
      case 10: return paxos::HeartbeatReply{ballot(), confirm(), slot(), slot(), slot()};
      case 11: return paxos::Reject{ballot(), ballot()};
      case 12: return paxos::TakeOver{ballot(), slot()};
      case 13: return paxos::Fetch{slot(), slot()};
      case 14: return paxos::FetchReply{slot(), slot(), slot(), entries()};
      case 15: return paxos::SnapshotFetch{number(), number(), number()};
      case 16: return paxos::SnapshotReply{number(), snapshot_part()};
      case 17: return paxos::ClockQuery{instant()};
      case 18: return paxos::ClockReply{instant(), instant()};
      case 19: return paxos::ReadIndexQuery{number(), number()};
      default: return paxos::ReadIndexReply{ballot(), number(), number(), slot()};
    }
  }

 private:
  base::Random random_;
};

}  // namespace holdfast::rpc
