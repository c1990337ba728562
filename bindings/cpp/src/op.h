// Op: one operation on its way: a caller's, or one that the core started itself.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bindings/cpp/src/messages.h"
#include "lockcore/base/time.h"

namespace holdfast::client {

enum class OpKind : uint8_t {
  // Mutations: numbered, retried with the same number until answered (DESIGN 7a).
  kOpen,
  kAdopt,
  kClose,
  kAcquire,
  kConvert,
  kCancelWait,
  kRelease,
  kSetValue,
  kForce,
  kTxn,
  kPolicy,
  kForget,
  // The others may be sent as often as one likes.
  kRegister,
  kRenew,
  kRead,
  kReadAnywhere,  // for whichever node
  kQuestion,      // a status question of the router or a survey, for one certain node
  kAdopted,       // nothing is sent: until whoever had the lease can't believe in it any more
};

// Why an acquire or convert is being cancelled.
enum class GivingUp : uint8_t {
  kNo,
  kTimeout,    // its time is up
  kCancelled,  // the caller says so
  kRefused,  // a later copy was refused outside the log: what became of the first is to be settled
};

constexpr uint32_t kNoSlot = ~uint32_t{0};

// A lease that is being taken over, from its answer on.
struct Adoption {
  locks::LeaseOpened lease;
  base::Instant usable_from;  // once its time left is known
};

struct Op {
  uint32_t slot = kNoSlot;
  bool used = false;

  OpKind kind = OpKind::kRead;
  Ref ref = 0;
  Request request;
  SessionId session = 0;  // 0: of no session
  // With a caller: when it wants an answer. Without: when nobody cares any more.
  base::Instant deadline = base::kNever;
  bool deadline_until_sent = false;  // the deadline falls away with the first sending

  // Sending.
  uint64_t order = 0;  // of creation: what has to be sent anew is sent in this order
  bool queued = false;
  base::Instant resend_at = base::kNever;  // after a refusal that may pass
  ConnectionId connection = 0;             // in flight there; 0: not in flight
  RequestId in_flight = 0;
  uint32_t attempts = 0;
  base::Instant first_sent;
  base::Instant last_sent;

  // Mutations. Unanswered ones are linked in the order of their numbers; 0: none given yet.
  uint64_t number = 0;
  bool heard = false;  // the cell has applied it, and so taken note of what it told
  uint32_t older = kNoSlot;
  uint32_t younger = kNoSlot;

  // kAcquire, kConvert, kRead, kCancelWait, and a kRelease of a grant that came too late.
  bool wait = false;
  GivingUp giving_up = GivingUp::kNo;
  uint32_t partner = kNoSlot;  // the waiting op's kCancelWait and the other way round
  Failure refusal;             // of kRefused

  // kOpen: becomes a session. kClose: the time after which the lease is surely over.
  bool keep = false;
  base::Duration ttl;

  // kRenew: the sessions, parallel to the leases of the request; empty: a lease of no session.
  std::vector<SessionId> sessions;

  // kRead, kRenew and kAdopted: a step of an adoption.
  std::unique_ptr<Adoption> adoption;

  // kQuestion.
  uint32_t node = 0;
  uint64_t survey = 0;  // 0: the router's

  bool is_mutation() const { return kind <= OpKind::kForget; }
  // Of mutations: the cell lets these go beyond a client's limits, so that it gets out of them.
  bool gives_back() const {
    return kind != OpKind::kOpen && kind != OpKind::kAdopt && !may_queue();
  }
  // Nobody counts on the leader's answer.
  bool is_for_anybody() const { return kind == OpKind::kReadAnywhere || kind == OpKind::kQuestion; }
  // May have to wait in a queue of the cell, and be cancelled there.
  bool may_queue() const { return kind == OpKind::kAcquire || kind == OpKind::kConvert; }
  locks::Command& command() { return std::get<locks::Command>(request); }

  // As new, but the vectors inside `request` and `sessions` may keep their memory.
  void reset() {
    Request kept = std::move(request);
    std::vector<SessionId> kept_sessions = std::move(sessions);
    *this = Op{};
    request = std::move(kept);
    sessions = std::move(kept_sessions);
    sessions.clear();
  }
};

}  // namespace holdfast::client
