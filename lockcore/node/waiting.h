// Waiting: which calls of this node's clients wait, and for what.
//
// Two kinds. A mutation waits for its operation to be applied, found by (client, number); several
// calls may wait for one operation, since retries attach (DESIGN 7a). A renewal, a read or a lookup
// waits for a confirm round that began after it arrived (P8).
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <unordered_map>
#include <variant>
#include <vector>

#include "lockcore/base/ids.h"
#include "lockcore/base/state_rows.h"
#include "lockcore/locks/command.h"
#include "lockcore/node/effects.h"

namespace holdfast::node {

struct AnswerKeyHash {
  size_t operator()(const base::AnswerKey& key) const noexcept {
    return std::hash<base::ClientId>{}(key.client) ^ (key.number * 0xD6E8FEB86659FD93ULL);
  }
};

// Calls that wait for an operation.
class OperationWaits {
 public:
  bool contains(const base::AnswerKey& key) const { return refs_.contains(key); }
  void add(const base::AnswerKey& key, ClientRef ref);
  void drop(ClientRef ref);
  // Removes and visits everybody who waits for `key`.
  void take(const base::AnswerKey& key, const std::function<void(ClientRef)>& visit);
  void take_all(const std::function<void(ClientRef)>& visit);

 private:
  std::unordered_multimap<base::AnswerKey, ClientRef, AnswerKeyHash> refs_;
  std::unordered_map<ClientRef, base::AnswerKey> keys_;  // the inverse
};

// Calls that wait for a confirm round.
struct RenewCall {
  ClientRef ref = 0;
  RenewRequest request;
  std::vector<Renewal> answers;     // empty before the round is through, then one for every lease;
  std::vector<uint32_t> undecided;  // but not yet for these: their end is proposed
};
struct ReadCall {
  ClientRef ref = 0;
  base::Slot chosen;  // was known chosen when it came: has to be applied
};
// A mutation whose fate may be recorded already: the record is looked up after a confirm round,
// before anything is refused (DESIGN 7a).
struct LookupCall {
  ClientRef ref = 0;
  locks::Command command;
};
// A membership change is decided by what is known after a confirm round.
struct AdminCall {
  ClientRef ref = 0;
  AdminRequest request;
};
struct ConfirmWait {
  base::Confirm needed;
  std::variant<RenewCall, ReadCall, LookupCall, AdminCall> call;
};

}  // namespace holdfast::node
