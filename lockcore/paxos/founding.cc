#include "lockcore/paxos/founding.h"

#include <algorithm>
#include <utility>

#include "lockcore/base/assert.h"
#include "lockcore/base/mutant.h"
#include "lockcore/paxos/election.h"
#include "lockcore/paxos/membership.h"

namespace holdfast::paxos::founding {

namespace {

using base::FoundingState;

// Of the list while there is no record, of the record after that.
base::NodeId proposer(const ReplicaState& s) {
  const auto& members = s.founding == FoundingState::kEmpty ? s.cluster : s.config.members;
  return members.empty() ? base::NodeId{} : members.front().id;
}

// Has said in this run that it is empty, and has our list.
bool ready(const ReplicaState& s, const Peer& peer) {
  return peer.connected && peer.hello->founding == FoundingState::kEmpty &&
         peer.hello->cluster == s.cluster_text;
}

base::Incarnation incarnation_of(const base::Config& config, base::NodeId id) {
  for (const base::Member& member : config.members) {
    if (member.id == id) return member.incarnation;
  }
  return {};
}

void adopt_record(ReplicaState& s, base::Config config) {
  s.set_config(std::move(config));
  s.founding = FoundingState::kProposed;
  base::LogWrite& write = s.gate.open();
  write.config = s.config;
  write.founding = s.founding;
  s.progress.own_record = write.id;
  // A peer may have been wiped after its hello, and before the proposer heard that.
  for (Peer& peer : s.peers) {
    if (peer.hello && peer.hello->incarnation != incarnation_of(s.config, peer.id)) {
      peer.admitted = peer.connected = false;
    }
  }
}

void become_founded(ReplicaState& s) {
  s.founding = FoundingState::kFounded;
  base::LogWrite& write = s.gate.open();
  write.founding = s.founding;
  s.progress.founded_write = write.id;
  membership::store_marks(s);
}

void send_record(const ReplicaState& s, const Peer& peer, Effects& fx) {
  if (peer.connected && s.progress.acked.count(peer.id) == 0) {
    s.send(peer.id, FoundPropose{s.config}, fx);
  }
}

void make_record(ReplicaState& s, Effects& fx) {
  base::Config config{s.options.new_cell, base::ConfigVersion{1}, s.cluster};
  HF_ASSERT(static_cast<bool>(config.cell));
  for (base::Member& member : config.members) {
    const Peer* peer = s.find_peer(member.id);
    if (HF_MUTANT(founded_by_a_majority) && peer != nullptr && !peer->hello) continue;
    member.incarnation = peer != nullptr ? peer->hello->incarnation : s.incarnation;
  }
  s.tell(Notice::Level::kInfo, "founds " + cell_text(config.cell) + " of " + s.cluster_text, fx);
  adopt_record(s, std::move(config));
}

// The record is of our list, and of our disk.
bool agrees(const ReplicaState& s, const base::Config& config) {
  if (!config.cell || config.version != base::ConfigVersion{1}) return false;
  if (config.members.size() != s.cluster.size()) return false;
  for (size_t i = 0; i < s.cluster.size(); ++i) {
    const base::Member& member = config.members[i];
    if (member.id != s.cluster[i].id || member.address != s.cluster[i].address) return false;
    if (!member.voter) return false;
    if (member.id == s.self && member.incarnation != s.incarnation) return false;
  }
  return true;
}

// The proposer alone can see that all are ready, and then that all have the record.
void propose_if_ready(ReplicaState& s, base::Instant now, Effects& fx) {
  if (s.founding != FoundingState::kEmpty || proposer(s) != s.self) return;
  size_t missing = 0;
  for (const Peer& peer : s.peers) missing += !ready(s, peer);
  if (missing > (HF_MUTANT(founded_by_a_majority) ? s.peers.size() / 2 : 0)) return;
  make_record(s, fx);
  s.progress.resend_at = now;
}

void found_if_all_have_it(ReplicaState& s) {
  if (s.founding != FoundingState::kProposed || proposer(s) != s.self) return;
  if (s.gate.facts().founding != FoundingState::kProposed) return;  // our own record counts too
  const size_t needed = HF_MUTANT(founded_by_a_majority) ? s.peers.size() / 2 : s.peers.size();
  if (s.progress.acked.size() >= needed) become_founded(s);
}

}  // namespace

std::optional<Refusal> check_stranger(ReplicaState& s, const Hello& peer, Effects& fx) {
  const std::string who = node_text(peer.node, peer.address);
  const std::string self = std::to_string(s.self.value);
  if (s.options.join) {
    return Refusal{"node " + self + " is still waiting to be taken in as a learner", false};
  }
  if (peer.founding == FoundingState::kFounded) {
    // Nobody is founded before all members have the record: so we are no member, or were one and
    // lost our disk.
    const std::string reason =
        "node " + self + " has an empty disk, and " + who + " belongs to " + cell_text(peer.cell) +
        ", which is founded already. If node " + self +
        " was a member of it, its disk was lost or "
        "wiped: a voter that forgot its promises must never vote again; bring it back under a new "
        "node id with `lockctl member replace " +
        self +
        " NEW=HOST:PORT`. If it never was, its "
        "--cluster list names a cell that it can't found again.";
    s.end(reason, fx);
    return Refusal{reason, false};
  }
  if (peer.cluster != s.cluster_text) {
    return Refusal{"the cluster lists differ: " + who + " was given " + peer.cluster + ", node " +
                       self + " was given " + s.cluster_text,
                   false};
  }
  if (s.find_peer(peer.node) == nullptr) {
    return Refusal{who + " is not in the cluster list " + s.cluster_text, false};
  }
  if (peer.founding == FoundingState::kProposed && proposer(s) == s.self) {
    // It has a record that only we can have made: with another disk.
    const std::string reason =
        who + " has a record of " + cell_text(peer.cell) + ", which node " + self +
        " proposed and does not know: its disk was lost or wiped while the cell was founded. If no "
        "node of the list is founded yet, empty all their data directories and start again; else "
        "use `lockctl member replace`.";
    s.end(reason, fx);
    return Refusal{reason, false};
  }
  return std::nullopt;
}

void on_peer_back(ReplicaState& s, Peer& peer, base::Instant now, Effects& fx) {
  switch (s.founding) {
    case FoundingState::kEmpty: propose_if_ready(s, now, fx); break;
    case FoundingState::kProposed:
      if (peer.hello->founding == FoundingState::kFounded) {
        become_founded(s);  // of the same cell: check_member() saw to that
      } else if (proposer(s) == s.self && s.gate.is_durable(s.progress.own_record)) {
        send_record(s, peer, fx);
      }
      break;
    case FoundingState::kFounded:
      if (s.founded() && peer.hello->founding != FoundingState::kFounded) {
        s.send(peer.id, FoundCommit{s.config.cell}, fx);
      }
      break;
  }
}

void on_propose(ReplicaState& s, Peer& from, const FoundPropose& message, base::Instant now,
                Effects& fx) {
  const base::NodeId sender = from.id;  // adopting the record rebuilds the list that `from` is in
  if (s.founding == FoundingState::kEmpty) {
    if (sender != proposer(s)) return;
    if (!agrees(s, message.config)) {
      s.tell(Notice::Level::kError,
             "refused to found " + cell_text(message.config.cell) + " with " +
                 node_text(from.id, from.address) + ": its record is of " +
                 paxos::cluster_text(message.config.members) + ", or of another disk of this node",
             fx);
      return;
    }
    adopt_record(s, message.config);
    s.progress.resend_at = now;
  }
  if (message.config == s.config) s.gate.hold({sender, FoundAck{s.config.cell}}, fx);
}

void on_joined(ReplicaState& s, const base::Config& config, Effects& fx) {
  if (!s.options.join || s.founding != FoundingState::kEmpty) return;  // a second answer
  const base::Member* self = config.find(s.self);
  if (self == nullptr || self->incarnation != s.incarnation || self->voter || !config.cell) {
    s.tell(Notice::Level::kError, "the record of the cell that it was to join makes no sense", fx);
    return;
  }
  s.set_config(config);
  s.gate.open().config = s.config;
  become_founded(s);
}

void on_ack(ReplicaState& s, Peer& from, const FoundAck& message) {
  if (s.founding != FoundingState::kProposed || message.cell != s.config.cell) return;
  s.progress.acked.insert(from.id);
  found_if_all_have_it(s);
}

void on_commit(ReplicaState& s, const FoundCommit& message) {
  if (message.cell == s.config.cell) on_cell_message(s);
}

void on_cell_message(ReplicaState& s) {
  // The sender is a member of the cell that our record tells of, with the disk named there, and it
  // is founded: so every member has the record. The FoundCommit itself may have been lost.
  if (s.founding == FoundingState::kProposed) become_founded(s);
}

void on_tick(ReplicaState& s, base::Instant now, Effects& fx) {
  if (s.founding != FoundingState::kProposed || proposer(s) != s.self) return;
  if (!s.gate.is_durable(s.progress.own_record) || now < s.progress.resend_at) return;
  s.progress.resend_at = now + s.options.heartbeat * 2;
  for (const Peer& peer : s.peers) send_record(s, peer, fx);
  found_if_all_have_it(s);
}

void on_written(ReplicaState& s, base::Instant now, Effects& fx) {
  if (s.founding == FoundingState::kProposed) {
    on_tick(s, now, fx);
  } else if (s.founding == FoundingState::kFounded && !s.founded() &&
             s.gate.is_durable(s.progress.founded_write)) {
    const bool first = proposer(s) == s.self;
    election::start(s, first, now);
    s.tell(Notice::Level::kInfo, "is a founded member of " + cell_text(s.config.cell), fx);
    for (const Peer& peer : s.peers) {
      if (first && peer.connected) s.send(peer.id, FoundCommit{s.config.cell}, fx);
    }
  }
}

void finish_turn(ReplicaState& s, base::Instant now, Effects& fx) {
  if (s.peers.empty()) propose_if_ready(s, now, fx);  // a cell of one waits for nobody
}

std::string waiting_for(const ReplicaState& s) {
  if (s.founded()) return {};
  if (s.options.join && s.founding == FoundingState::kEmpty) {
    return "a living cell to take it in as a learner";
  }
  std::string names;
  const auto add = [&names](const Peer& peer, const std::string& why) {
    if (!names.empty()) names += "; ";
    names += node_text(peer.id, peer.address) + why;
  };
  for (const Peer& peer : s.peers) {
    if (s.founding == FoundingState::kEmpty) {
      const bool has_record = peer.hello && peer.hello->founding != FoundingState::kEmpty;
      if (ready(s, peer) || has_record) continue;
      add(peer, peer.refusal.empty() ? "" : ": " + peer.refusal);
    } else if (proposer(s) == s.self && s.progress.acked.count(peer.id) == 0) {
      add(peer, ", to store the cell's record");
    }
  }
  // Nobody else is missing: it is the proposer's turn.
  const Peer* first = s.find_peer(proposer(s));
  if (names.empty() && first != nullptr) add(*first, ", to found the cell");
  return names;
}

base::Instant next_tick(const ReplicaState& s) {
  if (s.founding != FoundingState::kProposed || proposer(s) != s.self) return base::kNever;
  return s.gate.is_durable(s.progress.own_record) ? s.progress.resend_at : base::kNever;
}

}  // namespace holdfast::paxos::founding
