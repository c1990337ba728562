// Core: adopting a lease: a session for a living lease that another client had.
//
// Whoever had the lease may believe in it as long as its last renewal lets it, and learns only at
// its next one that it is gone. So the lease is taken over first, which ends the other's renewals;
// then the leader is asked how long the lease had left, which bounds that belief; then it is
// renewed, as any session's; and the caller has it when that time is over (DESIGN 2.4).
#include <algorithm>
#include <utility>

#include "bindings/cpp/src/core.h"
#include "bindings/cpp/src/lease_time.h"

namespace holdfast::client {

using base::Duration;
using base::Instant;

void Core::adopt(Ref ref, AdoptCall call, Instant now, Effects& fx) {
  command(OpKind::kAdopt, ref,
          locks::AdoptLease{call.lease, std::move(call.secret), std::move(call.owner)}, now, fx);
}

// The next step on the way of an adoption, for the same caller.
Op& Core::go_on_with(Op& op, OpKind kind, Effects& fx) {
  Op& next = make(kind, std::exchange(op.ref, 0), op.deadline);
  next.adoption = std::move(op.adoption);
  finish(op, fx);
  return next;
}

void Core::on_adopted(Op& op, const locks::LeaseOpened& opened, Instant now, Effects& fx) {
  std::vector<SessionId> before;
  sessions_.for_each([&](Session& session) {
    if (session.alive && session.lease == opened.lease) before.push_back(session.id);
  });
  for (SessionId id : before) {
    lose(*sessions_.find(id), {Code::lease_lost, "the lease was adopted by another session", {}},
         false, now, fx);
  }
  // Holders of before are not ours, and new ones must not be taken for them.
  last_holder_ = std::max(last_holder_, random_.next() >> 2);
  if (op.ref == 0) return conclude(op, Done{}, fx);  // nobody waits for it any more
  op.adoption = std::make_unique<Adoption>(Adoption{opened, {}});
  Op& question = go_on_with(op, OpKind::kRead, fx);
  question.request = LeaseRequest{opened.lease};
  submit(question);
}

void Core::on_time_left(Op& op, Duration left, Instant now, Effects& fx) {
  // By the leader's clock; 2ε covers the difference of two clocks' rates.
  const Duration others = left + left * 2 * base::kDriftPerMille / 1000 + Duration::from_ms(1);
  op.adoption->usable_from = now + others;
  Op& renewal = go_on_with(op, OpKind::kRenew, fx);
  renewal_of(renewal, client_).leases.push_back(renewal.adoption->lease.lease);
  submit(renewal);
}

void Core::on_adoption_renewed(Op& op, Instant sent, Instant now, Effects& fx) {
  Session& session = add_session(op.adoption->lease, sent, now);
  Op& wait = go_on_with(op, OpKind::kAdopted, fx);
  wait.session = session.id;
  ++session.ops;
  wait.deadline = wait.adoption->usable_from;
  arm(wait);
}

void Core::on_usable(Op& op, Effects& fx) {
  Session* session = sessions_.find(op.session);
  if (session == nullptr || !session->alive) {
    return conclude(op, Failure{Code::lease_lost, "the lease ended while it was adopted", {}}, fx);
  }
  const locks::LeaseOpened& lease = op.adoption->lease;
  conclude(op, Opened{session->id, lease.lease, lease.secret, lease.ttl_ms, session->deadline}, fx);
}

}  // namespace holdfast::client
