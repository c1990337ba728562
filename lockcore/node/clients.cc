// Commands, renewals and reads of clients: what waits for the log, and what for a confirm round.
#include <algorithm>
#include <utility>

#include "lockcore/base/assert.h"
#include "lockcore/base/limits.h"
#include "lockcore/base/mutant.h"
#include "lockcore/node/node_state.h"

namespace holdfast::node {

using base::AnswerKey;
using base::Duration;
using base::Error;
using base::ErrorCode;
using base::Instant;
using locks::OpState;

namespace {

Error too_many(const char* what, const char* limit, size_t value) {
  return Error{ErrorCode::kResourceExhausted,
               std::string("the leader has ") + std::to_string(value) + " " + what +
                   " waiting already; try again in a moment",
               {{"limit", limit}, {"value", std::to_string(value)}}};
}

}  // namespace

void Node::on_command(ClientRef ref, locks::Command command, Instant, Effects& fx) {
  state_->follow_role(fx);
  if (state_->is_active()) {
    state_->take_command(ref, std::move(command), fx);
  } else if (!state_->keep_arrival(State::CommandArrival{ref, std::move(command)})) {
    fx.replies.push_back(CommandReply{ref, state_->not_leader()});
  }
}

void Node::on_renew(ClientRef ref, RenewRequest request, Instant now, Effects& fx) {
  state_->follow_role(fx);
  if (state_->is_active()) {
    state_->take_renewal(ref, std::move(request), now, fx);
  } else if (!state_->keep_arrival(State::RenewArrival{ref, std::move(request)})) {
    fx.renewals.push_back(RenewReply{ref, {}, state_->not_leader()});
  }
}

void Node::on_disconnected(uint64_t via, Instant now, Effects&) {
  State& state = *state_;
  const auto found = state.dropping.find(via);
  if (found == state.dropping.end()) return;
  // The client never counts on more than this from a renewal on, so that it may be cut short. One
  // that has come back on another connection renews in time.
  const Duration grace = Duration::from_ms(base::kDisconnectGraceMs);
  for (const base::LeaseId lease : found->second) state.clock.shorten(lease, now + grace);
  state.dropping.erase(found);
}

void Node::State::take_renewal(ClientRef ref, RenewRequest request, Instant now, Effects& fx) {
  // The deadline moves at once, for by DESIGN 6 a renewal that has arrived holds back the expiry of
  // its lease; it is told only when a confirm round has shown that this node still leads. If the
  // round fails, the node steps down and its deadlines mean nothing any more.
  for (const base::LeaseId lease : request.leases) {
    if (HF_MUTANT(renewal_moves_nothing)) continue;
    if (!table.may_renew(lease, request.client)) continue;
    clock.renew(lease, now);
    if (request.via != 0 && table.drops_on_disconnect(lease)) dropping[request.via].insert(lease);
  }
  const size_t count = request.leases.size();
  if (renewing_leases + count > base::kMaxLeases) {
    fx.renewals.push_back(
        RenewReply{ref, {}, too_many("leases to renew", "pendingRenewals", base::kMaxLeases)});
  } else if (!wait_for_confirm(RenewCall{ref, std::move(request), {}, {}})) {
    fx.renewals.push_back(RenewReply{
        ref, {}, too_many("renewals and reads", "pendingReads", base::kMaxPendingReads)});
  } else {
    renewing_leases += count;
  }
}

void Node::on_read(ClientRef ref, Instant, Effects& fx) {
  State& state = *state_;
  state.follow_role(fx);
  if (!state.is_active() && HF_MUTANT(follower_answers_reads)) {
    fx.reads.push_back(ReadReply{ref, std::nullopt});
  } else if (state.is_active()) {
    state.take_read(ref, fx);
  } else if (!state.keep_arrival(ReadCall{ref, {}})) {
    fx.reads.push_back(ReadReply{ref, state.not_leader()});
  }
}

void Node::on_read_here(ClientRef ref, Instant now, Effects& fx) {
  State& state = *state_;
  if (state.replica.role() != paxos::Role::kFollower) return on_read(ref, now, fx);
  state.follow_role(fx);
  if (state.asked_reads.size() + state.indexed_reads.size() >= base::kMaxPendingReads) {
    fx.reads.push_back(ReadReply{ref, too_many("reads", "pendingReads", base::kMaxPendingReads)});
    return;
  }
  state.asked_reads.push_back({ref, state.replica.want_read_index(), now + state.patience()});
}

// The leader's word has come for some; some know long since through where this node has to apply;
// and of some the time is up.
void Node::State::answer_reads_here(Instant now, Effects& fx) {
  const paxos::Replica::ReadIndex index = replica.read_index();
  while (!asked_reads.empty()) {
    const ReadHere& read = asked_reads.front();
    if (read.number <= index.number) {
      indexed_reads.push_back({read.ref, index.slot});
    } else if (is_active()) {
      take_read(read.ref, fx);
    } else if (now >= read.until) {
      fx.reads.push_back(ReadReply{read.ref, not_leader()});
    } else {
      break;
    }
    asked_reads.pop_front();
  }
  const bool blind = HF_MUTANT(read_here_not_applied);
  while (!indexed_reads.empty() &&
         (indexed_reads.front().chosen <= table.meta().applied || blind)) {
    fx.reads.push_back(ReadReply{indexed_reads.front().ref, std::nullopt});
    indexed_reads.pop_front();
  }
}

void Node::State::take_read(ClientRef ref, Effects& fx) {
  // Counter-example to what is applied here: a follower has heard that a slot is chosen, applies it
  // and shows it to a reader, while this leader waits for its disk before it applies that one.
  if (wait_for_confirm(ReadCall{ref, replica.chosen_upto()})) return;
  fx.reads.push_back(
      ReadReply{ref, too_many("renewals and reads", "pendingReads", base::kMaxPendingReads)});
}

void Node::on_dropped(ClientRef ref) {
  state_->operations.drop(ref);
}

bool Node::State::wait_for_confirm(decltype(ConfirmWait::call) call) {
  if (confirms.size() + confirmed_reads.size() + held_renewals.size() >= base::kMaxPendingReads)
    return false;
  // P8: the counter is drawn now, after the request arrived. An echo of an older one proves only
  // that this node led before the request came.
  const base::Confirm none;
  const bool blind = (HF_MUTANT(renewed_unconfirmed) && std::holds_alternative<RenewCall>(call)) ||
                     (HF_MUTANT(read_unconfirmed) && std::holds_alternative<ReadCall>(call));
  confirms.push_back(ConfirmWait{blind ? none : replica.want_confirm(), std::move(call)});
  return true;
}

// DESIGN 7a: first the record of the operation, then refusals, then the log.
void Node::State::take_command(ClientRef ref, locks::Command command, Effects& fx) {
  if (std::holds_alternative<locks::RegisterClient>(command.body)) {
    // It has no client yet, hence no number: a random one leads its answer back to this call.
    // Random, not counted, because a registration that another leader proposed may be applied while
    // this node leads, and its answer must not go to a caller here.
    command.op = locks::OpId{{}, random.next(), 0, {}};
    propose_command(ref, std::move(command), fx);
    return;
  }
  if (!command.op.client) {
    fx.replies.push_back(CommandReply{
        ref,
        Error{ErrorCode::kInvalidArgument, "the operation names no client; register first", {}}});
    return;
  }
  const AnswerKey key{command.op.client, command.op.number};
  if (operations.contains(key)) {
    operations.add(key, ref);  // a retry: the same answer goes to both
    return;
  }
  switch (table.op_state(key.client, key.number)) {
    case OpState::kWaiting: operations.add(key, ref); return;
    case OpState::kNew: propose_command(ref, std::move(command), fx); return;
    case OpState::kUnknownClient:
    case OpState::kAnswered:
    case OpState::kSettled:
      // What this node knows may be old news; it is told after a confirm round.
      if (!wait_for_confirm(LookupCall{ref, std::move(command)})) {
        fx.replies.push_back(CommandReply{
            ref, too_many("renewals and reads", "pendingReads", base::kMaxPendingReads)});
      }
      return;
  }
}

void Node::State::propose_command(ClientRef ref, locks::Command command, Effects& fx) {
  if (auto refused = locks::validate(command)) {
    fx.replies.push_back(CommandReply{ref, std::move(*refused)});
    return;
  }
  if (batcher.pending() >= base::kMaxPendingCommands) {
    fx.replies.push_back(
        CommandReply{ref, too_many("commands", "pendingCommands", base::kMaxPendingCommands)});
    return;
  }
  if (const auto* close = std::get_if<locks::CloseLease>(&command.body)) ++ending[close->lease];
  operations.add(AnswerKey{command.op.client, command.op.number}, ref);
  batcher.add(std::move(command));
}

// Answers all that waited for a confirm round which is through by now.
void Node::State::answer_confirmed(Instant now, Effects& fx) {
  if (!is_active()) return;
  const base::Confirm confirmed = replica.confirmed();
  while (!confirms.empty() && confirms.front().needed <= confirmed) {
    auto call = std::move(confirms.front().call);
    confirms.pop_front();
    if (auto* renewal = std::get_if<RenewCall>(&call)) {
      answer_renewal(std::move(*renewal), fx);
    } else if (const auto* read = std::get_if<ReadCall>(&call)) {
      confirmed_reads.push_back(*read);
    } else if (const auto* request = std::get_if<AdminCall>(&call)) {
      decide_change(*request, now, fx);
    } else {
      answer_lookup(std::get<LookupCall>(call), fx);
    }
  }
  answer_reads(fx);
}

// Linearizable: all that anybody was told is applied on the leader, and it led after that.
void Node::State::answer_reads(Effects& fx) {
  while (!confirmed_reads.empty() && confirmed_reads.front().chosen <= table.meta().applied) {
    fx.reads.push_back(ReadReply{confirmed_reads.front().ref, std::nullopt});
    confirmed_reads.pop_front();
  }
}

// Yes only if, at this moment, the node leads in the ballot in which the renewal arrived (else
// step_down would have taken it away) and neither Expire nor Close of the lease is proposed (DESIGN
// 6). A lease whose end is proposed is decided when that is applied. The others need not be looked
// at again: until arrival + TTL nobody decides to expire them, and a close that comes later might
// as well overtake an answer that is under way.
void Node::State::answer_renewal(RenewCall call, Effects& fx) {
  const auto decide = [this, &call](uint32_t i) {
    const base::LeaseId lease = call.request.leases[i];
    if (ending.contains(lease) && !HF_MUTANT(renewed_while_ending)) return false;
    if (must_end_checkpoint(lease)) return false;
    const bool alive = clock.deadline(lease) && table.may_renew(lease, call.request.client);
    call.answers[i] = alive ? Renewal::kAlive : Renewal::kNotFound;
    renewals_total += alive;
    return true;
  };
  if (call.answers.empty()) {
    call.answers.resize(call.request.leases.size());
    for (uint32_t i = 0; i < call.answers.size(); ++i) {
      if (!decide(i)) call.undecided.push_back(i);
    }
  } else {
    std::erase_if(call.undecided, decide);
  }
  if (!call.undecided.empty()) {
    held_renewals.push_back(std::move(call));
    return;
  }
  renewing_leases -= call.request.leases.size();
  fx.renewals.push_back(RenewReply{call.ref, std::move(call.answers), std::nullopt});
}

// DESIGN 6: a lease that counts as checkpointed would end too early under a next leader. Its
// renewal is answered when the checkpoint's end is applied; this sees to it that the end is on its
// way.
bool Node::State::must_end_checkpoint(base::LeaseId lease) {
  const base::LeaseRow* row = table.lease(lease);
  if (row == nullptr || HF_MUTANT(checkpoint_outlives_renewal)) return false;
  const auto under_way = checkpoints.find(lease);
  const bool is_last_an_end = under_way != checkpoints.end() && under_way->second.ends;
  const bool counts = row->left_ms != 0 || under_way != checkpoints.end();
  if (!counts) return false;
  if (is_last_an_end) return true;
  CheckpointsUnderWay& mine = checkpoints[lease];
  ++mine.count;
  mine.ends = true;
  batcher.add(locks::Command{{}, locks::CheckpointLeases{active_ballot, {{lease, 0}}}});
  return true;
}

void Node::State::answer_held_renewals(Effects& fx) {
  for (RenewCall& call : std::exchange(held_renewals, {})) answer_renewal(std::move(call), fx);
}

void Node::State::answer_lookup(LookupCall& call, Effects& fx) {
  const AnswerKey op{call.command.op.client, call.command.op.number};
  switch (table.op_state(op.client, op.number)) {
    case OpState::kUnknownClient:
      fx.replies.push_back(
          CommandReply{call.ref, Error{ErrorCode::kUnknownClient,
                                       "this client is not registered, or was idle for too long",
                                       {}}});
      return;
    case OpState::kSettled:
      fx.replies.push_back(
          CommandReply{call.ref, Error{ErrorCode::kCancelled,
                                       "this operation was answered before, and the client said so",
                                       {}}});
      return;
    case OpState::kAnswered:
      fx.replies.push_back(CommandReply{call.ref, *table.recorded_answer(op.client, op.number)});
      return;
    case OpState::kNew:
    case OpState::kWaiting:
      // A stranger guessed the id of a client that registered since: that is a call like any other.
      take_command(call.ref, std::move(call.command), fx);
      return;
  }
}

}  // namespace holdfast::node
