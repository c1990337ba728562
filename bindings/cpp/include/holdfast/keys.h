// Holdfast's small keys, transactions over them, and what admins allow: the plain types. The calls
// are Cell's, in holdfast.h, which includes this.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast {

// A small value with a name. Values are bytes, up to 64 KiB.
struct KeyValue {
  std::string key;
  std::string value;
  uint64_t create_revision = 0;  // when it came to be
  uint64_t revision = 0;         // of its last change
  uint64_t version = 0;          // changes since it came to be, that one included
  std::string lease;             // the key is deleted when it ends; empty: it stays

  bool operator==(const KeyValue&) const = default;
};

enum class Relation { equal, not_equal, less, greater };

// A guard of a transaction. A key that isn't there has version, revision and create_revision 0; it
// has no value, so that a compare of its value holds in no relation.
struct Compare {
  enum class Target { value, version, revision, create_revision, holds };
  Target target = Target::version;
  std::string key;  // of `holds`: a lock
  Relation relation = Relation::equal;
  uint64_t number = 0;  // of `holds`: the token
  std::string bytes;    // of `value`

  static Compare value(std::string_view key, Relation relation, std::string bytes) {
    return {Target::value, std::string(key), relation, 0, std::move(bytes)};
  }
  static Compare version(std::string_view key, Relation relation, uint64_t number) {
    return {Target::version, std::string(key), relation, number, {}};
  }
  static Compare revision(std::string_view key, Relation relation, uint64_t number) {
    return {Target::revision, std::string(key), relation, number, {}};
  }
  static Compare create_revision(std::string_view key, Relation relation, uint64_t number) {
    return {Target::create_revision, std::string(key), relation, number, {}};
  }
  static Compare absent(std::string_view key) { return version(key, Relation::equal, 0); }
  // That token holds that lock, as Grant::guard() says.
  static Compare holds(std::string_view lock, uint64_t token) {
    return {Target::holds, std::string(lock), Relation::equal, token, {}};
  }
};

struct TxnOp {
  enum class Kind { get, put, remove };
  Kind kind = Kind::get;
  std::string key;
  // The rest is of `put`.
  std::string value;
  std::string lease;        // deleted when it ends; empty: it stays
  bool sequential = false;  // a ten-digit number is appended: unique and growing under this key

  static TxnOp get(std::string_view key) { return {Kind::get, std::string(key), {}, {}, false}; }
  static TxnOp put(std::string_view key, std::string value, std::string lease = {},
                   bool sequential = false) {
    return {Kind::put, std::string(key), std::move(value), std::move(lease), sequential};
  }
  static TxnOp remove(std::string_view key) {
    return {Kind::remove, std::string(key), {}, {}, false};
  }
};

// What became of the operation at the same place.
struct TxnOpResult {
  TxnOp::Kind kind = TxnOp::Kind::get;
  std::optional<KeyValue> pair;  // of a put, and of a get if the key was there
  bool removed = false;          // of a remove: it was there
};
struct TxnResult {
  bool succeeded = false;  // the compares held: `then` was done, else `orelse`
  uint64_t revision = 0;   // of the cell after it
  std::vector<TxnOpResult> results;
};

struct PutOptions {
  std::string lease;        // the key is deleted when it ends; empty: it stays
  bool sequential = false;  // a ten-digit number is appended to the key
  // It is put only if this holds; else the put throws `conflict`.
  std::optional<Compare> guard;
};

struct ReadOptions {
  // Whichever node is reached first answers from what it knows, also without a majority.
  bool stale = false;
  // The same node answers, but linearizably: it asks the leader how new its answer has to be. So
  // learners and followers near to clients take reads off the leader.
  bool anywhere = false;
};
// How old an answer is: as of that revision. `age_ms` says how long before, at most, the node that
// answered last heard from a leader; 0 from the leader itself.
struct AsOf {
  uint64_t revision = 0;
  uint64_t age_ms = 0;
};

// A drain: nothing is granted under its prefix, neither to newcomers nor to those who wait; what is
// held stays.
struct Drain {
  std::string prefix;
  std::string reason;
  std::string by;
  int64_t since_ms = 0;  // wall time
};

// 0: no limit.
struct QuotaLimits {
  uint64_t leases = 0;
  uint64_t locks = 0;    // held or waited for
  uint64_t waiters = 0;  // waited for
  uint64_t bytes = 0;    // of keys and their values

  bool operator==(const QuotaLimits&) const = default;
};
struct Quota {
  bool of_owner = false;  // of what a user's leases have; else of what is under a prefix
  std::string name;       // the user, or the prefix
  QuotaLimits limits;
  QuotaLimits used;
  std::string reason;
  std::string by;
  int64_t since_ms = 0;  // wall time
};

}  // namespace holdfast
