// What the client core says and hears, as plain data: requests to nodes and their responses,
// effects for the driver, outcomes for callers.
#pragma once

#include <holdfast/holdfast.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "lockcore/base/ballot.h"
#include "lockcore/base/error.h"
#include "lockcore/base/ids.h"
#include "lockcore/base/snapshot.h"
#include "lockcore/base/time.h"
#include "lockcore/locks/command.h"

namespace holdfast::client {

using Ref = uint64_t;           // a caller's call, as the caller names it; 0: nobody waits for it
using ConnectionId = uint64_t;  // never reused; 0: none
using RequestId = uint64_t;     // never reused; 0: none
using SessionId = uint64_t;     // never reused; 0: none

// A failed call. Becomes a holdfast::Error where callers see it.
struct Failure {
  Code code = Code::internal;
  std::string message;
  std::vector<std::pair<std::string, std::string>> detail;
};
Failure to_failure(const base::Error& error);

// -- requests to a node --------------------------------------------------------------------------
struct RegisterRequest {};
struct RenewRequest {
  std::vector<base::LeaseId> leases;
  base::ClientId client;  // whose they are; 0: leases of no session
};
struct DescribeRequest {
  std::string name;
};
struct VerifyRequest {
  std::string name;
  base::Token token;
};
struct LocksRequest {
  std::string prefix;
  std::string after;
  uint32_t limit = 0;
};
struct LeaseRequest {
  base::LeaseId lease;
};
struct LeasesRequest {
  base::LeaseId after;
  uint32_t limit = 0;
};
struct SnapshotRequest {
  base::SnapshotId id = 0;  // 0: begin one
  uint64_t offset = 0;
  base::Slot at_least;  // of a new one; 0: all that is so by now
};
struct EventsRequest {
  EventsQuery query;
  bool from_now = false;
  uint32_t wait_ms = 0;  // not 0: until there is something, however long the cell is away
  bool stale = false;
};
struct SqlRequest {
  std::string query;
};
struct WhyRequest {
  std::string name;  // empty: of the lease
  base::LeaseId lease;
};
struct GetRequest {
  std::string key;
  bool stale = false;
  bool anywhere = false;  // else from the leader
};
struct KeysRequest {
  std::string prefix;
  std::string after;
  uint32_t limit = 0;
  bool stale = false;
  bool anywhere = false;
};
struct PoliciesRequest {};
struct BarrierRequest {};
struct StatusRequest {
  bool verify = false;
};
struct TransferRequest {
  uint64_t to = 0;
};
struct MemberRequest {
  enum class Kind : uint8_t { add, promote, remove, update } kind = Kind::add;
  uint64_t node = 0;
  std::string address;  // of add and update
};

// What may be repeated as it is, without a number. The last two are no reads, but say how things
// are to be.
using ReadRequest =
    std::variant<DescribeRequest, VerifyRequest, LocksRequest, LeaseRequest, LeasesRequest,
                 EventsRequest, SqlRequest, WhyRequest, SnapshotRequest, BarrierRequest,
                 TransferRequest, MemberRequest, GetRequest, KeysRequest, PoliciesRequest>;
using Request =
    std::variant<locks::Command, RegisterRequest, RenewRequest, DescribeRequest, VerifyRequest,
                 LocksRequest, LeaseRequest, LeasesRequest, EventsRequest, SqlRequest, WhyRequest,
                 SnapshotRequest, BarrierRequest, StatusRequest, TransferRequest, MemberRequest,
                 GetRequest, KeysRequest, PoliciesRequest>;

// -- responses of a node -------------------------------------------------------------------------
// The call failed with an RPC exception that is not the connection's end.
struct CallFailed {
  Code code = Code::internal;
  std::string message;
};
struct RenewResponse {
  std::vector<bool> alive;  // in the order asked
};
struct Verified {
  bool valid = false;
};
struct LocksPage {
  std::vector<LockInfo> locks;
  bool more = false;
};
struct LeasesPage {
  std::vector<LeaseInfo> leases;
  bool more = false;
};
struct Barrier {
  base::Slot slot;
};
struct KeyFound {
  std::optional<KeyValue> pair;
  AsOf as_of;
};
struct KeysPage {
  std::vector<KeyValue> keys;
  bool more = false;
  AsOf as_of;
};
struct PolicyList {
  std::vector<Drain> drains;
  std::vector<Quota> quotas;
};
struct StatusResponse {
  NodeStatus node;
  uint64_t cell = 0;
  uint64_t revision = 0;
  base::Ballot ballot;
  bool active = false;  // leads, and its NewLeader is applied
  uint64_t leader = 0;  // the id of the leader that it knows; 0: none
  std::string leader_address;
  std::vector<Member> members;
  uint64_t config_version = 0;
};
struct Transferred {
  uint64_t leader = 0;
};

using Response =
    std::variant<CallFailed, base::Error, locks::Answer, RenewResponse, LockInfo, Verified,
                 LocksPage, LeaseInfo, LeasesPage, EventsPage, SqlRows, Why, base::SnapshotPart,
                 Barrier, StatusResponse, Transferred, Membership, KeyFound, KeysPage, PolicyList>;

// -- outcomes for callers ------------------------------------------------------------------------
struct Opened {
  SessionId session = 0;  // 0: of a lease that its owner keeps alive
  base::LeaseId lease;
  std::string secret;
  uint64_t ttl_ms = 0;
  base::Instant deadline;
};
struct Granted {
  std::vector<base::Token> tokens;  // one per lock, in the order of the request
};
struct NotAcquired {};  // surely not, now or later
struct Done {};
struct Renewed {
  base::Instant deadline;  // zero: of a lease whose ttl isn't known here
  base::Instant sent;      // of the attempt that was answered
};

using Outcome = std::variant<Failure, Opened, Granted, NotAcquired, Done, Renewed, LockInfo,
                             Verified, LocksPage, LeaseInfo, LeasesPage, EventsPage, SqlRows, Why,
                             base::SnapshotPart, Barrier, CellStatus, Transferred, Membership,
                             KeyFound, KeysPage, PolicyList, locks::TxnDone>;

struct Completion {
  Ref ref = 0;
  Outcome outcome;
};

// What became of a session, apart from its calls.
struct DeadlineMoved {
  base::Instant deadline;
};
struct Jeopardy {
  base::Duration left;
};
struct Lost {
  Failure why;
};
struct Closed {};  // on purpose, or detached from its lease
struct SessionEvent {
  SessionId session = 0;
  std::variant<DeadlineMoved, Jeopardy, Lost, Closed> what;
};

// -- effects -------------------------------------------------------------------------------------
// The driver carries them out in the order of the fields. `body` points into the core and is good
// until the next event.
struct Effects {
  struct Connect {
    ConnectionId connection = 0;
    std::string address;
  };
  struct Send {
    ConnectionId connection = 0;
    RequestId request = 0;
    const Request* body = nullptr;
  };
  struct Drop {  // nobody waits for this answer any more
    ConnectionId connection = 0;
    RequestId request = 0;
  };
  std::vector<Connect> connects;
  std::vector<Send> sends;
  std::vector<Drop> drops;
  std::vector<ConnectionId> closes;
  std::vector<Completion> completions;
  std::vector<SessionEvent> session_events;
  bool shut_down = false;  // all is said: the driver may end

  void clear() {
    connects.clear();
    sends.clear();
    drops.clear();
    closes.clear();
    completions.clear();
    session_events.clear();
    shut_down = false;
  }
};

}  // namespace holdfast::client
