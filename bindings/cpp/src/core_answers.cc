// Core: what responses mean: answers, refusals that pass, refusals that stay, unknown outcomes.
#include <algorithm>
#include <utility>

#include "bindings/cpp/src/core.h"
#include "bindings/cpp/src/lease_time.h"
#include "lockcore/base/mutant.h"

namespace holdfast::client {

using base::Duration;
using base::ErrorCode;
using base::Instant;
using base::kNever;

namespace {

// A refusal that may have come before the log: nobody took note of what the command carried.
bool may_come_before_the_log(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInternal:
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kResourceExhausted:
    case ErrorCode::kPermissionDenied:
    case ErrorCode::kUnauthenticated:
    case ErrorCode::kUnsupported: return true;
    default: return false;
  }
}

// A token for each lock that was asked for.
bool fits(Op& op, const locks::Granted& granted) {
  const auto* acquire = std::get_if<locks::Acquire>(&op.command().body);
  return granted.tokens.size() == (acquire == nullptr ? 1 : acquire->locks.size());
}

}  // namespace

// -- answers --------------------------------------------------------------------------------------

void Core::on_answer(Op& op, const locks::Answer& answer, Instant now, Effects& fx) {
  op.heard = true;
  if (op.kind == OpKind::kCancelWait) return on_cancel_answer(op, answer, now, fx);
  if (const auto* registered = std::get_if<locks::ClientRegistered>(&answer)) {
    if (op.kind == OpKind::kRegister) {
      client_ = registered->client;
      registering_ = false;
      to_tell_.clear();
      return finish(op, fx);
    }
  } else if (const auto* opened = std::get_if<locks::LeaseOpened>(&answer)) {
    if (op.kind == OpKind::kOpen) return on_opened(op, *opened, now, fx);
    if (op.kind == OpKind::kAdopt) return on_adopted(op, *opened, now, fx);
  } else if (const auto* granted = std::get_if<locks::Granted>(&answer)) {
    if (op.may_queue() && fits(op, *granted)) return on_granted(op, granted->tokens, fx);
  } else if (const auto* done = std::get_if<locks::TxnDone>(&answer)) {
    if (op.kind == OpKind::kTxn) return on_txn_done(op, *done, fx);
  } else if (std::holds_alternative<locks::Done>(answer)) {
    if (op.giving_up != GivingUp::kNo) return conclude(op, given_up_outcome(op), fx);
    return conclude(op, Done{}, fx);
  }
  conclude(op, Failure{Code::internal, "the cell's answer doesn't fit the question", {}}, fx);
}

void Core::on_opened(Op& op, const locks::LeaseOpened& opened, Instant now, Effects& fx) {
  Duration ttl = Duration::from_ms(static_cast<int64_t>(opened.ttl_ms));
  const Instant since = HF_MUTANT(open_counts_from_retry) ? op.last_sent : op.first_sent;
  Instant deadline = local_deadline(since, ttl);
  if (op.ref == 0 || deadline <= now) {
    // Nobody waits for it any more, or it is of no use any more: others needn't wait for its end.
    close_lease(0, 0, opened.lease, ttl, now + ttl + kCancelGrace);
    return conclude(op, Failure{Code::unavailable, "the lease was opened too late", {}}, fx);
  }
  Opened outcome{0, opened.lease, opened.secret, opened.ttl_ms, deadline};
  if (op.keep) {
    const Session& session = add_session(opened, since, now);
    outcome.session = session.id;
    outcome.deadline = session.deadline;
  }
  conclude(op, std::move(outcome), fx);
}

void Core::on_granted(Op& op, const std::vector<base::Token>& tokens, Effects& fx) {
  const bool wanted = op.giving_up == GivingUp::kNo || op.giving_up == GivingUp::kRefused;
  // A conversion that came through is told even if its time was up: the hold has another token now.
  if (op.kind == OpKind::kConvert || (wanted && op.ref != 0)) {
    return conclude(op, Granted{tokens}, fx);
  }
  if (HF_MUTANT(late_grant_kept)) return conclude(op, given_up_outcome(op), fx);
  give_back(op, tokens);
  conclude(op, Done{}, fx);
}

// What was asked for isn't sent back: keys and values of puts are completed from the request.
void Core::on_txn_done(Op& op, locks::TxnDone done, Effects& fx) {
  const auto& txn = std::get<locks::Txn>(op.command().body);
  const std::vector<locks::TxnOp>& ops = done.succeeded ? txn.then : txn.orelse;
  if (done.results.size() != ops.size()) {
    return conclude(op, Failure{Code::internal, "the cell's answer doesn't fit the question", {}},
                    fx);
  }
  for (size_t i = 0; i < ops.size(); ++i) {
    base::KeyRow& row = done.results[i].row;
    if (done.results[i].kind != locks::OpResult::Kind::kStored) continue;
    if (row.key.empty()) row.key = ops[i].key;
    row.value = ops[i].value;
  }
  conclude(op, std::move(done), fx);
}

// The acquire came through although its caller was told, or is about to be told, that it didn't.
void Core::give_back(Op& acquire, const std::vector<base::Token>& tokens) {
  Session* session = sessions_.find(acquire.session);
  if (acquire.session != 0 && (session == nullptr || !session->alive)) return;  // ends anyway
  for (size_t i = 0; i < tokens.size(); ++i) {
    // Of several the caller hears when the last one is back: they are sent in this order.
    const bool is_last = i + 1 == tokens.size();
    const Ref ref = is_last ? std::exchange(acquire.ref, 0) : 0;
    Op& op = make(OpKind::kRelease, ref, ref != 0 ? acquire.deadline : kNever);
    op.giving_up = acquire.giving_up;
    op.session = acquire.session;
    if (session != nullptr) ++session->ops;
    const auto& body = std::get<locks::Acquire>(acquire.command().body);
    make_command(op).body = locks::Release{body.lease, body.locks[i].name, tokens[i]};
    submit(op);
  }
}

void Core::on_renew_response(Op& op, const RenewResponse& response, Instant now, Effects& fx) {
  Instant sent = HF_MUTANT(deadline_from_answer) ? now : op.last_sent;
  bool single = response.alive.size() == 1 && response.alive[0];
  if (op.sessions.empty()) {
    if (single && op.adoption) return on_adoption_renewed(op, sent, now, fx);
    if (single) return conclude(op, Renewed{{}, sent}, fx);
    return conclude(op, Failure{Code::lease_not_found, "the lease is not there any more", {}}, fx);
  }
  for (size_t i = 0; i < op.sessions.size(); ++i) {
    Session* session = sessions_.find(op.sessions[i]);
    if (session == nullptr || !session->alive) continue;
    if (i >= response.alive.size()) {
      sessions_.on_unanswered(*session, now + kRefusedPause);
    } else if (!response.alive[i]) {
      lose(*session, {Code::lease_lost, "the cell says that the lease is not there any more", {}},
           false, now, fx);
    } else if (sessions_.on_renewed(*session, sent)) {
      fx.session_events.push_back({session->id, DeadlineMoved{session->deadline}});
    }
  }
  const Session* session = sessions_.find(op.sessions[0]);
  conclude(op, Renewed{session != nullptr ? session->deadline : Instant{}, sent}, fx);
}

void Core::conclude(Op& op, Outcome outcome, Effects& fx) {
  complete(op, std::move(outcome), fx);
  if (op.partner != kNoSlot && op.may_queue()) {
    // Its cancelling needn't begin any more; if it has, the number is answered in its time.
    Op& cancel = ops_.at(op.partner);
    if (cancel.attempts == 0) finish(cancel, fx);
  }
  finish(op, fx);
}

// -- cancelling -----------------------------------------------------------------------------------

void Core::give_up(Op& op, GivingUp why, Instant now, Effects& fx) {
  HF_ASSERT(op.may_queue() && op.attempts > 0 && op.partner == kNoSlot);
  op.giving_up = why;
  if (op.kind == OpKind::kAcquire) ++unsettled_;
  if (op.queued) {
    op.queued = false;  // the cancelling settles it; it isn't sent again
    --queued_ops_;
  }
  op.resend_at = kNever;
  // Without a caller it keeps the one that it has, if any.
  if (op.kind == OpKind::kConvert) {
    op.deadline = kNever;
  } else if (op.ref != 0) {
    op.deadline = now + kCancelGrace;
  }
  arm(op);
  Op& cancel = make(OpKind::kCancelWait, 0, kNever);
  cancel.session = op.session;
  if (Session* session = sessions_.find(op.session)) ++session->ops;
  cancel.partner = op.slot;
  op.partner = cancel.slot;
  make_command(cancel).body = locks::CancelWait{op.number};
  submit(cancel);
  (void)fx;
}

Outcome Core::given_up_outcome(const Op& op) const {
  switch (op.giving_up) {
    case GivingUp::kNo:
    case GivingUp::kTimeout: break;
    case GivingUp::kCancelled: return Failure{Code::cancelled, "the wait was cancelled", {}};
    case GivingUp::kRefused: return op.refusal;
  }
  return NotAcquired{};
}

void Core::on_cancel_answer(Op& cancel, const locks::Answer& answer, Instant now, Effects& fx) {
  Op* acquire = cancel.partner != kNoSlot ? &ops_.at(cancel.partner) : nullptr;
  finish(cancel, fx);  // unlinks the two
  if (acquire == nullptr) return;
  const auto* granted = std::get_if<locks::Granted>(&answer);
  if (granted != nullptr && fits(*acquire, *granted)) {
    on_granted(*acquire, granted->tokens, fx);
  } else if (const auto* error = std::get_if<base::Error>(&answer)) {
    on_acquire_error(*acquire, *error, now, fx);  // what the acquire itself was answered
  } else {
    conclude(*acquire, given_up_outcome(*acquire), fx);
  }
}

// -- refusals -------------------------------------------------------------------------------------

void Core::on_error(Op& op, const base::Error& error, ConnectionId from, Instant now, Effects& fx) {
  switch (error.code) {
    case ErrorCode::kNotLeader:
      router_.on_not_leader(from, error, now, fx);
      // That node has no leader to ask: whoever leads will do.
      if (op.kind == OpKind::kReadAnywhere) op.kind = OpKind::kRead;
      return requeue(op, now, fx);
    case ErrorCode::kUnavailable: router_.on_unavailable(from); return requeue(op, now, fx);
    case ErrorCode::kUnknownClient:
      if (op.is_mutation()) return on_unknown_client(op, now, fx);
      break;
    case ErrorCode::kResourceExhausted: return on_refused(op, error, now, fx);
    default: break;
  }
  on_final_error(op, error, now, fx);
}

// A limit was reached. That refusal didn't go through the log, so it is final only for a first and
// only attempt (DESIGN 7a): of two copies, one may be refused while the other is being chosen.
void Core::on_refused(Op& op, const base::Error& error, Instant now, Effects& fx) {
  switch (op.kind) {
    case OpKind::kAcquire:
    case OpKind::kConvert:
      if (op.attempts == 1 || HF_MUTANT(refusal_of_a_copy)) break;
      // It is being given up already: what its first copy did comes out with the cancelling.
      if (op.giving_up != GivingUp::kNo) return;
      op.refusal = to_failure(error);
      return give_up(op, GivingUp::kRefused, now, fx);
    case OpKind::kOpen:
    case OpKind::kAdopt:
    case OpKind::kTxn:
    case OpKind::kPolicy:
      if (op.attempts == 1) break;
      return pause(op, now);
    case OpKind::kClose:
    case OpKind::kCancelWait:
    case OpKind::kRelease:
    case OpKind::kRegister: return pause(op, now);  // these end things: worth another try
    default: break;
  }
  on_final_error(op, error, now, fx);
}

void Core::pause(Op& op, Instant now) {
  op.resend_at = now + kRefusedPause;
  arm(op);
}

void Core::drop_number(Op& op) {
  (op.older == kNoSlot ? oldest_ : ops_.at(op.older).younger) = op.younger;
  (op.younger == kNoSlot ? youngest_ : ops_.at(op.younger).older) = op.older;
  op.older = op.younger = kNoSlot;
  op.number = 0;
  --numbered_;
}

// The cell has no record of this client (it expired, or the cell was restored): numbers given under
// that id mean nothing any more, and late copies are refused.
void Core::on_unknown_client(Op& op, Instant now, Effects& fx) {
  if (op.command().op.client == client_) {
    client_ = {};
    to_tell_.clear();
  }
  // A first and only attempt surely had no effect. To release a token or close a lease twice is the
  // same as once.
  bool repeatable = op.attempts == 1 || op.kind == OpKind::kRelease || op.kind == OpKind::kClose;
  if (repeatable && op.kind != OpKind::kCancelWait && op.kind != OpKind::kForget &&
      op.giving_up != GivingUp::kTimeout && op.giving_up != GivingUp::kCancelled) {
    drop_number(op);
    op.attempts = 0;
    return enqueue(op, true);
  }
  Failure unknown{
      Code::unavailable, "the cell has forgotten this client; the outcome is unknown", {}};
  if (op.kind == OpKind::kCancelWait && op.partner != kNoSlot) {
    Op& acquire = ops_.at(op.partner);
    finish(op, fx);
    return conclude(acquire, std::move(unknown), fx);
  }
  conclude(op, std::move(unknown), fx);
  (void)now;
}

// Another cell leads at these addresses: a restored one, or one that was founded anew. Numbers,
// clients and leases of the old one mean nothing there, or somebody else's.
void Core::leave_cell(Instant now, Effects& fx) {
  std::vector<SessionId> open;
  sessions_.for_each([&](Session& session) {
    if (session.alive) open.push_back(session.id);
  });
  for (SessionId id : open) {
    lose(*sessions_.find(id), {Code::lease_lost, "another cell answers at its addresses", {}},
         false, now, fx);
  }
  client_ = {};
  to_tell_.clear();
  Failure gone{Code::unavailable, "another cell answers now; the outcome is unknown", {}};
  for (uint32_t slot = 0; slot < ops_.slots(); ++slot) {
    Op* op = ops_.find(slot);
    if (op == nullptr) continue;
    if (op->kind == OpKind::kRegister) registering_ = false;
    bool fresh_open = op->kind == OpKind::kOpen && op->number == 0;
    bool elsewhere = op->kind == OpKind::kRead || op->is_for_anybody();
    if (!fresh_open && !elsewhere) conclude(*op, gone, fx);
  }
}

void Core::on_final_error(Op& op, const base::Error& error, Instant now, Effects& fx) {
  op.heard = !may_come_before_the_log(error.code);
  switch (op.kind) {
    case OpKind::kAcquire:
    case OpKind::kConvert: return on_acquire_error(op, error, now, fx);
    case OpKind::kCancelWait: return on_cancel_answer(op, error, now, fx);
    case OpKind::kRelease: return on_release_error(op, error, now, fx);
    case OpKind::kRegister: return pause(op, now);
    case OpKind::kClose:
      // The session's lease is over, which is what was asked for.
      if (op.keep && error.code == ErrorCode::kLeaseNotFound) return conclude(op, Done{}, fx);
      break;
    case OpKind::kRenew:
      if (op.ref == 0) unanswered(op, now + kRefusedPause);
      break;
    default: break;
  }
  conclude(op, to_failure(error), fx);
}

void Core::on_acquire_error(Op& op, const base::Error& error, Instant now, Effects& fx) {
  Session* session = sessions_.find(op.session);
  if (error.code == ErrorCode::kLeaseNotFound && session != nullptr) {
    lose(*session, {Code::lease_lost, error.message, error.detail}, false, now, fx);
  }
  bool busy = error.code == ErrorCode::kWouldBlock || error.code == ErrorCode::kLockDelay;
  if (op.giving_up != GivingUp::kNo && (busy || error.code == ErrorCode::kCancelled)) {
    return conclude(op, given_up_outcome(op), fx);
  }
  if (busy && !op.wait) return conclude(op, NotAcquired{}, fx);
  if (op.kind == OpKind::kConvert && error.code == ErrorCode::kNotHeld) {
    return conclude(op, Failure{Code::lock_lost, "the lock was lost: " + error.message, {}}, fx);
  }
  conclude(op, to_failure(error), fx);
}

void Core::on_release_error(Op& op, const base::Error& error, Instant now, Effects& fx) {
  Session* session = sessions_.find(op.session);
  if (error.code == ErrorCode::kLeaseNotFound && session != nullptr) {
    lose(*session, {Code::lease_lost, error.message, error.detail}, false, now, fx);
  }
  if (op.giving_up != GivingUp::kNo) return conclude(op, given_up_outcome(op), fx);
  const bool gone = error.code == ErrorCode::kNotHeld || error.code == ErrorCode::kLeaseNotFound;
  if (session != nullptr && gone) {
    // Before its deadline a session that is over can only have been closed: that released it.
    if (!session->alive && now < session->deadline) return conclude(op, Done{}, fx);
    // A grant is released once: that it isn't held any more is somebody else's doing.
    return conclude(op, Failure{Code::lock_lost, "the lock was lost: " + error.message, {}}, fx);
  }
  conclude(op, to_failure(error), fx);
}

void Core::on_call_failed(Op& op, const CallFailed& failed, Instant now, Effects& fx) {
  Failure why{failed.code, failed.message, {}};
  switch (op.kind) {
    case OpKind::kRegister: return pause(op, now);
    case OpKind::kAcquire:
    case OpKind::kConvert:
      if (op.ref == 0 || op.giving_up != GivingUp::kNo) return;  // its cancelling settles it
      op.refusal = std::move(why);
      return give_up(op, GivingUp::kRefused, now, fx);
    case OpKind::kCancelWait:
      if (op.partner != kNoSlot) {
        Op& acquire = ops_.at(op.partner);
        finish(op, fx);
        return conclude(acquire, std::move(why), fx);
      }
      break;
    case OpKind::kRenew:
      if (op.ref == 0) unanswered(op, now + kRefusedPause);
      break;
    default: break;
  }
  conclude(op, std::move(why), fx);
}

}  // namespace holdfast::client
