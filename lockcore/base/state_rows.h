// The rows of state.db: what locks/ hands to store/, and gets back at start (DESIGN 8).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lockcore/base/ballot.h"
#include "lockcore/base/config.h"
#include "lockcore/base/ids.h"

namespace holdfast::base {

// Who stands behind a lease, as it said itself; shown wherever a holder is shown.
struct Owner {
  std::string host;
  uint64_t pid = 0;
  std::string boot_id;
  std::string program;
  std::string user;
  std::string reason;
  std::string version;         // of the client library
  uint64_t started_at_ms = 0;  // wall time of the process's start, unix ms

  bool operator==(const Owner&) const = default;
};

// For tables of owners. Takes every field in: owners are what clients say of themselves, and one
// that finds a field which isn't would make every look-up walk through all that it sent.
uint64_t hash_of(const Owner& owner);

enum class Mode : uint8_t {  // wire values; the six classic modes of the VMS lock manager
  kNull = 0,
  kConcurrentRead = 1,
  kConcurrentWrite = 2,
  kShared = 3,  // protected read
  kProtectedWrite = 4,
  kExclusive = 5,
};

// What a name stands for while it lives. Of one name there is one kind at a time.
enum class LockKind : uint8_t {  // wire values
  kLock = 0,
  kSemaphore = 1,  // counts permits instead of comparing modes
  kElection = 2,   // an exclusive lock whose holder leads, and says something of itself
};

struct MetaRow {
  Slot applied;
  Revision revision;
  uint64_t cell_time_ms = 0;
  uint64_t wall_ms = 0;          // of the last applied batch; for people
  ConfigVersion config_version;  // 0: as founded
  Ballot leader;                 // ballot of the last applied NewLeader (P13)
  uint64_t event_digest = 0;     // chained over all events ever; part of the digest
  // Sequential names under a prefix that has no SequenceRow begin above this.
  uint64_t sequence_floor = 0;

  bool operator==(const MetaRow&) const = default;
};

struct LeaseRow {
  LeaseId id;
  ClientId client;
  uint64_t ttl_ms = 0;
  uint64_t lock_delay_ms = 0;
  std::string secret;  // kSecretBytes
  std::shared_ptr<const Owner> owner;
  uint64_t opened_wall_ms = 0;
  // What was left of it at its last checkpoint: all that a new leader gives it. 0: none was made
  // since it was opened or renewed.
  uint64_t left_ms = 0;
  // Whoever had it before it was adopted: that client's requests find no such lease any more.
  ClientId former;
  bool drop_on_disconnect = false;  // ends soon after the connection that renews it
};

// A lock exists while it has holders or waiters, or stays closed after the loss of a holder.
struct LockRow {
  std::string name;
  Revision revision;      // of its last change
  uint32_t capacity = 0;  // permits of a semaphore; 0: not one
  LockKind kind = LockKind::kLock;
  // A lock-delay: until that cell time it is as if its lost holders were still there. 0: none.
  uint64_t delay_until_ms = 0;
  uint32_t delay_blocks = 0;   // modes that can't be granted: one bit each, by value
  uint64_t delay_permits = 0;  // of a semaphore: how many are missing
};

struct HoldRow {
  Token token;  // unique: the key
  std::string lock;
  LeaseId lease;
  HolderId holder;
  AgentId agent;
  Mode mode = Mode::kExclusive;
  uint32_t permits = 1;
  uint64_t acquired_wall_ms = 0;
  uint64_t acquired_cell_ms = 0;
  uint64_t number = 0;  // the client's number of the acquire, or of the last upgrade
  std::string reason;
  std::string value;  // what its holder says of itself: an election's leader
};

struct WaiterRow {
  Revision queued;  // unique: the key, and the order
  std::string lock;
  LeaseId lease;
  HolderId holder;
  AgentId agent;
  Mode mode = Mode::kExclusive;
  uint32_t permits = 1;
  uint64_t since_wall_ms = 0;
  uint64_t since_cell_ms = 0;
  ClientId client;
  // This operation's record is pending (DESIGN 7a). The rows of one operation are one request for
  // several locks, in the order in which it named them.
  uint64_t number = 0;
  std::string reason;
  Token converts;     // the hold whose mode it is to change; none: a new hold
  std::string value;  // what its holder will say of itself
};

struct ClientRow {
  ClientId id;
  uint64_t lowest_unanswered = 1;
  std::vector<std::pair<uint64_t, uint64_t>> acked;  // closed ranges above lowest_unanswered
  uint64_t last_use_cell_ms = 0;
  uint64_t ttl_ms = 0;
};

struct AnswerKey {
  ClientId client;
  uint64_t number = 0;

  auto operator<=>(const AnswerKey&) const = default;
};

struct AnswerRow {
  AnswerKey key;
  std::string answer;  // a serialized base Answer message
};

struct KeyRow {
  std::string key;
  std::string value;
  Revision create;
  Revision revision;     // of its last change; unique
  uint64_t version = 0;  // changes since it came to be, that one included
  LeaseId lease;         // it goes when this one ends; none: it stays

  bool operator==(const KeyRow&) const = default;
};

// The last number given to a sequential name under this prefix.
struct SequenceRow {
  std::string prefix;
  uint64_t last = 0;
  Revision revision;  // of that use; unique
};

enum class PolicyKind : uint8_t {  // wire values
  kDrain = 0,
  kPrefixQuota = 1,
  kOwnerQuota = 2,
};

struct PolicyKey {
  PolicyKind kind = PolicyKind::kDrain;
  std::string name;  // a prefix, or an owner's user

  auto operator<=>(const PolicyKey&) const = default;
};

// Of a quota; 0: no limit.
struct QuotaLimits {
  uint64_t leases = 0;
  uint64_t locks = 0;  // held or waited for
  uint64_t waiters = 0;
  uint64_t bytes = 0;  // of keys and their values

  bool operator==(const QuotaLimits&) const = default;
};

// A rule that an admin made.
struct PolicyRow {
  PolicyKey key;
  QuotaLimits limits;
  std::string reason;
  std::string by;
  uint64_t since_wall_ms = 0;
};

enum class EventType : uint8_t {
  kGrant = 0,
  kRelease = 1,
  kExpire = 2,
  kForce = 3,
  kQueue = 4,
  kCancel = 5,
  kConvert = 6,
  kDelay = 7,
  kValue = 8,
  kPut = 9,
  kDelete = 10,
  kLeaseOpen = 11,
  kLeaseClose = 12,
  kLeaseExpire = 13,
  kDeadlock = 14,
  kMember = 15,  // a membership change
  kPolicy = 16,
};
constexpr EventType kLastEventType = EventType::kPolicy;

// One change, told to people and watchers. Its revision is unique: every event takes one.
struct EventRow {
  Revision revision;
  EventType type = EventType::kGrant;
  std::string name;  // lock or key; empty for leases
  Token token;
  LeaseId lease;
  std::shared_ptr<const Owner> owner;  // of the lease; may be null
  const char* cause = "";              // static string: "released", "expired", "closed", ...
  uint64_t at_wall_ms = 0;
  uint64_t at_cell_ms = 0;
  Mode mode = Mode::kNull;  // of a hold or wait
  uint32_t permits = 0;
  uint64_t waited_ms = 0;  // a grant, conversion or cancel: in the queue, by cell time
  uint64_t held_ms = 0;    // a hold's end: how long it lasted, by cell time
  std::string note;        // in people's words: what for, or why it was forced and by whom
  std::string value;       // of a put; what the holder says of itself
};
using EventRows = std::vector<EventRow>;

template <class Row, class Key>
struct Changes {
  std::vector<Row> put;    // insert or replace
  std::vector<Key> erase;  // may name rows that never reached the disk
};

// All that changed since the last one, together with the slot through which it is true.
// One transaction of state.db.
struct StateWrite {
  MetaRow meta;
  Changes<LeaseRow, LeaseId> leases;
  Changes<LockRow, std::string> locks;
  Changes<HoldRow, Token> holds;
  Changes<WaiterRow, Revision> waiters;
  Changes<ClientRow, ClientId> clients;
  Changes<AnswerRow, AnswerKey> answers;
  std::optional<Config> config;  // replaces all members, if it changed
  Changes<KeyRow, std::string> keys;
  Changes<SequenceRow, std::string> sequences;
  Changes<PolicyRow, PolicyKey> policies;
  std::shared_ptr<const EventRows> events;  // ascending; null: none
};

// Everything in state.db but the events.
struct StateRows {
  MetaRow meta;
  std::vector<LeaseRow> leases;
  std::vector<LockRow> locks;
  std::vector<HoldRow> holds;
  std::vector<WaiterRow> waiters;
  std::vector<ClientRow> clients;
  std::vector<AnswerRow> answers;
  Config config;  // version 0: as founded (log.db has the record); the cell's id is in log.db alone
  std::vector<KeyRow> keys;
  std::vector<SequenceRow> sequences;
  std::vector<PolicyRow> policies;
};

// "grant", "lease-open" and so on, as users see them.
const char* event_type_name(EventType type);
// "exclusive", "shared", "protected-write", ... as users see them.
const char* mode_name(Mode mode);
// "lock", "semaphore", "election"
const char* kind_name(LockKind kind);
// "drain", "prefix-quota", "owner-quota"
const char* policy_name(PolicyKind kind);

}  // namespace holdfast::base
