#include "lockcore/paxos/confirm.h"

#include <algorithm>

#include "lockcore/base/assert.h"
#include "lockcore/base/mutant.h"
#include "lockcore/paxos/catch_up.h"
#include "lockcore/paxos/election.h"
#include "lockcore/paxos/fan_out.h"

namespace holdfast::paxos::confirm {

namespace {

void count(ReplicaState& s, base::Instant now) {
  // We echo our own counters: our promise is our ballot, else we would have stepped down.
  HF_ASSERT(s.promised == s.ballot);
  s.lead.echoed[*s.electorate.index_of(s.self)] = s.lead.sent.value;
  const base::Confirm reached{s.electorate.reached_by_quorum(s.lead.echoed)};
  if (reached <= s.lead.confirmed) return;
  s.lead.confirmed = reached;
  s.lead.confirm_deadline = now + s.options.election;
}

}  // namespace

void start(ReplicaState& s, base::Instant now) {
  s.lead.echoed.assign(s.electorate.voters(), 0);
  s.lead.heartbeat_at = now;
  s.lead.confirm_deadline = now + s.options.election;
}

base::Confirm want(ReplicaState& s) {
  HF_ASSERT(s.role == Role::kLeader);
  // A counter that a message carries already may be echoed by an answer that is older than the
  // request. Counter-example with the slot number for c: A leads, its Accept of slot 7 is accepted
  // by B, whose answer is delayed; B and C promise C's ballot, C grants the lock to somebody else;
  // a renewal reaches A, then B's old answer: A would say yes to it.
  if (s.lead.drawn == s.lead.sent && !HF_MUTANT(confirm_drawn_early)) {
    s.lead.drawn = s.lead.drawn.next();
  }
  s.lead.wanted = s.lead.drawn;
  return s.lead.wanted;
}

base::Confirm stamp(ReplicaState& s) {
  s.lead.sent = s.lead.drawn;
  return s.lead.sent;
}

void start_broadcast(ReplicaState& s) {
  if (s.lead.drawn == s.lead.sent) s.lead.drawn = s.lead.drawn.next();
  s.lead.broadcast = stamp(s);
}

void send_heartbeat(ReplicaState& s, const Peer& peer, Effects& fx) {
  s.send(peer.id, Heartbeat{s.ballot, s.chosen_upto, stamp(s)}, fx);
}

void on_echo(ReplicaState& s, const Peer& from, base::Confirm echoed, base::Instant now) {
  HF_ASSERT(s.role == Role::kLeader);
  if (echoed > s.lead.sent) return;  // never sent
  // A leader whose disk stalls doesn't confirm (DESIGN 6): a lease that it kept alive meanwhile
  // could not be released, nor its lock granted.
  if (s.disk_stalled(now)) return;
  const std::optional<size_t> voter = s.electorate.index_of(from.id);
  if (!voter) return;  // a learner's word decides nothing
  uint64_t& known = s.lead.echoed[*voter];
  known = std::max(known, echoed.value);
  count(s, now);
}

void on_heartbeat_reply(ReplicaState& s, Peer& from, const HeartbeatReply& message,
                        base::Instant now) {
  if (s.role != Role::kLeader || message.ballot != s.ballot) return;
  from.heard_at = now;
  from.chosen = std::max(from.chosen, message.chosen_upto);
  from.applied = message.applied;
  from.recorded = message.recorded;
  // A follower may know more than the quorum of phase 1 did, and no longer vote on it.
  catch_up::heard_of(s, from.id, message.chosen_upto);
  on_echo(s, from, message.confirm, now);
}

void on_tick(ReplicaState& s, base::Instant now, Effects& fx) {
  if (s.role != Role::kLeader || HF_MUTANT(leads_without_quorum)) return;
  if (s.disk_stalled(now)) {
    election::step_down(s, "its disk has not finished a write for an election timeout", now, fx);
  } else if (s.electorate.voters() > 1 && now >= s.lead.confirm_deadline) {
    election::step_down(s, "no quorum answered for an election timeout", now, fx);
  }
}

void finish_turn(ReplicaState& s, base::Instant now, Effects& fx) {
  if (s.role != Role::kLeader) return;
  const bool due = now >= s.lead.heartbeat_at;
  // One round of its own at a time: what is wanted meanwhile joins the next one, so that any number
  // of renewals costs one message a round trip.
  const bool under_way = s.lead.asked > s.lead.confirmed;
  const bool wanted = s.lead.wanted > s.lead.broadcast && !under_way;
  if (due || wanted) {
    start_broadcast(s);
    s.lead.asked = s.lead.broadcast;
    fan_out::send_round(s, due, now, fx);
    // An early round doesn't put off the regular one: it also tells followers what is chosen.
    if (due) s.lead.heartbeat_at = now + s.options.heartbeat;
  }
  if (!s.disk_stalled(now)) count(s, now);
}

base::Instant next_tick(const ReplicaState& s) {
  if (s.role != Role::kLeader) return base::kNever;
  base::Instant next = s.lead.heartbeat_at;
  if (s.electorate.voters() > 1) next = std::min(next, s.lead.confirm_deadline);
  if (const std::optional<base::Instant> oldest = s.gate.oldest()) {
    next = std::min(next, *oldest + s.options.election + base::Duration{1});
  }
  return next;
}

}  // namespace holdfast::paxos::confirm
