// The contract's front: hands every event to its room.
#include "lockcore/paxos/replica.h"

#include <algorithm>
#include <utility>

#include "lockcore/base/assert.h"
#include "lockcore/paxos/acceptor.h"
#include "lockcore/paxos/catch_up.h"
#include "lockcore/paxos/clock_watch.h"
#include "lockcore/paxos/confirm.h"
#include "lockcore/paxos/election.h"
#include "lockcore/paxos/fan_out.h"
#include "lockcore/paxos/founding.h"
#include "lockcore/paxos/invariants.h"
#include "lockcore/paxos/membership.h"
#include "lockcore/paxos/mending.h"
#include "lockcore/paxos/proposer.h"
#include "lockcore/paxos/read_index.h"
#include "lockcore/paxos/reconfigure.h"
#include "lockcore/paxos/replica_state.h"
#include "lockcore/paxos/snapshot.h"
#include "lockcore/paxos/transfer.h"
#include "lockcore/paxos/trim.h"

namespace holdfast::paxos {

struct Replica::State : ReplicaState {
  using ReplicaState::ReplicaState;
};

namespace {

base::Instant next_tick_of(const ReplicaState& s) {
  if (s.ended) return base::kNever;
  if (!s.started) return s.now;
  if (!s.founded()) return founding::next_tick(s);
  return std::min({election::next_tick(s), proposer::next_tick(s), fan_out::next_tick(s),
                   confirm::next_tick(s), catch_up::next_tick(s), snapshot::next_tick(s),
                   transfer::next_tick(s), clock_watch::next_tick(s), mending::next_tick(s),
                   read_index::next_tick(s)});
}

// The process, or the machine, stood still: nobody called although something was due. What came
// meanwhile lies unread in the sockets and queues, so silence proves nothing yet: every deadline
// leaves time to read it. Once only, or a machine that is always late would never elect anybody.
// (Safety needs none of this.)
void advance_time(ReplicaState& s, base::Instant now) {
  if (now <= s.now) return;
  const base::Instant due = next_tick_of(s);
  const bool late = due != base::kNever && now > due + s.options.heartbeat;
  if (late && now > s.patience_until + s.options.election) {
    s.patience_until = now + s.options.heartbeat * 2;
    s.election.deadline = std::max(s.election.deadline, s.patience_until);
    s.lead.confirm_deadline = std::max(s.lead.confirm_deadline, s.patience_until);
    s.gate.forgive(s.patience_until - s.options.election);
  }
  s.now = now;
}

void note_role(ReplicaState& s, Effects& fx) {
  const base::Ballot ballot = s.shown_ballot();
  if (s.role == s.told_role && s.leader == s.told_leader && ballot == s.told_ballot) return;
  s.told_role = s.role;
  s.told_leader = s.leader;
  s.told_ballot = ballot;
  fx.role_changed = true;
}

// Hands a message of an admitted member to its room.
struct Dispatch {
  ReplicaState& s;
  Peer& from;
  base::Instant now;
  Effects& fx;

  void operator()(const FoundPropose& m) { founding::on_propose(s, from, m, now, fx); }
  void operator()(const FoundAck& m) { founding::on_ack(s, from, m); }
  void operator()(const FoundCommit& m) { founding::on_commit(s, m); }
  void operator()(const Probe& m) { election::on_probe(s, from, m, now, fx); }
  void operator()(const ProbeReply& m) { election::on_probe_reply(s, from, m, now, fx); }
  void operator()(const Prepare& m) { acceptor::on_prepare(s, from, m, now, fx); }
  void operator()(Promise& m) { election::on_promise(s, from, std::move(m), now, fx); }
  void operator()(Accept& m) { acceptor::on_accept(s, from, std::move(m), now, fx); }
  void operator()(const Accepted& m) { proposer::on_accepted(s, from, m, now); }
  void operator()(const Heartbeat& m) { acceptor::on_heartbeat(s, from, m, now, fx); }
  void operator()(const HeartbeatReply& m) { confirm::on_heartbeat_reply(s, from, m, now); }
  void operator()(const Reject& m) { election::on_reject(s, m, now, fx); }
  void operator()(const TakeOver& m) { transfer::on_take_over(s, from, m, now, fx); }
  void operator()(const Fetch& m) { catch_up::on_fetch(s, from, m, fx); }
  void operator()(FetchReply& m) { catch_up::on_fetch_reply(s, from, std::move(m), now, fx); }
  void operator()(const SnapshotFetch& m) { snapshot::on_fetch(s, from, m, now, fx); }
  void operator()(SnapshotReply& m) { snapshot::on_reply(s, from, std::move(m), now, fx); }
  void operator()(const ClockQuery& m) { clock_watch::on_query(s, from, m, now, fx); }
  void operator()(const ClockReply& m) { clock_watch::on_reply(from, m, now); }
  void operator()(const ReadIndexQuery& m) { read_index::on_query(s, from, m); }
  void operator()(const ReadIndexReply& m) { read_index::on_reply(s, from, m); }
};

bool is_about_founding(const Message& message) {
  return std::holds_alternative<FoundPropose>(message) ||
         std::holds_alternative<FoundAck>(message) || std::holds_alternative<FoundCommit>(message);
}

}  // namespace

const char* role_name(Role role) {
  switch (role) {
    case Role::kFounding: return "founding";
    case Role::kFollower: return "follower";
    case Role::kProbing: return "probing";
    case Role::kCandidate: return "candidate";
    case Role::kLeader: return "leader";
  }
  return "unknown";
}

void Effects::clear() {
  messages.clear();
  writes.clear();
  reads.clear();
  snapshot_reads.clear();
  snapshot_writes.clear();
  snapshot_check.reset();
  notices.clear();
  role_changed = false;
  fatal.reset();
}

Replica::Replica(Options options, base::RecoveredLog recovered, base::Slot applied,
                 base::Instant now) {
  const std::string disk_lost = recovered.disk_lost;
  HF_ASSERT(recovered.self == options.self);
  state_ = std::make_unique<State>(std::move(options), std::move(recovered), applied, now);
  membership::check_at_start(*state_, disk_lost);
  if (state_->early_fatal) return;
  if (state_->founding == base::FoundingState::kFounded) election::start(*state_, false, now);
}

Replica::~Replica() = default;
Replica::Replica(Replica&&) noexcept = default;

Hello Replica::hello() const {
  return membership::hello(*state_);
}

std::optional<Refusal> Replica::on_hello(const Hello& peer, base::Instant now, Effects& fx) {
  ReplicaState& s = *state_;
  if (s.ended || s.early_fatal) return Refusal{"this node is about to end", false};
  advance_time(s, now);
  std::optional<Refusal> refusal = membership::on_hello(s, peer, fx);
  if (refusal) return refusal;
  Peer& known = *s.find_peer(peer.node);
  founding::on_peer_back(s, known, now, fx);
  if (s.founded()) {
    election::on_peer_back(s, known, now, fx);
    proposer::on_peer_back(s, known, now, fx);
  }
  return std::nullopt;
}

void Replica::on_refused(base::NodeId by, const Refusal& refusal, base::Instant now, Effects& fx) {
  ReplicaState& s = *state_;
  if (s.ended) return;
  advance_time(s, now);
  membership::on_refused(s, by, refusal, now, fx);
}

void Replica::on_peer_lost(base::NodeId peer, base::Instant now, Effects& fx) {
  ReplicaState& s = *state_;
  Peer* known = s.find_peer(peer);
  if (s.ended || known == nullptr) return;
  advance_time(s, now);
  known->connected = false;
  catch_up::on_peer_lost(s, peer);
  fan_out::on_peer_lost(s, peer, now);
  transfer::on_peer_lost(s, peer, fx);
  election::on_peer_lost(s, peer, now);
  note_role(s, fx);
}

void Replica::on_message(base::NodeId from, Message message, base::Instant now, Effects& fx) {
  ReplicaState& s = *state_;
  Peer* peer = s.find_peer(from);
  if (s.ended || peer == nullptr || !peer->admitted) return;
  advance_time(s, now);
  if (!is_about_founding(message)) {
    // P10: nothing is promised or accepted before the cell is founded, durably.
    if (!s.founded()) return founding::on_cell_message(s);
  }
  std::visit(Dispatch{s, *peer, now, fx}, message);
  note_role(s, fx);
}

void Replica::on_tick(base::Instant now, Effects& fx) {
  ReplicaState& s = *state_;
  if (s.ended) return;
  advance_time(s, now);
  if (!s.founded()) return founding::on_tick(s, now, fx);
  catch_up::on_tick(s, now);
  mending::on_tick(s, now);
  snapshot::on_tick(s, now, fx);
  confirm::on_tick(s, now, fx);
  proposer::on_tick(s, now, fx);
  fan_out::on_tick(s, now, fx);
  clock_watch::on_tick(s, now, fx);
  transfer::on_tick(s, now, fx);
  election::on_tick(s, now, fx);
  note_role(s, fx);
}

void Replica::on_written(base::WriteId id, base::Instant now, Effects& fx) {
  ReplicaState& s = *state_;
  if (s.ended) return;
  advance_time(s, now);
  if (!s.gate.written(id, fx)) return;
  s.advance_durable();
  if (!s.founded()) {
    founding::on_written(s, now, fx);
  } else {
    proposer::on_written(s);
    election::on_written(s, now, fx);
    snapshot::on_written(s, now, fx);
  }
  note_role(s, fx);
}

void Replica::on_log_read(uint64_t read_id, std::vector<base::Entry> entries, base::Instant now,
                          Effects& fx) {
  ReplicaState& s = *state_;
  if (s.ended) return;
  advance_time(s, now);
  catch_up::on_log_read(s, read_id, std::move(entries), fx);
}

void Replica::on_log_damaged(base::Slot slot, base::Instant now, Effects& fx) {
  ReplicaState& s = *state_;
  if (s.ended) return;
  advance_time(s, now);
  mending::on_damaged(s, slot, fx);
}

void Replica::on_snapshot_read(base::NodeId peer, base::SnapshotId asked, base::SnapshotPart part,
                               base::Instant now, Effects& fx) {
  ReplicaState& s = *state_;
  if (s.ended) return;
  advance_time(s, now);
  snapshot::on_read(s, peer, asked, std::move(part), now, fx);
}

void Replica::on_snapshot_stored(base::SnapshotId id, uint64_t upto, base::Instant now,
                                 Effects& fx) {
  ReplicaState& s = *state_;
  if (s.ended) return;
  advance_time(s, now);
  snapshot::on_stored(s, id, upto, now, fx);
}

void Replica::on_snapshot_refused(base::SnapshotId id, const std::string& why, base::Instant now,
                                  Effects& fx) {
  ReplicaState& s = *state_;
  if (s.ended) return;
  advance_time(s, now);
  snapshot::on_refused(s, id, why, fx);
}

bool Replica::install_snapshot(base::SnapshotId id, const std::string& state_file,
                               base::Instant now, Effects&) {
  ReplicaState& s = *state_;
  if (s.ended) return false;
  advance_time(s, now);
  return snapshot::install(s, id, state_file);
}

base::Slot Replica::installed() const {
  return state_->snapshot.installed;
}

void Replica::finish_turn(base::Instant now, Effects& fx) {
  ReplicaState& s = *state_;
  if (s.ended) return;
  advance_time(s, now);
  s.started = true;
  for (Notice& notice : s.early_notices) fx.notices.push_back(std::move(notice));
  s.early_notices.clear();
  if (s.early_fatal) return s.end(*s.early_fatal, fx);
  if (!s.founded()) {
    founding::finish_turn(s, now, fx);
  } else {
    proposer::finish_turn(s, now, fx);
    confirm::finish_turn(s, now, fx);
    read_index::finish_turn(s, now, fx);
    transfer::finish_turn(s, now, fx);
    catch_up::finish_turn(s, now, fx);
    snapshot::finish_turn(s, now, fx);
    mending::finish_turn(s, fx);
    trim::finish_turn(s);
  }
  s.gate.seal(now, fx);
  note_role(s, fx);
}

base::Instant Replica::followed_at() const {
  return state_->election.followed_at;
}

base::Instant Replica::next_tick() const {
  return next_tick_of(*state_);
}

base::Slot Replica::propose(base::EntryKind kind, std::string value, base::Instant now, Effects&) {
  advance_time(*state_, now);
  return proposer::propose(*state_, kind, std::move(value));
}

bool Replica::can_propose() const {
  return proposer::can_propose(*state_);
}
uint64_t Replica::slots_to_fill() const {
  return mending::slots_to_fill(*state_);
}
bool Replica::writer_idle() const {
  return state_->gate.idle();
}
base::Confirm Replica::want_confirm() {
  return confirm::want(*state_);
}
base::Confirm Replica::confirmed() const {
  return state_->lead.confirmed;
}

std::optional<base::Error> Replica::hand_over(base::NodeId to, base::Instant now, Effects& fx) {
  advance_time(*state_, now);
  return transfer::start(*state_, to, now, fx);
}
std::optional<base::NodeId> Replica::handing_over() const {
  const auto& hand_over = state_->lead.hand_over;
  return hand_over ? std::optional(hand_over->to) : std::nullopt;
}

void Replica::on_reconfigured(base::Slot slot, const base::Config& config, base::Instant now,
                              Effects& fx) {
  ReplicaState& s = *state_;
  if (s.ended) return;
  advance_time(s, now);
  HF_ASSERT(slot <= s.handed_upto);
  reconfigure::on_applied(s, slot, config, now, fx);
  note_role(s, fx);
}

void Replica::on_joined(const base::Config& config, base::Instant now, Effects& fx) {
  ReplicaState& s = *state_;
  if (s.ended) return;
  advance_time(s, now);
  founding::on_joined(s, config, fx);
}

std::optional<base::Entry> Replica::next_chosen() {
  ReplicaState& s = *state_;
  if (s.handed_upto >= s.chosen_upto) return std::nullopt;
  s.handed_upto = s.handed_upto.next();
  const Row* row = s.log.find(s.handed_upto);
  HF_ASSERT(row != nullptr);
  HF_ASSERT(row->chosen);
  return row->entry;
}

void Replica::set_progress(base::Slot applied, base::Slot recorded) {
  ReplicaState& s = *state_;
  HF_ASSERT(applied >= s.applied);
  HF_ASSERT(applied <= s.handed_upto);
  HF_ASSERT(recorded >= s.recorded);
  HF_ASSERT(recorded <= std::min(applied, s.durable_upto));  // DESIGN 8
  s.applied = applied;
  s.recorded = recorded;
  // Only what is durable may leave memory: whoever asks for it later gets it from log.db.
  trim::count_through(s, std::min(applied, s.durable_upto));
  s.log.cache_through(std::min(applied, s.durable_upto), base::kLogCacheBytes);
}

Role Replica::role() const {
  return state_->role;
}
base::Ballot Replica::ballot() const {
  return state_->shown_ballot();
}
base::Ballot Replica::promised() const {
  return state_->promised;
}
base::NodeId Replica::leader() const {
  return state_->leader;
}
bool Replica::expects_leader() const {
  const ReplicaState& s = *state_;
  if (s.role == Role::kCandidate) return true;
  if (s.role != Role::kFollower || s.leader) return false;
  const bool has_leave = s.election.leave && s.election.leave == s.promised;
  return s.election.heard_from || (has_leave && s.now < s.election.leave_until);
}
base::Slot Replica::chosen_upto() const {
  return state_->chosen_upto;
}
base::Slot Replica::first_retained() const {
  return state_->first_retained;
}
std::optional<base::Slot> Replica::mending() const {
  return state_->mends() ? std::optional(state_->mending.upto()) : std::nullopt;
}
base::Slot Replica::durable_upto() const {
  return state_->durable_upto;
}
const base::Config& Replica::config() const {
  return state_->config;
}
base::FoundingState Replica::founding() const {
  return state_->gate.facts().founding;
}
std::string Replica::waiting_for() const {
  return founding::waiting_for(*state_);
}

uint64_t Replica::contacts_version() const {
  return state_->contacts;
}

std::vector<base::Member> Replica::contacts() const {
  std::vector<base::Member> contacts = config().members;
  for (const Peer& peer : state_->peers) {
    if (peer.stranger) contacts.push_back({peer.id, {}, peer.address, false});
  }
  return contacts;
}

std::vector<Replica::PeerView> Replica::peers() const {
  std::vector<PeerView> views;
  for (const Peer& peer : state_->peers) {
    views.push_back({peer.id, peer.connected, peer.heard_at, peer.accepted, peer.chosen,
                     peer.applied, peer.recorded});
  }
  return views;
}

std::optional<Replica::SnapshotView> Replica::snapshot() const {
  const SnapshotState& c = state_->snapshot;
  if (!c.source) return std::nullopt;
  return SnapshotView{c.source, c.slot, c.stored, c.total_bytes};
}

Replica::ClockView Replica::clock() const {
  return clock_watch::view(*state_);
}

uint64_t Replica::want_read_index() {
  return read_index::want(*state_);
}
Replica::ReadIndex Replica::read_index() const {
  return {state_->read_index.answered, state_->read_index.slot};
}

void Replica::check_invariants() const {
  invariants::check(*state_);
}

}  // namespace holdfast::paxos
