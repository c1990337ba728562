// Core: time: renewals, jeopardy and loss, callers' timeouts, closing, and the end.
#include <algorithm>

#include "bindings/cpp/src/core.h"
#include "lockcore/base/mutant.h"

namespace holdfast::client {

using base::Duration;
using base::Instant;
using base::kNever;

namespace {

// A renewal's share of the ttl that may pass in silence before the leader is doubted.
constexpr int64_t kPatienceParts = 8;

constexpr Duration kMinPatience = Duration::from_ms(50);

}  // namespace

// -- renewing -------------------------------------------------------------------------------------

// One that ends with its connection may be cut to the grace at any time after it was renewed: more
// is not counted on. The first renewal also says on which connection it is.
Session& Core::add_session(const locks::LeaseOpened& lease, Instant sent, Instant now) {
  Duration ttl = Duration::from_ms(static_cast<int64_t>(lease.ttl_ms));
  if (lease.drop_on_disconnect) {
    ttl = std::min(ttl, Duration::from_ms(base::kDisconnectGraceMs));
  }
  Session& session = sessions_.add(lease.lease, lease.secret, ttl, sent);
  if (lease.drop_on_disconnect) sessions_.on_unanswered(session, now);
  return session;
}

// The request of a kRenew, still without leases; a reused one with its memory.
RenewRequest& Core::renewal_of(Op& op, base::ClientId client) {
  auto* request = std::get_if<RenewRequest>(&op.request);
  if (request == nullptr) request = &op.request.emplace<RenewRequest>();
  request->leases.clear();
  request->client = client;
  return *request;
}

void Core::renew_due(Instant now, Effects& fx) {
  ConnectionId leader = router_.leader();
  while (leader != 0 && sessions_.next_due() <= now) {
    Op& op = make(OpKind::kRenew, 0, kNever);
    Duration ttl = sessions_.take_due(now, op.sessions, renewal_of(op, client_).leases);
    transmit(op, leader, std::clamp(ttl / kPatienceParts, kMinPatience, kPatience), now, fx);
  }
}

void Core::unanswered(Op& renewal, Instant again) {
  for (SessionId id : renewal.sessions) {
    if (Session* session = sessions_.find(id)) sessions_.on_unanswered(*session, again);
  }
}

// -- jeopardy and loss ----------------------------------------------------------------------------

void Core::watch_sessions(Instant now, Effects& fx) {
  while (Session* session = sessions_.take_watched(now)) {
    if (session->deadline > now) {
      fx.session_events.push_back({session->id, Jeopardy{session->deadline - now}});
    } else {
      lose(*session, {Code::lease_lost, "the lease was not renewed in time", {}}, true, now, fx);
    }
  }
}

// `may_live`: only we know that it is over; the cell may keep it up to a ttl longer.
void Core::lose(Session& session, Failure why, bool may_live, Instant now, Effects& fx) {
  if (!sessions_.end(session)) return;
  fx.session_events.push_back({session.id, Lost{why}});
  ++session.ops;  // keeps it here until all is done
  end_ops(session, why, now, fx);
  if (may_live) {
    close_lease(0, session.id, session.lease, session.ttl, now + session.ttl + kCancelGrace);
  }
  drop_session(session.id);
}

// What was under way in a session that has ended can't come to anything. What was sent is followed
// up until it is answered, or the lease is surely over, so that its numbers are settled.
void Core::end_ops(Session& session, const Failure& why, Instant now, Effects& fx) {
  Instant abandon = now + session.ttl + kCancelGrace;
  if (session.ops <= 1) return;  // the caller's own
  for (uint32_t slot = 0; slot < ops_.slots(); ++slot) {
    Op* op = ops_.find(slot);
    if (op == nullptr || op->session != session.id) continue;
    if (op->kind == OpKind::kRelease && op->giving_up == GivingUp::kNo) {
      complete(*op, Failure{Code::lock_lost, "the lock was lost: " + why.message, {}}, fx);
    } else if (op->kind != OpKind::kClose) {
      complete(*op, why, fx);
    }
    if (op->ref != 0) continue;
    if (op->attempts == 0 && op->kind != OpKind::kClose) {
      conclude(*op, Done{}, fx);
    } else {
      op->deadline = std::min(op->deadline, abandon);
      arm(*op);
    }
  }
}

void Core::drop_session(SessionId id) {
  Session* session = sessions_.find(id);
  HF_ASSERT(session != nullptr && session->ops > 0);
  if (--session->ops == 0 && !session->alive) sessions_.remove(*session);
}

// -- closing --------------------------------------------------------------------------------------

void Core::close_lease(Ref ref, SessionId session, base::LeaseId lease, Duration ttl,
                       Instant deadline) {
  Op& op = make(OpKind::kClose, ref, deadline);
  op.session = session;
  op.keep = session != 0;
  op.ttl = ttl;
  if (Session* row = sessions_.find(session)) ++row->ops;
  make_command(op).body = locks::CloseLease{lease};
  submit(op);
}

void Core::close(Ref ref, const LeaseName& lease, Instant now, Effects& fx) {
  begin_event();
  Instant deadline = now + options_.request_timeout;
  if (lease.session == 0) {
    close_lease(ref, 0, lease.lease, {}, deadline);
  } else if (Session* session = sessions_.find(lease.session);
             session != nullptr && sessions_.end(*session)) {
    ++session->ops;
    Failure closed{Code::lease_lost, "the session was closed", {}};
    fx.session_events.push_back({session->id, Closed{}});
    // Releases under way are left alone: they end well.
    for (uint32_t slot = 0; slot < ops_.slots() && session->ops > 1; ++slot) {
      Op* op = ops_.find(slot);
      if (op == nullptr || op->session != session->id || op->kind == OpKind::kRelease) continue;
      complete(*op, closed, fx);
      if (op->attempts == 0) {
        conclude(*op, Done{}, fx);
      } else {
        op->deadline = now + session->ttl + kCancelGrace;
        arm(*op);
      }
    }
    if (ref == 0) deadline = now + session->ttl + kCancelGrace;
    close_lease(ref, session->id, session->lease, session->ttl, deadline);
    drop_session(session->id);
  } else if (ref != 0) {
    fx.completions.push_back({ref, Done{}});  // twice is fine
  }
  settle(now, fx);
}

void Core::detach(SessionId id, Instant now, Effects& fx) {
  begin_event();
  if (Session* session = sessions_.find(id); session != nullptr && sessions_.end(*session)) {
    ++session->ops;
    fx.session_events.push_back({id, Closed{}});
    end_ops(*session, {Code::lease_lost, "the session was detached from its lease", {}}, now, fx);
    drop_session(id);
  }
  settle(now, fx);
}

// -- time running out -----------------------------------------------------------------------------

void Core::on_op_timer(Op& op, Instant now, Effects& fx) {
  if (op.deadline <= now) return on_out_of_time(op, now, fx);
  enqueue(op, true);
  arm(op);
}

// To be seen through whether anybody waits for it or not, and even if it couldn't be sent yet:
// whoever gave the lock back doesn't do so again. What is under a bare lease is its caller's to
// repeat, but for a grant that nobody knows of.
bool Core::is_owed(const Op& op) const {
  if (HF_MUTANT(unsent_release_dropped)) return false;
  if (op.kind == OpKind::kRelease) return op.session != 0 || op.giving_up != GivingUp::kNo;
  return op.kind == OpKind::kClose && op.session != 0;
}

void Core::on_out_of_time(Op& op, Instant now, Effects& fx) {
  if (op.kind == OpKind::kAdopted) return on_usable(op, fx);
  if (op.ref == 0 || (op.attempts == 0 && !is_owed(op))) {
    if (op.may_queue() && op.partner != kNoSlot) finish(ops_.at(op.partner), fx);
    return conclude(op, out_of_time(op), fx);
  }
  switch (op.kind) {
    case OpKind::kAcquire:
    case OpKind::kConvert:
      if (HF_MUTANT(wait_left_behind)) return conclude(op, NotAcquired{}, fx);
      if (op.giving_up == GivingUp::kNo) return give_up(op, GivingUp::kTimeout, now, fx);
      if (HF_MUTANT(unknown_told_as_no)) complete(op, NotAcquired{}, fx);
      // Not settled in time. Its cancelling goes on until it is, or until its lease is over.
      op.deadline = kNever;
      break;
    case OpKind::kRelease:
      if (!is_owed(op)) return conclude(op, out_of_time(op), fx);
      op.deadline = kNever;  // somebody renews the lease: the hold must not stay
      break;
    case OpKind::kOpen:
      op.deadline = now + op.ttl + kCancelGrace;  // if it was opened, it will be closed
      break;
    case OpKind::kClose:
      if (!is_owed(op)) return conclude(op, out_of_time(op), fx);
      op.deadline = now + op.ttl + kCancelGrace;
      break;
    default: return conclude(op, out_of_time(op), fx);
  }
  complete(op, out_of_time(op), fx);
  arm(op);
}

// -- the end --------------------------------------------------------------------------------------

void Core::shut_down(Instant now, Effects& fx) {
  if (shutdown_until_ != kNever || over_) return;
  Failure closed{Code::cancelled, "the connection to the cell was closed", {}};
  Failure session_closed{Code::lease_lost, closed.message, {}};
  begin_event();
  for (uint32_t slot = 0; slot < ops_.slots(); ++slot) {
    Op* op = ops_.find(slot);
    if (op == nullptr || op->ref == 0) continue;
    bool waits = op->session != 0 && op->may_queue();
    complete(*op, waits ? session_closed : closed, fx);
    if (op->attempts == 0 || !op->is_mutation()) {
      conclude(*op, Done{}, fx);
    } else if (op->kind == OpKind::kAcquire && op->giving_up == GivingUp::kNo && op->session == 0) {
      op->deadline = kNever;
      give_up(*op, GivingUp::kCancelled, now, fx);
    }
  }
  for (Survey& survey : surveys_) fx.completions.push_back({survey.ref, closed});
  surveys_.clear();
  std::vector<SessionId> open;
  sessions_.for_each([&](Session& session) {
    if (session.alive) open.push_back(session.id);
  });
  for (SessionId id : open) close(0, {id, {}}, now, fx);
  shutdown_until_ = now + kShutdownWait;
  settle(now, fx);
}

void Core::continue_shutdown(Instant now, Effects& fx) {
  bool idle = ops_.used() == helpers_;
  if (idle && !forgotten_ && client_ && router_.leader() != 0 && now < shutdown_until_) {
    forgotten_ = true;
    shutdown_until_ = std::min(shutdown_until_, now + kForgetWait);
    Op& op = make(OpKind::kForget, 0, kNever);
    make_command(op).body = locks::ForgetClient{};
    submit(op);
    pump(now, fx);
    return;
  }
  if (!idle && now < shutdown_until_) return;
  over_ = true;
  router_.close_all(fx);
  fx.shut_down = true;
}

}  // namespace holdfast::client
