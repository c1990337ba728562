#include "lockcore/paxos/election.h"

#include <algorithm>
#include <utility>

#include "lockcore/base/assert.h"
#include "lockcore/base/mutant.h"
#include "lockcore/paxos/acceptor.h"
#include "lockcore/paxos/catch_up.h"
#include "lockcore/paxos/clock_watch.h"
#include "lockcore/paxos/confirm.h"
#include "lockcore/paxos/proposer.h"
#include "lockcore/paxos/snapshot.h"

namespace holdfast::paxos::election {

namespace {

constexpr uint32_t kMaxPromiseParts = 1 << 16;
// No acceptor takes slots further than kMaxUnappliedSlots above what it applied; after a restart it
// may know of less than it had applied. What is far beyond is no row of a working node.
constexpr uint64_t kMaxSlotsAhead = 64 * base::kMaxUnappliedSlots;

// Soon, but not all at the same moment: after the leader's link closed.
base::Duration short_wait(ReplicaState& s) {
  const auto low = static_cast<uint64_t>(s.options.election.ns / 50);
  const auto high = static_cast<uint64_t>(s.options.election.ns / 5);
  return {static_cast<int64_t>(s.random.between(low, high))};
}

bool hears_leader(const ReplicaState& s, base::Instant now) {
  return s.election.heard_from && now - s.election.heard_at < s.options.election;
}

// P1: a ballot above every one seen, durable before it is used, and never used again: after a
// restart the promise found in log.db is at least this high.
void start_phase1(ReplicaState& s, base::Instant now, Effects& fx) {
  const uint64_t step = HF_MUTANT(ballot_used_again) ? 0 : 1;
  const base::Ballot ballot{s.election.highest_round + step, s.self};
  s.role = Role::kCandidate;
  s.ballot = ballot;
  s.leader = {};
  s.leader_ballot = {};
  acceptor::raise_promise(s, ballot);
  s.phase1 = {};
  s.phase1.from = s.chosen_upto.next();
  if (HF_MUTANT(phase1_asks_too_far)) s.phase1.from = s.phase1.from.next();
  s.phase1.own_promise = s.gate.last();
  s.election.deadline = now + s.options.election;
  s.tell(Notice::Level::kInfo, "asks to lead in " + ballot_text(ballot), fx);
}

void try_phase1(ReplicaState& s, base::Instant now, Effects& fx) {
  // P9: else it is asked for once the change is applied.
  if (s.electorate.is_quorum(s.election.yes) && s.config_is_current()) start_phase1(s, now, fx);
}

bool has_leave(const ReplicaState& s) {
  return s.election.leave && s.election.leave == s.promised && s.role == Role::kFollower &&
         s.now < s.election.leave_until && s.is_voter() && s.config_is_current() && !s.mends() &&
         !s.disk_stalled(s.now) && !clock_watch::stands_back(s, s.now);
}

void probe(ReplicaState& s, base::Instant now, Effects& fx) {
  s.role = Role::kProbing;
  s.leader = {};
  s.leader_ballot = {};
  s.election.heard_from = {};
  s.ballot = {s.election.highest_round + 1, s.self};
  s.election.yes.clear();
  s.election.yes.add(*s.electorate.index_of(s.self));
  // Asking is cheap, and a "no" may only mean that the other's patience ends a little later.
  const uint32_t doublings = std::min<uint32_t>(s.election.attempts++, 3);
  s.election.deadline = now + short_wait(s) * (int64_t{1} << doublings) + s.options.heartbeat;
  for (const Peer& peer : s.peers) {
    if (peer.connected && s.electorate.is_voter(peer.id)) s.send(peer.id, Probe{s.ballot}, fx);
  }
  try_phase1(s, now, fx);  // a single voter needs nobody's word
  if (HF_MUTANT(no_probe)) start_phase1(s, now, fx);
}

Phase1::Answer* find_answer(Phase1& phase1, base::NodeId from) {
  for (Phase1::Answer& answer : phase1.answers) {
    if (answer.from == from) return &answer;
  }
  return nullptr;
}

bool answered(const Phase1& phase1, base::NodeId node) {
  for (const Phase1::Answer& answer : phase1.answers) {
    if (answer.from == node) return answer.missing == 0;
  }
  return false;
}

void send_prepares(ReplicaState& s, base::Instant now, Effects& fx) {
  s.phase1.asked = true;
  s.phase1.resend_at = now + s.options.heartbeat * 2;
  for (const Peer& peer : s.peers) {
    if (!peer.connected || !s.electorate.is_voter(peer.id) || answered(s.phase1, peer.id)) continue;
    s.send(peer.id, Prepare{s.ballot, s.phase1.from}, fx);
  }
}

bool plausible(const Promise& message) {
  if (message.parts == 0 || message.parts > kMaxPromiseParts || message.part >= message.parts) {
    return false;
  }
  if (message.chosen_upto.value >= kMaxCounter) return false;
  for (const base::Entry& entry : message.entries) {
    if (!well_formed(entry)) return false;
    if (entry.slot.value > message.chosen_upto.value + kMaxSlotsAhead) return false;
  }
  return true;
}

// Notes that this part came; true if it completes the promise. Copies of one promise agree part by
// part if they agree in chosen_upto (see acceptor::on_prepare). If the answerer learnt more between
// two copies, their parts are cut elsewhere: rows 10..14 | 15..20 and, with 12 known chosen,
// 13..17 | 18..20. The first of one and the second of the other would miss 15..17, so the
// collection starts anew.
bool note_part(Phase1& phase1, base::NodeId from, const Promise& message) {
  Phase1::Answer* answer = find_answer(phase1, from);
  if (answer == nullptr) {
    phase1.answers.emplace_back();
    answer = &phase1.answers.back();
    answer->from = from;
  } else if (answer->missing == 0) {
    return false;
  }
  if (answer->parts.size() != message.parts || answer->chosen_upto != message.chosen_upto) {
    answer->parts.assign(message.parts, false);
    answer->missing = message.parts;
    answer->chosen_upto = message.chosen_upto;
  }
  answer->first_retained = message.first_retained;
  if (answer->parts[message.part]) return false;
  answer->parts[message.part] = true;
  return --answer->missing == 0;
}

// A learner has nothing to ask, and who stands back mustn't; but it names nobody as leader of whom
// it hears nothing.
void forget_leader(ReplicaState& s, base::Instant now) {
  s.leader = {};
  s.leader_ballot = {};
  s.election.heard_from = {};
  s.election.deadline = now + s.options.election;
}

void ask_to_lead(ReplicaState& s, base::Instant now, Effects& fx) {
  // A node whose disk stalls could not keep a promise: it doesn't ask for others'. Nor does one
  // that may give none of its own (P11). And who votes about the next slot must be known (P9).
  if (s.disk_stalled(now) || s.mends() || !s.config_is_current()) {
    s.election.deadline = now + s.options.heartbeat;
    return;
  }
  // By its clock leases might end early. Others lead, or, in time, it does all the same.
  if (clock_watch::stands_back(s, now)) {
    step_down(s, "", now, fx);  // it may be probing
    return forget_leader(s, now);
  }
  probe(s, now, fx);
}

}  // namespace

void start(ReplicaState& s, bool soon, base::Instant now) {
  HF_ASSERT(s.founding == base::FoundingState::kFounded);
  s.role = Role::kFollower;
  clock_watch::start(s, now);
  s.election.deadline = now + (soon ? short_wait(s) : s.options.election + s.election_jitter());
  // Nobody else can be leading.
  if (s.electorate.voters() == 1 && s.is_voter()) s.election.deadline = now;
}

void take_leave(ReplicaState& s, base::Instant now, Effects& fx) {
  if (!has_leave(s)) return;
  s.election.leave = {};
  start_phase1(s, now, fx);
}

void heard(ReplicaState& s, base::NodeId from, base::Instant now) {
  if (s.election.heard_from != from) s.election.attempts = 0;
  s.election.heard_from = from;
  s.election.heard_at = now;
  s.election.deadline = now + s.options.election + s.election_jitter();
}

void follow(ReplicaState& s, base::NodeId from, const base::Ballot& ballot, base::Instant now,
            Effects& fx) {
  HF_ASSERT(ballot >= s.promised);
  // A late word of an older leader is answered, but not followed.
  if (ballot < s.leader_ballot) return;
  s.election.followed_at = now;
  if (from == s.leader && ballot == s.leader_ballot) return heard(s, from, now);
  step_down(s, "heard " + ballot_text(ballot), now, fx);
  s.leader = from;
  s.leader_ballot = ballot;
  heard(s, from, now);
}

void step_down(ReplicaState& s, const std::string& why, base::Instant now, Effects& fx) {
  HF_ASSERT(s.role != Role::kFounding);
  if (s.role == Role::kLeader) {
    s.tell(Notice::Level::kWarning, "leads no more in " + ballot_text(s.ballot) + ": " + why, fx);
  }
  if (s.role != Role::kFollower) {
    s.role = Role::kFollower;
    s.ballot = {};
    s.phase1 = {};
    s.lead = {};  // P1: the ballot is never resumed; what is queued in it is not sent
    s.election.heard_from = {};
    s.election.deadline = now + s.options.election + s.election_jitter();
  }
  s.leader = {};
  s.leader_ballot = {};
}

void on_probe(ReplicaState& s, Peer& from, const Probe& message, base::Instant now, Effects& fx) {
  if (!well_formed(message.ballot) || message.ballot.node != from.id) return;
  // P7. A leader that lost its quorum's word steps down within the election timeout, and a
  // candidate that doesn't succeed gives up within it: until then both count as working.
  const bool busy = s.role == Role::kLeader || s.role == Role::kCandidate;
  // A promise would wait for the disk as well, or for what mends it (P11): whoever counted on it
  // would wait in vain.
  const bool yes = HF_MUTANT(probe_always_yes) ||
                   (!busy && !hears_leader(s, now) && !s.disk_stalled(now) && !s.mends());
  s.send(from.id, ProbeReply{message.ballot, yes, s.promised}, fx);
}

void on_probe_reply(ReplicaState& s, Peer& from, const ProbeReply& message, base::Instant now,
                    Effects& fx) {
  if (message.promised.round >= kMaxCounter) return;
  s.saw_round(message.promised);
  if (s.role != Role::kProbing || message.ballot != s.ballot || !message.yes) return;
  const std::optional<size_t> voter = s.electorate.index_of(from.id);
  if (!voter) return;
  s.election.yes.add(*voter);
  try_phase1(s, now, fx);
}

void on_promise(ReplicaState& s, Peer& from, Promise message, base::Instant now, Effects& fx) {
  if (s.role != Role::kCandidate || message.ballot != s.ballot || !plausible(message)) return;
  if (!s.electorate.is_voter(from.id)) return;
  from.mark.promised = std::max(from.mark.promised, message.ballot);
  const bool complete = note_part(s.phase1, from.id, message);
  // P3: per slot the value of the highest ballot. Rows of a promise that isn't complete yet may
  // stand here too: more of what was accepted never makes the choice wrong, less would.
  for (base::Entry& entry : message.entries) {
    s.saw_round(entry.ballot);
    auto [place, added] = s.phase1.best.try_emplace(entry.slot, entry);
    if (!added && (place->second.ballot < entry.ballot) != HF_MUTANT(lowest_ballot_wins)) {
      place->second = std::move(entry);
    }
  }
  if (complete) try_to_lead(s, now, fx);
}

void try_to_lead(ReplicaState& s, base::Instant now, Effects& fx) {
  const bool may = s.gate.is_durable(s.phase1.own_promise) || HF_MUTANT(ballot_before_durable);
  if (s.role != Role::kCandidate || !may) return;
  VoterSet promised;
  promised.add(*s.electorate.index_of(s.self));
  const Phase1::Answer* furthest = nullptr;
  for (const Phase1::Answer& answer : s.phase1.answers) {
    if (answer.missing != 0) continue;
    promised.add(*s.electorate.index_of(answer.from));
    if (furthest == nullptr || furthest->chosen_upto < answer.chosen_upto) furthest = &answer;
  }
  if (!s.electorate.is_quorum(promised)) return;
  if (furthest != nullptr && furthest->chosen_upto > s.chosen_upto &&
      !HF_MUTANT(chosen_not_fetched)) {
    if (furthest->first_retained > s.chosen_upto.next()) {
      // P6: what we lack is gone from its log, and was chosen: nothing may be proposed there.
      snapshot::want(s, *s.find_peer(furthest->from), now, fx);
      step_down(s, "", now, fx);  // and forgets the answers, `furthest` among them
      return;
    }
    // P3: what an answerer knows chosen is fetched. Its rows there were not reported.
    catch_up::want(s, furthest->from, furthest->chosen_upto);
    return;
  }
  // P9: a change among what was fetched ends this ballot, once it is applied.
  if (!s.config_is_current()) return;
  std::map<base::Slot, base::Entry> best = std::move(s.phase1.best);
  // All whose promise is complete know no more chosen than we do by now. What stands further above
  // than they can have accepted is from a promise that isn't, and of no account.
  best.erase(best.upper_bound(base::Slot{s.chosen_upto.value + kMaxSlotsAhead}), best.end());
  s.phase1 = {};
  s.election.attempts = 0;
  proposer::start_leading(s, best, now, fx);
}

void on_reject(ReplicaState& s, const Reject& message, base::Instant now, Effects& fx) {
  if (message.promised.round >= kMaxCounter) return;
  s.saw_round(message.promised);
  const bool ours = s.role == Role::kLeader || s.role == Role::kCandidate;
  if (ours && message.ballot == s.ballot && message.promised > s.ballot) {
    step_down(s, "another node promised " + ballot_text(message.promised), now, fx);
  }
}

void on_tick(ReplicaState& s, base::Instant now, Effects& fx) {
  if (s.role == Role::kLeader) return;
  take_leave(s, now, fx);
  if (!s.is_voter()) {
    if (now >= s.election.deadline) forget_leader(s, now);
    return;
  }
  if (now >= s.election.deadline) {
    if (s.role == Role::kCandidate) step_down(s, "", now, fx);
    ask_to_lead(s, now, fx);
  } else if (s.role == Role::kCandidate && s.phase1.asked && now >= s.phase1.resend_at) {
    send_prepares(s, now, fx);
  }
}

void on_written(ReplicaState& s, base::Instant now, Effects& fx) {
  if (s.role != Role::kCandidate || s.phase1.asked) return;
  if (!s.gate.is_durable(s.phase1.own_promise) && !HF_MUTANT(ballot_before_durable)) return;
  send_prepares(s, now, fx);
  try_to_lead(s, now, fx);  // a single voter's own promise is its quorum
}

void on_peer_back(ReplicaState& s, Peer& peer, base::Instant, Effects& fx) {
  if (s.role == Role::kProbing) {
    s.send(peer.id, Probe{s.ballot}, fx);
  } else if (s.role == Role::kCandidate && s.phase1.asked && !answered(s.phase1, peer.id)) {
    s.send(peer.id, Prepare{s.ballot, s.phase1.from}, fx);
  }
}

void on_peer_lost(ReplicaState& s, base::NodeId peer, base::Instant now) {
  if (s.role != Role::kFollower) return;
  if (s.election.heard_from != peer && s.leader != peer) return;
  // P7: its process is gone or unreachable. Patience would only make the cell wait.
  s.election.heard_from = {};
  s.leader = {};
  s.leader_ballot = {};
  s.election.deadline = std::min(s.election.deadline, now + short_wait(s));
}

base::Instant next_tick(const ReplicaState& s) {
  if (s.role == Role::kLeader) return base::kNever;
  if (has_leave(s)) return s.now;
  if (s.role == Role::kCandidate && s.phase1.asked) {
    return std::min(s.election.deadline, s.phase1.resend_at);
  }
  return s.election.deadline;
}

}  // namespace holdfast::paxos::election
