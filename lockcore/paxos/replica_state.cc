#include "lockcore/paxos/replica_state.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <utility>

#include "lockcore/base/assert.h"
#include "lockcore/base/mutant.h"

namespace holdfast::paxos {

namespace {

std::vector<base::Member> listed_members(const Options& options) {
  std::vector<base::Member> members = options.cluster;
  // A node without a list is a cell of its own, unless it is to join another.
  if (members.empty() && !options.join)
    members.push_back({options.self, {}, options.address, true});
  std::sort(members.begin(), members.end(),
            [](const base::Member& a, const base::Member& b) { return a.id < b.id; });
  return members;
}

DurableFacts recovered_facts(const base::RecoveredLog& recovered) {
  base::Slot highest = recovered.last_slot;
  for (const base::Entry& entry : recovered.entries) highest = std::max(highest, entry.slot);
  return {recovered.promised, highest, recovered.founding};
}

}  // namespace

ReplicaState::ReplicaState(Options given, base::RecoveredLog recovered, base::Slot applied_slot,
                           base::Instant start)
    : options(std::move(given)),
      self(options.self),
      incarnation(recovered.incarnation),
      start_count(recovered.start_count),
      cluster(listed_members(options)),
      cluster_text(paxos::cluster_text(cluster)),
      now(start),
      random(options.random_seed),
      founding(recovered.founding),
      promised(recovered.promised),
      first_retained(recovered.first_retained),
      log(applied_slot.next()),
      gate(recovered_facts(recovered)),
      chosen_upto(applied_slot),
      handed_upto(applied_slot),
      applied(applied_slot),
      recorded(applied_slot),
      durable_upto(applied_slot),
      // Small limits are for tests: pieces are a part of what is kept.
      trim{LogSizes(std::move(recovered.pieces),
                    std::clamp<uint64_t>(options.log_slots / 8, 1, base::kLogPieceSlots)),
           applied_slot} {
  HF_ASSERT(static_cast<bool>(self));
  HF_ASSERT(options.heartbeat > base::Duration{});
  HF_ASSERT(options.election > options.heartbeat);
  saw_round(promised);
  // Rows above the applied slot are accepted values only: chosen when somebody says so (DESIGN 8).
  for (base::Entry& entry : recovered.entries) {
    saw_round(entry.ballot);
    if (entry.slot > applied_slot) log.put(std::move(entry), {});
  }
  if (HF_MUTANT(recovered_counts_as_chosen)) {
    while (Row* row = log.find(chosen_upto.next())) {
      row->chosen = true;
      chosen_upto = durable_upto = chosen_upto.next();
    }
  }
  set_config(std::move(recovered.config));
  for (const base::PeerMark& mark : recovered.peers) {
    if (Peer* peer = find_peer(mark.node)) peer->mark = peer->stored = mark;
  }
}

Peer* ReplicaState::find_peer(base::NodeId id) {
  return const_cast<Peer*>(static_cast<const ReplicaState*>(this)->find_peer(id));
}

const Peer* ReplicaState::find_peer(base::NodeId id) const {
  for (const Peer& peer : peers) {
    if (peer.id == id) return &peer;
  }
  return nullptr;
}

base::Slot ReplicaState::window_end() const {
  // Not the applied slot alone: a node whose disk stalls may apply what others made durable, and
  // must not gather writes without end meanwhile.
  return base::Slot{std::min(applied, durable_upto).value + base::kMaxUnappliedSlots};
}

bool ReplicaState::config_is_current() const {
  for (base::Slot slot = std::max(applied, config_slot).next(); slot <= chosen_upto;
       slot = slot.next()) {
    const Row* row = log.find(slot);
    HF_ASSERT(row != nullptr);
    if (row->entry.kind == base::EntryKind::kReconfigure) return false;
  }
  return true;
}

base::Ballot ReplicaState::shown_ballot() const {
  if (role == Role::kLeader || role == Role::kCandidate) return ballot;
  return leader ? leader_ballot : promised;
}

void ReplicaState::send(base::NodeId to, Message message, Effects& fx) const {
  fx.messages.push_back({to, std::move(message)});
}

void ReplicaState::tell(Notice::Level level, std::string text, Effects& fx) const {
  fx.notices.push_back({level, std::move(text)});
}

void ReplicaState::end(std::string reason, Effects& fx) {
  if (!fx.fatal) fx.fatal = std::move(reason);
  ended = true;
}

void ReplicaState::set_config(base::Config new_config) {
  config = std::move(new_config);
  electorate = Electorate(config);
  const std::vector<base::Member>& members = config.version ? config.members : cluster;
  std::vector<Peer> next;
  for (const base::Member& member : members) {
    if (member.id == self) continue;
    if (Peer* known = find_peer(member.id)) {
      next.push_back(std::move(*known));
    } else {
      next.emplace_back();
      next.back().id = next.back().mark.node = next.back().stored.node = member.id;
    }
    next.back().address = member.address;
    next.back().stranger = false;
  }
  for (Peer& peer : peers) {
    // Those that were moved from are members.
    const bool newer = peer.hello && peer.hello->config_version > config.version;
    if (peer.stranger && newer && config.find(peer.id) == nullptr) next.push_back(std::move(peer));
  }
  ++contacts;
  peers = std::move(next);
}

void ReplicaState::saw_round(const base::Ballot& seen) {
  election.highest_round = std::max(election.highest_round, seen.round);
}

void ReplicaState::advance_durable() {
  // Only over chosen slots: a row that is durable but not chosen may still be replaced by another
  // value, and state.db must not run ahead of that (DESIGN 8).
  while (durable_upto < chosen_upto) {
    const Row* row = log.find(durable_upto.next());
    HF_ASSERT(row != nullptr);
    if (!gate.is_durable(row->write)) return;
    durable_upto = durable_upto.next();
  }
}

void ReplicaState::advance_chosen() {
  for (const Row* row = log.find(chosen_upto.next()); row != nullptr && row->chosen;
       row = log.find(chosen_upto.next())) {
    chosen_upto = chosen_upto.next();
  }
  advance_durable();
}

base::Duration ReplicaState::election_jitter() {
  return {static_cast<int64_t>(random.below(static_cast<uint64_t>(options.election.ns)))};
}

bool ReplicaState::disk_stalled(base::Instant as_of) const {
  const std::optional<base::Instant> oldest = gate.oldest();
  return oldest && as_of - *oldest > options.election;
}

bool well_formed(const base::Entry& entry) {
  return entry.kind <= base::EntryKind::kReconfigure && entry.value != nullptr && entry.slot &&
         entry.slot.value < kMaxCounter && well_formed(entry.ballot) &&
         entry.value->size() <= base::kMaxPeerMessageBytes &&
         (entry.kind != base::EntryKind::kNoOp || entry.value->empty());
}

bool well_formed(const base::Ballot& ballot) {
  return ballot.round != 0 && ballot.round < kMaxCounter && ballot.node;
}

bool same_value(const base::Entry& a, const base::Entry& b) {
  return a.kind == b.kind && (a.value == b.value || *a.value == *b.value);
}

std::string node_text(base::NodeId id, const std::string& address) {
  return "node " + std::to_string(id.value) + " (" + address + ")";
}

std::string cell_text(base::CellId cell) {
  char text[32];
  std::snprintf(text, sizeof text, "cell %016" PRIx64, cell.value);
  return text;
}

std::string ballot_text(const base::Ballot& ballot) {
  return "ballot " + std::to_string(ballot.round) + " of node " + std::to_string(ballot.node.value);
}

std::string cluster_text(const std::vector<base::Member>& members) {
  std::string text;
  for (const base::Member& member : members) {
    if (!text.empty()) text += ',';
    text += std::to_string(member.id.value) + '=' + member.address;
  }
  return text;
}

std::string membership_text(const base::Config& config) {
  std::vector<base::Member> voters, learners;
  for (const base::Member& member : config.members) {
    (member.voter ? voters : learners).push_back(member);
  }
  const std::string text = "voters " + cluster_text(voters);
  return learners.empty() ? text : text + "; learners " + cluster_text(learners);
}

}  // namespace holdfast::paxos
