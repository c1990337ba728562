#include "lockcore/paxos/read_index.h"

#include <algorithm>

#include "lockcore/base/mutant.h"
#include "lockcore/paxos/acceptor.h"
#include "lockcore/paxos/catch_up.h"
#include "lockcore/paxos/confirm.h"
#include "lockcore/paxos/fan_out.h"

namespace holdfast::paxos::read_index {

namespace {

bool follows_another(const ReplicaState& s) {
  return s.leader && s.leader != s.self;
}

void ask(ReplicaState& s, base::Instant now, Effects& fx) {
  ReadIndexState& reads = s.read_index;
  if (reads.wanted == reads.answered || !follows_another(s)) return;
  const bool under_way = reads.asked > reads.answered && reads.asked_of == s.leader;
  if (under_way && now < reads.ask_again_at) return;
  reads.asked = reads.wanted;
  reads.asked_of = s.leader;
  reads.ask_again_at = now + s.options.heartbeat * 2;
  s.send(s.leader, ReadIndexQuery{s.options.process_nonce, reads.asked}, fx);
}

void answer(ReplicaState& s, Effects& fx) {
  // All that an earlier leader told, or another node showed, is below NewLeader (P3).
  if (!s.lead.announced || s.chosen_upto < s.lead.announced) return;
  std::erase_if(s.lead.read_questions, [&](const LeaderState::ReadQuestion& question) {
    if (question.needed > s.lead.confirmed) return false;
    // So that it doesn't have to fetch what it will be told is chosen.
    fan_out::serve(s, question.peer, fx);
    // Not what is applied here: another node may have applied more, and shown it to a reader.
    s.send(question.peer,
           ReadIndexReply{s.ballot, question.process, question.number, s.chosen_upto}, fx);
    return true;
  });
}

}  // namespace

uint64_t want(ReplicaState& s) {
  ReadIndexState& reads = s.read_index;
  // Counter-example to joining a question that is out already: the leader takes it, then grants a
  // lock and says so; whoever was told asks here; the leader's answer is from before the grant.
  const bool joins = reads.wanted > reads.asked ||
                     (HF_MUTANT(read_joins_older_question) && reads.asked > reads.answered);
  if (!joins) ++reads.wanted;
  return reads.wanted;
}

void on_reply(ReplicaState& s, const Peer& from, const ReadIndexReply& message) {
  ReadIndexState& reads = s.read_index;
  if (!well_formed(message.ballot) || message.ballot.node != from.id) return;
  if (message.slot.value >= kMaxCounter || message.process != s.options.process_nonce) return;
  if (message.number <= reads.answered || message.number > reads.asked) return;
  reads.answered = message.number;
  reads.slot = std::max(reads.slot, message.slot);
  if (s.leader != from.id || s.leader_ballot != message.ballot) return;
  acceptor::take_chosen(s, message.ballot, message.slot);
  catch_up::heard_of(s, from.id, message.slot);
}

void on_query(ReplicaState& s, const Peer& from, const ReadIndexQuery& message) {
  if (s.role != Role::kLeader) return;  // it asks whoever leads, as soon as it hears from that one
  std::vector<LeaderState::ReadQuestion>& questions = s.lead.read_questions;
  auto known = std::ranges::find(questions, from.id, &LeaderState::ReadQuestion::peer);
  if (known == questions.end()) {
    known = questions.insert(known, {from.id, 0, 0, {}});
  } else if (known->process == message.process && known->number >= message.number) {
    return;  // a copy: the round that it waits for began late enough
  }
  // P8: drawn now, after the question came.
  const base::Confirm needed =
      HF_MUTANT(read_index_unconfirmed) ? base::Confirm{} : confirm::want(s);
  *known = {from.id, message.process, message.number, needed};
}

void finish_turn(ReplicaState& s, base::Instant now, Effects& fx) {
  if (s.role == Role::kLeader) {
    answer(s, fx);
  } else {
    ask(s, now, fx);
  }
}

base::Instant next_tick(const ReplicaState& s) {
  const ReadIndexState& reads = s.read_index;
  const bool waits = s.role != Role::kLeader && follows_another(s) && reads.asked > reads.answered;
  return waits ? reads.ask_again_at : base::kNever;
}

}  // namespace holdfast::paxos::read_index
