// Commands and answers of the replicated state machine, as plain structs, and their bytes.
//
// The bytes are Cap'n Proto messages of base/command.capnp and stay readable by later versions.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "lockcore/base/ballot.h"
#include "lockcore/base/error.h"
#include "lockcore/base/ids.h"
#include "lockcore/base/state_rows.h"

namespace holdfast::locks {

// Which operation of which client this is (DESIGN 7a, after RIFL). client 0: the cell itself.
struct OpId {
  base::ClientId client;
  uint64_t number = 0;             // from 1, never reused by this client
  uint64_t lowest_unanswered = 0;  // everything below was answered: its record may go
  std::vector<uint64_t> answered;  // answered numbers above that, not yet told in another command
};

struct RegisterClient {
  uint64_t ttl_ms = 0;
};
// The client will send nothing more: its record may go. Late copies then meet an unknown client.
struct ForgetClient {};
struct OpenLease {
  uint64_t ttl_ms = 0;
  uint64_t lock_delay_ms = 0;
  std::string secret;  // kSecretBytes random bytes, from the client or the leader's driver
  base::Owner owner;
  bool drop_on_disconnect = false;
};
// A client takes over a living lease with all that is held under it; nothing of it waits any more.
// By this alone nobody may count on the lease for any time: a renewal must follow.
struct AdoptLease {
  base::LeaseId lease;
  std::string secret;
  base::Owner owner;
};
struct CloseLease {
  base::LeaseId lease;
};
// Decided by the leader of `decided` alone: does nothing in another ballot (P13).
struct ExpireLeases {
  base::Ballot decided;
  std::vector<base::LeaseId> leases;
};
struct LockRequest {
  std::string name;
  base::Mode mode = base::Mode::kExclusive;
  uint32_t permits = 1;
  uint32_t capacity = 0;  // of a semaphore; 0: not one
  base::LockKind kind = base::LockKind::kLock;
};
// All of the locks or none. While it waits it is queued for all and holds none of them.
struct Acquire {
  base::LeaseId lease;
  base::HolderId holder;
  base::AgentId agent;
  std::vector<LockRequest> locks;
  bool wait = true;  // false: wouldBlock instead of a place in the queue
  std::string reason;
  std::string value;  // what the holder says of itself from its grant on (see SetHoldValue)
};
// Settles the number of an acquire or convert of the same client: never seen or waiting ->
// cancelled; granted already -> changes nothing and answers with the grant.
struct CancelWait {
  uint64_t target = 0;
};
struct Release {
  base::LeaseId lease;
  std::string lock;
  base::Token token;
};
// Gives a hold another mode. To one that conflicts with no more than before (a downgrade) at once,
// and the token stays. To any other (an upgrade) as soon as no other hold is in the way, ahead of
// all who wait, and with a new token; the hold keeps its mode and token until then.
struct Convert {
  base::LeaseId lease;
  std::string lock;
  base::Token token;
  base::Mode mode = base::Mode::kExclusive;
  base::AgentId agent;
  bool wait = true;
};
// What a holder says of itself: an election's leader proclaims.
struct SetHoldValue {
  base::LeaseId lease;
  std::string lock;
  base::Token token;
  std::string value;
};
// An admin's act: ends the hold that has this token, whosever it is. Recorded with who and why.
struct ForceRelease {
  std::string lock;
  base::Token token;
  std::string reason;
  std::string by;
};
// Moves cell time on when nothing else does, so that a lock-delay ends. What it does is in its
// batch's time, which no leader can have ahead of the clocks; so nothing depends on `decided`.
struct AdvanceTime {
  base::Ballot decided;
};
struct NewLeader {
  base::Ballot ballot;
};
// The membership as it is to be. Does nothing unless its version is the next one: what was decided
// when another configuration held is void (P9).
struct Reconfigure {
  base::Config config;  // without the cell's id
  std::string note;     // what it changes, in words
};

enum class Relation : uint8_t {  // wire values
  kEqual = 0,
  kNotEqual = 1,
  kLess = 2,
  kGreater = 3,
};
// What a key must be like. A key that isn't there has version, revision and create 0, and no value:
// compares of its value hold in no relation.
struct Compare {
  enum class Target : uint8_t { kValue, kVersion, kRevision, kCreate, kHolds };
  std::string key;  // of kHolds: a lock
  Target target = Target::kVersion;
  Relation relation = Relation::kEqual;
  uint64_t number = 0;  // of kHolds: the token that holds it (kEqual), or doesn't (kNotEqual)
  std::string value;    // of kValue
};
struct TxnOp {
  enum class Kind : uint8_t { kGet, kPut, kDelete };
  Kind kind = Kind::kGet;
  std::string key;
  // The rest is of kPut.
  std::string value;
  base::LeaseId lease;      // the key is deleted when it ends; none: it stays
  bool sequential = false;  // a number of kSequenceDigits is appended to the key
};
// Guards, and what is done if they all hold, or if one doesn't. All at once.
struct Txn {
  std::vector<Compare> compare;
  std::vector<TxnOp> then;
  std::vector<TxnOp> orelse;
};
// Remembers how much is left of leases that go unrenewed, so that leaders that come and go don't
// keep them for ever (DESIGN 6). Does nothing in another ballot than `decided` (P13).
struct CheckpointLeases {
  struct Remainder {
    base::LeaseId lease;
    uint64_t left_ms = 0;
  };
  base::Ballot decided;
  std::vector<Remainder> leases;
};
// An admin's act: a drain or a quota begins, is changed, or ends.
struct SetPolicy {
  base::PolicyKey key;
  bool end = false;
  base::QuotaLimits limits;
  std::string reason;
  std::string by;
};

using Body =
    std::variant<RegisterClient, ForgetClient, OpenLease, CloseLease, ExpireLeases, Acquire,
                 CancelWait, Release, NewLeader, Convert, SetHoldValue, ForceRelease, AdvanceTime,
                 Reconfigure, Txn, CheckpointLeases, SetPolicy, AdoptLease>;

struct Command {
  OpId op;
  Body body;
};

// The value of one slot. Times are the proposing leader's.
struct Batch {
  uint64_t cell_time_ms = 0;
  uint64_t wall_ms = 0;
  std::vector<Command> commands;
};

struct ClientRegistered {
  base::ClientId client;
  bool operator==(const ClientRegistered&) const = default;
};
struct LeaseOpened {
  base::LeaseId lease;
  uint64_t ttl_ms = 0;
  std::string secret;
  bool drop_on_disconnect = false;
  bool operator==(const LeaseOpened&) const = default;
};
struct Granted {
  std::vector<base::Token> tokens;  // one per requested lock, in that order
  bool operator==(const Granted&) const = default;
};
struct Done {
  base::Revision revision;
  bool operator==(const Done&) const = default;
};
// CancelWait found nothing granted: the target can't be granted any more.
struct WaitCancelled {
  bool operator==(const WaitCancelled&) const = default;
};

// What became of the operation at the same place. Of a put, `row` has no value, and a key only if
// that was sequential: who asked knows the rest.
struct OpResult {
  enum class Kind : uint8_t { kNone, kFound, kStored, kDeleted, kNotDeleted };
  Kind kind = Kind::kNone;
  base::KeyRow row;  // of kFound and kStored
  bool operator==(const OpResult&) const = default;
};
struct TxnDone {
  bool succeeded = false;   // `then` was done
  base::Revision revision;  // of the state after it
  std::vector<OpResult> results;
  bool operator==(const TxnDone&) const = default;
};

using Answer =
    std::variant<ClientRegistered, LeaseOpened, Granted, Done, WaitCancelled, TxnDone, base::Error>;

// The schema version written into every batch; a node that meets a newer one, or a command that it
// doesn't know, must stop (DESIGN 7).
constexpr uint16_t kBatchVersion = 1;

// The only command of a batch that has just one, if it is a Reconfigure; else null.
const Reconfigure* as_reconfigure(const Batch& batch);
bool has_reconfigure(const Batch& batch);

std::string encode_batch(const Batch& batch);
// nullopt: not a batch of this version; `why` says what is wrong.
std::optional<Batch> decode_batch(std::string_view bytes, std::string& why);

std::string encode_answer(const Answer& answer);
std::optional<Answer> decode_answer(std::string_view bytes);

// A bound on the bytes that a command takes in a batch, cheap to compute.
size_t command_bytes(const Command& command);
// What the keys and values in an answer take; 0 for all but TxnDone.
size_t answer_bytes(const Answer& answer);

// nullopt: acceptable. Checks what doesn't depend on the state: names, ranges, sizes. The leader
// refuses with it before proposing; apply() checks again, since a log may hold anything.
std::optional<base::Error> validate(const Command& command);
std::optional<base::Error> validate_name(std::string_view name);

}  // namespace holdfast::locks
