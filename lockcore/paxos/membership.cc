#include "lockcore/paxos/membership.h"

#include <algorithm>

#include "lockcore/base/mutant.h"
#include "lockcore/paxos/clock_watch.h"
#include "lockcore/paxos/founding.h"

namespace holdfast::paxos::membership {

namespace {

std::string lost_text(const ReplicaState& s, base::NodeId node, const std::string& how) {
  const std::string id = std::to_string(node.value);
  return "the disk of node " + id + " was lost or wiped: " + cell_text(s.config.cell) + " " + how +
         ". A voter that forgot its promises must never vote again. Bring it back with an empty "
         "data directory under a new node id, with `lockctl member replace " +
         id + " NEW=HOST:PORT`.";
}

Refusal refuse(std::string reason) {
  return {std::move(reason), false};
}
Refusal lost(const ReplicaState& s, base::NodeId node, const std::string& how) {
  return {lost_text(s, node, how), true};
}

// An old copy of a directory, or a second process with the same one. What is compared was durable
// before it was told, so a true owner of the directory always says at least as much.
std::optional<Refusal> check_life(const ReplicaState& s, const base::PeerMark& known,
                                  const Hello& peer) {
  if (HF_MUTANT(old_copy_admitted)) return std::nullopt;
  const std::string count = std::to_string(peer.start_count);
  if (peer.start_count < known.start_count) {
    return lost(s, peer.node,
                "heard of its start number " + std::to_string(known.start_count) +
                    " before this one, number " + count + ": this is an old copy");
  }
  if (peer.start_count == known.start_count) {
    // Within one process its word may be older than what we heard of it on another link: nothing
    // else is compared, a false alarm would cost a voter.
    if (peer.process_nonce == known.process_nonce) return std::nullopt;
    return lost(s, peer.node,
                "heard of start number " + count + " from another process: this is a second copy");
  }
  if (peer.promised < known.promised) {
    return lost(s, peer.node,
                "heard it promise " + ballot_text(known.promised) +
                    ", and it knows nothing of that: this is an old copy");
  }
  if (peer.highest_accepted < known.highest_accepted) {
    return lost(s, peer.node,
                "heard it accept slot " + std::to_string(known.highest_accepted.value) +
                    ", and its log ends at " + std::to_string(peer.highest_accepted.value) +
                    ": this is an old copy");
  }
  return std::nullopt;
}

// We have a record of the cell, founded or proposed.
std::optional<Refusal> check_member(const ReplicaState& s, const Hello& peer) {
  if (peer.founding != base::FoundingState::kEmpty && peer.cell != s.config.cell) {
    return refuse(node_text(peer.node, peer.address) + " belongs to " + cell_text(peer.cell) +
                  ", node " + std::to_string(s.self.value) + " to " + cell_text(s.config.cell));
  }
  const base::Member* member = s.config.find(peer.node);
  if (s.config.has_removed(peer.node)) {
    // Not before we would know it after a crash as well: see may_leave().
    const bool recorded = s.recorded >= s.config_slot;
    return Refusal{node_text(peer.node, peer.address) + " was removed from " +
                       cell_text(s.config.cell) +
                       ". A node that is to come back takes a new node id and an empty data "
                       "directory, and joins with --join",
                   false, recorded ? s.config.version : base::ConfigVersion{}};
  }
  const bool founded =
      s.founding == base::FoundingState::kFounded && peer.founding == base::FoundingState::kFounded;
  // We lag. Whom we ask for votes, and who may ask us, doesn't depend on whom we know (P9); but all
  // that we do know may be gone, and then only strangers can tell us so.
  const bool newer = founded && peer.config_version > s.config.version;
  if (member == nullptr && newer && s.peers.size() < kMaxVoters) return std::nullopt;
  if (member == nullptr) {
    return refuse(cell_text(s.config.cell) + " does not know " +
                  node_text(peer.node, peer.address) +
                  ". It is founded already: a new node joins with --join, a lost one is replaced "
                  "with `lockctl member replace`");
  }
  if (!member->incarnation) {
    if (newer) return std::nullopt;  // it has joined since
    return refuse(node_text(peer.node, peer.address) +
                  " was added, but hasn't joined yet: start it with an empty data directory and "
                  "--join");
  }
  if (member->incarnation != peer.incarnation) {
    if (HF_MUTANT(wiped_disk_admitted)) return std::nullopt;
    return lost(s, peer.node, "knows it with another disk");
  }
  if (s.founding != base::FoundingState::kFounded) return std::nullopt;  // nothing was promised yet
  const Peer* known = s.find_peer(peer.node);
  std::optional<Refusal> refusal = check_life(s, known->mark, peer);
  if (!refusal && peer.founding == base::FoundingState::kEmpty &&
      peer.start_count != known->mark.start_count) {
    // Every member had the record durably before anybody was founded. But its hello may have been
    // said before that, and overtaken by the founding: no proof of loss. A healthy process soon
    // says a better one; an old copy ends by itself when it hears our hello.
    return refuse(node_text(peer.node, peer.address) + " has no record of " +
                  cell_text(s.config.cell) + ", which was founded with it");
  }
  return refusal;
}

std::optional<Refusal> check(ReplicaState& s, const Hello& peer, Effects& fx) {
  if (peer.protocol != kProtocol) {
    return refuse(node_text(peer.node, peer.address) + " speaks protocol " +
                  std::to_string(peer.protocol) + ", node " + std::to_string(s.self.value) +
                  " speaks " + std::to_string(kProtocol));
  }
  if (peer.node == s.self) {
    return refuse("two nodes call themselves node " + std::to_string(s.self.value) +
                  ": the one at " + s.options.address + " and the one at " + peer.address);
  }
  if (s.founding == base::FoundingState::kEmpty) return founding::check_stranger(s, peer, fx);
  return check_member(s, peer);
}

void update_mark(base::PeerMark& mark, const Hello& peer) {
  if (peer.start_count > mark.start_count) {
    mark.start_count = peer.start_count;
    mark.process_nonce = peer.process_nonce;
  }
  mark.promised = std::max(mark.promised, peer.promised);
  mark.highest_accepted = std::max(mark.highest_accepted, peer.highest_accepted);
}

}  // namespace

Hello hello(const ReplicaState& s) {
  const DurableFacts& facts = s.gate.facts();
  Hello hello;
  hello.node = s.self;
  if (facts.founding != base::FoundingState::kEmpty) {
    hello.cell = s.config.cell;
    hello.config_version = s.config.version;
  }
  hello.incarnation = s.incarnation;
  hello.start_count = s.start_count;
  hello.process_nonce = s.options.process_nonce;
  hello.founding = facts.founding;
  hello.promised = facts.promised;
  hello.highest_accepted = facts.highest_accepted;
  hello.protocol = kProtocol;
  hello.address = s.options.address;
  hello.cluster = s.cluster_text;
  return hello;
}

std::optional<Refusal> on_hello(ReplicaState& s, const Hello& peer, Effects& fx) {
  std::optional<Refusal> refusal = check(s, peer, fx);
  Peer* known = s.find_peer(peer.node);
  if (refusal) {
    if (known == nullptr) {
      if (s.refused_strangers.size() < kMaxVoters && s.refused_strangers.insert(peer.node).second) {
        s.tell(Notice::Level::kWarning, "refused a peer: " + refusal->reason, fx);
      }
    } else if (known->refusal != refusal->reason) {
      known->refusal = refusal->reason;
      s.tell(Notice::Level::kWarning, "refused a peer: " + refusal->reason, fx);
    }
    return refusal;
  }
  if (known == nullptr) {
    known = &s.peers.emplace_back();
    known->id = known->mark.node = known->stored.node = peer.node;
    known->address = peer.address;
    known->stranger = true;
    ++s.contacts;
  }
  known->admitted = known->connected = true;
  known->refusal.clear();
  clock_watch::on_hello(*known, peer);
  known->hello = peer;
  if (s.founding == base::FoundingState::kFounded) {
    update_mark(known->mark, peer);
    if (known->mark != known->stored) {
      known->stored = known->mark;
      s.gate.open().peers.push_back(known->mark);
    }
  }
  return std::nullopt;
}

void store_marks(ReplicaState& s) {
  for (Peer& peer : s.peers) {
    if (!peer.hello) continue;
    update_mark(peer.mark, *peer.hello);
    peer.stored = peer.mark;
    s.gate.open().peers.push_back(peer.mark);
  }
}

std::string removed_text(const ReplicaState& s) {
  return "node " + std::to_string(s.self.value) + " was removed from " + cell_text(s.config.cell) +
         " by a membership change; its data directory is of no more use. It goes on until a "
         "majority of the cell's voters says so, in case that they need it to learn of the change";
}

namespace {

// P9: whether the cell can do without us, whom it removed. Counter-example to leaving as soon as we
// know of it: of the voters A and B, A alone learnt that its removal is chosen. B needs A's promise
// to find that out, and with A gone it waits forever. So a majority of those that stay must know
// it, for good. A configuration beyond the next was chosen by voters that know of the removal.
bool may_leave(const ReplicaState& s, base::ConfigVersion known) {
  const bool is_member = s.config.find(s.self) != nullptr;
  if (known.value > s.config.version.value + (is_member ? 1 : 0)) return true;
  size_t voters = 0;
  size_t say = 0;
  for (const base::Member& member : s.config.members) {
    if (!member.voter || member.id == s.self) continue;
    ++voters;
    say += s.removed_say.count(member.id);
  }
  return say > voters / 2;
}

}  // namespace

void on_refused(ReplicaState& s, base::NodeId by, const Refusal& refusal, base::Instant now,
                Effects& fx) {
  const std::string who = "node " + std::to_string(by.value);
  if (refusal.disk_lost) {
    // Kept in the directory itself: a later start must not vote with it either.
    s.gate.open().disk_lost = refusal.reason;
    s.gate.seal(now, fx);
    s.end(who + " refuses this node: " + refusal.reason, fx);
    return;
  }
  if (refusal.removed_by && s.founded()) {
    s.removed_say.insert(by);
    if (may_leave(s, refusal.removed_by)) {
      return s.end(who + " refuses this node: " + refusal.reason, fx);
    }
  }
  Peer* peer = s.find_peer(by);
  if (peer == nullptr || peer->refused_for == refusal.reason) return;
  peer->refused_for = refusal.reason;
  // As the refuser says it: it may only be early, as before a newcomer was taken in.
  s.tell(Notice::Level::kWarning, who + " refuses this node: " + refusal.reason, fx);
}

void check_at_start(ReplicaState& s, const std::string& disk_lost) {
  if (!disk_lost.empty()) {
    s.early_fatal = disk_lost;
    return;
  }
  const std::string id = std::to_string(s.self.value);
  if (s.founding == base::FoundingState::kEmpty) {
    if (s.options.join) return;
    for (const base::Member& member : s.cluster) {
      if (member.id == s.self) return;
    }
    s.early_fatal = "node " + id + " is not in the cluster list " + s.cluster_text;
    return;
  }
  const base::Member* member = s.config.find(s.self);
  if (member == nullptr) {
    s.early_notices.push_back({Notice::Level::kWarning, removed_text(s)});
  } else if (member->incarnation != s.incarnation) {
    s.early_fatal = lost_text(s, s.self, "knows it with another disk");
  }
  if (member != nullptr && member->address != s.options.address && s.config.version.value > 0) {
    s.early_notices.push_back(
        {Notice::Level::kWarning, "the cell knows this node at " + member->address +
                                      ", and it is told to be reached at " + s.options.address +
                                      ": say so with `lockctl member update " + id + "=" +
                                      s.options.address + "`"});
  }
  // P10: stored membership beats the list of the command line.
  const std::string stored = paxos::cluster_text(s.config.members);
  if (!s.options.cluster.empty() && stored != s.cluster_text) {
    s.early_notices.push_back({Notice::Level::kWarning, "the cluster list given, " +
                                                            s.cluster_text +
                                                            ", differs from the cell's own, " +
                                                            stored + ", which is what counts"});
  }
}

}  // namespace holdfast::paxos::membership
