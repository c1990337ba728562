#include "lockcore/paxos/acceptor.h"

#include <algorithm>
#include <utility>

#include "lockcore/base/assert.h"
#include "lockcore/base/mutant.h"
#include "lockcore/paxos/catch_up.h"
#include "lockcore/paxos/election.h"

namespace holdfast::paxos::acceptor {

namespace {

constexpr size_t kPromisePartBytes = 1024 * 1024;

// False: the message is not the work of this ballot's leader, or comes too late.
bool admit_ballot(ReplicaState& s, const Peer& from, const base::Ballot& ballot, Effects& fx) {
  if (!well_formed(ballot) || ballot.node != from.id) return false;
  s.saw_round(ballot);
  if (ballot >= s.promised) return true;
  s.send(from.id, Reject{ballot, s.promised}, fx);
  return false;
}

enum class Verdict { kTaken, kIgnored, kDiverged };

// Accepts one entry, in memory and into this turn's write.
Verdict take_entry(ReplicaState& s, base::Entry entry) {
  if (entry.slot > s.window_end()) return Verdict::kIgnored;
  // Applied long ago, and no longer in memory. Our row there may be of a higher ballot (fetched, so
  // without a promise), and this may be a late word of a leader that was deposed before the slot
  // was chosen, with another value: it must not replace ours. A leader that needs our vote here
  // learns from our heartbeat replies that we know more, and fetches it.
  if (entry.slot < std::max(s.log.first(), s.first_retained)) return Verdict::kIgnored;
  if (const Row* row = s.log.find(entry.slot)) {
    if (row->entry.ballot > entry.ballot) return Verdict::kIgnored;  // the same, in memory
    // One ballot proposes one value a slot, and every ballot from the choosing one on the chosen
    // one.
    if ((row->chosen || row->entry.ballot == entry.ballot) && !same_value(row->entry, entry)) {
      return Verdict::kDiverged;
    }
    if (row->entry.ballot == entry.ballot) return Verdict::kTaken;  // sent again
  }
  base::LogWrite& write = s.gate.open();
  write.entries.push_back(entry);
  s.log.put(std::move(entry), write.id);
  return Verdict::kTaken;
}

}  // namespace

// P5: takes `upto` from the leader of `ballot`, but only over what was accepted in that ballot.
// Counter-example to taking it over any accepted row: node C accepted x at slot 5 in ballot 1, A
// and B chose y there in ballot 2, and C hears "chosen through 5" from the leader of ballot 2
// before anything else of it: C would apply x.
void take_chosen(ReplicaState& s, const base::Ballot& ballot, base::Slot upto) {
  while (s.chosen_upto < upto) {
    Row* row = s.log.find(s.chosen_upto.next());
    if (row == nullptr) break;
    if (!row->chosen && row->entry.ballot != ballot && !HF_MUTANT(chosen_over_older_ballot)) break;
    row->chosen = true;
    s.chosen_upto = s.chosen_upto.next();
  }
  s.advance_chosen();
}

void raise_promise(ReplicaState& s, const base::Ballot& ballot) {
  HF_ASSERT(ballot > s.promised);
  s.promised = ballot;
  s.saw_round(ballot);
  s.gate.open().promised = ballot;
}

void on_prepare(ReplicaState& s, Peer& from, const Prepare& message, base::Instant now,
                Effects& fx) {
  if (!message.from || message.from.value >= kMaxCounter) return;
  if (!admit_ballot(s, from, message.ballot, fx)) return;
  // P11: the damaged row may be what was chosen. Counter-example to promising without it: A and B
  // chose x at slot 5, A's row is damaged; C hears of no value there from itself and A, and a no-op
  // is chosen in x's place.
  if (s.mends() && !HF_MUTANT(promises_while_mending)) return;
  if (message.ballot > s.promised) {
    election::step_down(s, "promised " + ballot_text(message.ballot), now, fx);
    raise_promise(s, message.ballot);
    election::heard(s, from.id, now);
  } else if (s.leader_ballot == message.ballot) {
    return;  // a copy that arrives late: it leads in this ballot already
  }
  // The rows are reported as they stand now, those still with the writer included, and the promise
  // is held back until all of them are durable (P2). Copies of one promise report the same rows at
  // the same chosen_upto: nothing is accepted in a lower ballot any more.
  std::vector<Promise> parts(1);
  size_t bytes = 0;
  const base::Slot first = std::max({message.from, s.chosen_upto.next(), s.log.first()});
  for (base::Slot slot = first; slot <= s.log.last(); slot = slot.next()) {
    const Row* row = s.log.find(slot);
    if (row == nullptr) continue;
    if (HF_MUTANT(promise_leaves_out_pending) && !s.gate.is_durable(row->write)) continue;
    if (bytes > 0 && bytes + row->entry.bytes() > kPromisePartBytes) {
      parts.emplace_back();
      bytes = 0;
    }
    bytes += row->entry.bytes();
    parts.back().entries.push_back(row->entry);
  }
  for (uint32_t i = 0; i < parts.size(); ++i) {
    parts[i].ballot = message.ballot;
    parts[i].first_retained = s.first_retained;
    parts[i].chosen_upto = s.chosen_upto;
    parts[i].part = i;
    parts[i].parts = static_cast<uint32_t>(parts.size());
    if (HF_MUTANT(promise_before_durable)) {
      fx.messages.push_back({from.id, std::move(parts[i])});
      continue;
    }
    s.gate.hold({from.id, std::move(parts[i])}, fx);
  }
}

void on_accept(ReplicaState& s, Peer& from, Accept message, base::Instant now, Effects& fx) {
  for (const base::Entry& entry : message.entries) {
    if (!well_formed(entry) || entry.ballot != message.ballot) return;
  }
  // P11: no vote, but the promise is whole, so the leader has our word that nobody above it has one
  // (P8); and what it says is chosen may be what has to be mended.
  if (s.mends() && !HF_MUTANT(accepts_while_mending)) {
    return on_heartbeat(s, from, {message.ballot, message.chosen_upto, message.confirm}, now, fx);
  }
  if (!admit_ballot(s, from, message.ballot, fx)) return;
  election::follow(s, from.id, message.ballot, now, fx);
  if (message.ballot > s.promised && !HF_MUTANT(accept_keeps_promise)) {
    raise_promise(s, message.ballot);
  }
  Accepted reply{message.ballot, {}, message.confirm};
  for (base::Entry& entry : message.entries) {
    const base::Slot slot = entry.slot;
    switch (take_entry(s, std::move(entry))) {
      case Verdict::kTaken: reply.slots.push_back(slot); break;
      case Verdict::kIgnored: break;
      case Verdict::kDiverged:
        s.end("slot " + std::to_string(slot.value) + " holds another value here than " +
                  ballot_text(message.ballot) + " proposes: the logs of the cell have diverged",
              fx);
        return;
    }
  }
  if (HF_MUTANT(accept_before_durable)) {
    fx.messages.push_back({from.id, std::move(reply)});
    return;
  }
  // P8: the promise is not above this ballot at this moment, which is after the counter was drawn;
  // that the echo leaves later, with a higher promise perhaps, takes nothing from that.
  // While a disk stalls, answers must not pile up: beyond the limit they count as lost on the way.
  if (s.gate.held() < base::kMaxHeldAnswers) s.gate.hold({from.id, std::move(reply)}, fx);
  take_chosen(s, message.ballot, message.chosen_upto);
  catch_up::heard_of(s, from.id, message.chosen_upto);
}

void on_heartbeat(ReplicaState& s, Peer& from, const Heartbeat& message, base::Instant now,
                  Effects& fx) {
  if (HF_MUTANT(deposed_leader_confirmed) && message.ballot < s.promised) {
    s.send(from.id,
           HeartbeatReply{message.ballot, message.confirm, s.chosen_upto, s.applied, s.recorded},
           fx);
    return;
  }
  if (!admit_ballot(s, from, message.ballot, fx)) return;
  election::follow(s, from.id, message.ballot, now, fx);
  take_chosen(s, message.ballot, message.chosen_upto);
  catch_up::heard_of(s, from.id, message.chosen_upto);
  s.send(from.id,
         HeartbeatReply{message.ballot, message.confirm, s.chosen_upto, s.applied, s.recorded}, fx);
}

}  // namespace holdfast::paxos::acceptor
