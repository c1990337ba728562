// Sessions: the instants of renewal, jeopardy and loss.
#include "bindings/cpp/src/sessions.h"

#include <algorithm>

#include "bindings/cpp/src/lease_time.h"
#include "lockcore/base/limits.h"
#include "lockcore/base/mutant.h"

namespace holdfast::client {

using base::Duration;
using base::Instant;

namespace {

// Renewal is due after a third of the ttl and overdue after two thirds; an attempt that isn't
// answered within a sixth is joined by another one.
constexpr int64_t kRenewParts = 3;
constexpr int64_t kRetryParts = 6;
// Those due within this part of the ttl join: sessions that were opened at different times come
// to be renewed together.
constexpr int64_t kJoinParts = 20;

constexpr int kSlotBits = 24;

Instant deadline_of(Instant sent, Duration ttl) {
  return HF_MUTANT(deadline_without_drift) ? sent + ttl : local_deadline(sent, ttl);
}

}  // namespace

Session& Sessions::add(base::LeaseId lease, std::string secret, Duration ttl, Instant sent) {
  Session& session = pool_.take();
  HF_ASSERT(session.slot < (1u << kSlotBits));
  session.id = (++last_id_ << kSlotBits) | session.slot;
  session.lease = lease;
  session.secret = std::move(secret);
  session.ttl = ttl;
  session.alive = true;
  ++alive_;
  session.good_sent = sent;
  session.deadline = deadline_of(sent, ttl);
  due_.set(session.slot, sent + ttl / kRenewParts);
  watch(session);
  return session;
}

Session* Sessions::find(SessionId id) {
  Session* session = pool_.find(static_cast<uint32_t>(id & ((1u << kSlotBits) - 1)));
  return session != nullptr && session->id == id ? session : nullptr;
}

bool Sessions::end(Session& session) {
  if (!session.alive) return false;
  session.alive = false;
  --alive_;
  due_.drop(session.slot);
  watch_.drop(session.slot);
  return true;
}

void Sessions::remove(Session& session) {
  HF_ASSERT(!session.alive);
  pool_.give_back(session);
}

Duration Sessions::take_due(Instant now, std::vector<SessionId>& sessions,
                            std::vector<base::LeaseId>& leases) {
  Duration least = Duration::from_ms(static_cast<int64_t>(base::kMaxLeaseTtlMs));
  if (due_.next() > now) return least;
  Instant join = now + pool_.at(due_.first()).ttl / kJoinParts;
  while (due_.next() <= join && leases.size() < base::kMaxRenewalsPerCall) {
    Session& session = pool_.at(due_.first());
    sessions.push_back(session.id);
    leases.push_back(session.lease);
    least = std::min(least, session.ttl);
    // A ttl of 500 ms gives 83 ms here: due again only after the join window, so this ends.
    due_.set(session.slot, std::max(now + session.ttl / kRetryParts, join + Duration{1}));
  }
  return least;
}

void Sessions::take_turn(Instant now, std::vector<SessionId>& sessions,
                         std::vector<base::LeaseId>& leases) {
  const uint32_t slots = pool_.slots();
  for (uint32_t seen = 0; seen < slots && leases.size() < base::kMaxRenewalsPerCall; ++seen) {
    turn_ = turn_ + 1 < slots ? turn_ + 1 : 0;
    Session* session = pool_.find(turn_);
    if (session == nullptr || !session->alive) continue;
    sessions.push_back(session->id);
    leases.push_back(session->lease);
    due_.set(session->slot, now + session->ttl / kRetryParts);
  }
}

bool Sessions::on_renewed(Session& session, Instant sent) {
  if (!session.alive || sent <= session.good_sent) return false;
  session.good_sent = sent;
  session.jeopardy_told = false;
  session.deadline = std::max(session.deadline, deadline_of(sent, session.ttl));
  due_.set(session.slot, sent + session.ttl / kRenewParts);
  watch(session);
  return true;
}

void Sessions::on_unanswered(Session& session, Instant again) {
  if (session.alive) due_.set(session.slot, again);
}

void Sessions::watch(Session& session) {
  Instant jeopardy = session.good_sent + session.ttl * 2 / kRenewParts;
  const Instant end = HF_MUTANT(loss_told_late) ? session.deadline + session.ttl : session.deadline;
  watch_.set(session.slot, session.jeopardy_told ? end : std::min(jeopardy, end));
}

Session* Sessions::take_watched(Instant now) {
  if (watch_.next() > now) return nullptr;
  Session& session = pool_.at(watch_.first());
  if (session.deadline > now) {
    session.jeopardy_told = true;
    watch(session);
  }
  return &session;
}

}  // namespace holdfast::client
