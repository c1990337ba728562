// Events in, and the order of a turn.
#include "lockcore/node/node.h"

#include <algorithm>
#include <utility>

#include "lockcore/base/assert.h"
#include "lockcore/node/node_state.h"

namespace holdfast::node {

using base::Instant;

void Effects::clear() {
  paxos.clear();
  replies.clear();
  renewals.clear();
  reads.clear();
  admin.clear();
  record.reset();
  compare.reset();
  state_file.reset();
  became_active = false;
  stepped_down = false;
}

namespace {

// The record of the applied slots knows of every change through there; log.db of the founding, or,
// of a learner that hasn't caught up yet, of the one by which it joined.
base::RecoveredLog with_members(base::RecoveredLog log, const base::Config& recorded) {
  if (recorded.version <= log.config.version) return log;
  const base::CellId cell = log.config.cell;
  log.config = recorded;
  log.config.cell = cell;
  return log;
}

}  // namespace

Node::State::State(Options opts, base::RecoveredLog log, locks::LockTable recovered_table,
                   Instant now)
    : options(std::move(opts)),
      // Everything that state.db records was chosen; the log above it is only accepted (DESIGN 8).
      replica(options.paxos, with_members(std::move(log), recovered_table.config()),
              recovered_table.meta().applied, now),
      table(std::move(recovered_table)),
      random(options.paxos.random_seed ^ 0x5DEECE66DULL),
      recorded(table.meta().applied),
      last_record(now) {}

Node::Node(Options options, base::RecoveredLog log, locks::LockTable table, Instant now)
    : state_(std::make_unique<State>(std::move(options), std::move(log), std::move(table), now)) {}
Node::~Node() = default;
Node::Node(Node&&) noexcept = default;

// -- links and peers ------------------------------------------------------------------------------

paxos::Hello Node::hello() const {
  return state_->replica.hello();
}

std::optional<paxos::Refusal> Node::on_hello(const paxos::Hello& peer, Instant now, Effects& fx) {
  auto refusal = state_->replica.on_hello(peer, now, fx.paxos);
  state_->follow_role(fx);
  return refusal;
}

void Node::on_refused(base::NodeId by, const paxos::Refusal& refusal, Instant now, Effects& fx) {
  state_->replica.on_refused(by, refusal, now, fx.paxos);
  state_->follow_role(fx);
}

void Node::on_peer_lost(base::NodeId peer, Instant now, Effects& fx) {
  state_->replica.on_peer_lost(peer, now, fx.paxos);
  state_->follow_role(fx);
}

void Node::on_message(base::NodeId from, paxos::Message message, Instant now, Effects& fx) {
  state_->replica.on_message(from, std::move(message), now, fx.paxos);
  state_->follow_role(fx);
}

void Node::on_joined(const base::Config& config, Instant now, Effects& fx) {
  state_->replica.on_joined(config, now, fx.paxos);
}

// -- disk and time --------------------------------------------------------------------------------

void Node::on_written(base::WriteId id, Instant now, Effects& fx) {
  state_->replica.on_written(id, now, fx.paxos);
  state_->follow_role(fx);
  state_->adopt_snapshot(now, fx);
}

void Node::record_soon(base::Slot through) {
  state_->record_soon = std::max(state_->record_soon, through);
}

void Node::on_snapshot_read(base::NodeId peer, base::SnapshotId asked, base::SnapshotPart part,
                            Instant now, Effects& fx) {
  state_->replica.on_snapshot_read(peer, asked, std::move(part), now, fx.paxos);
}

void Node::on_snapshot_stored(base::SnapshotId id, uint64_t upto, Instant now, Effects& fx) {
  state_->replica.on_snapshot_stored(id, upto, now, fx.paxos);
}

void Node::on_snapshot_checked(CheckedSnapshot snapshot, Instant, Effects&) {
  HF_ASSERT(!state_->installing);
  state_->snapshot = std::move(snapshot);
}

void Node::on_snapshot_refused(base::SnapshotId id, const std::string& why, Instant now,
                               Effects& fx) {
  state_->replica.on_snapshot_refused(id, why, now, fx.paxos);
}

void Node::on_recorded(base::Slot through, Instant now, Effects&) {
  HF_ASSERT(through == state_->recording);
  state_->recorded = through;
  state_->recording = {};
  state_->last_record = now;
  state_->replica.set_progress(state_->table.meta().applied, through);
}

void Node::on_log_read(uint64_t read_id, std::vector<base::Entry> entries, Instant now,
                       Effects& fx) {
  state_->replica.on_log_read(read_id, std::move(entries), now, fx.paxos);
  state_->follow_role(fx);
}

void Node::on_log_damaged(base::Slot slot, Instant now, Effects& fx) {
  state_->replica.on_log_damaged(slot, now, fx.paxos);
}

std::variant<base::Slot, base::Error> Node::propose_barrier(Instant now, Effects& fx) {
  State& state = *state_;
  if (!state.is_active()) return state.not_leader();
  if (!state.replica.can_propose()) {
    return base::Error{base::ErrorCode::kUnavailable, "too much is under way: ask again", {}};
  }
  return state.replica.propose(base::EntryKind::kNoOp, {}, now, fx.paxos);
}

void Node::on_tick(Instant now, Effects& fx) {
  state_->replica.on_tick(now, fx.paxos);
  state_->follow_role(fx);
}

// The order matters. What became known in this turn is applied and answered first, then what that
// freed is proposed, and the replica sends last, so that one message carries all of it.
void Node::finish_turn(Instant now, WallClock wall, Effects& fx,
                       const std::function<void()>& tell_now) {
  State& state = *state_;
  state.follow_role(fx);
  state.install_snapshot(now, fx);
  if (state.replica.role() == paxos::Role::kFollower) {
    // The leader waits for what a follower writes, nobody for what it applies.
    state.replica.finish_turn(now, fx.paxos);
    if (tell_now) tell_now();
    state.apply_chosen(now, fx);
    state.let_in(now, fx);
    state.answer_owed(now, fx);
    state.answer_transfer(now, fx);
    state.answer_reads_here(now, fx);
    state.record(now, fx);
    return;
  }
  state.apply_chosen(now, fx);
  state.let_in(now, fx);
  state.answer_owed(now, fx);
  state.answer_transfer(now, fx);
  state.answer_reads_here(now, fx);
  state.answer_confirmed(now, fx);
  state.propose_new_leader(now, wall, fx);
  state.expire(now);
  state.advance_time(now);
  state.checkpoint(now);
  state.seal_batches(now, wall, fx);
  state.fill_slots(now, wall, fx);
  state.propose_change(now, wall, fx);
  state.replica.finish_turn(now, fx.paxos);
  // A cell of one confirms by itself in the line above, with nobody's message to wait for.
  state.follow_role(fx);
  state.let_in(now, fx);
  state.answer_owed(now, fx);
  state.answer_confirmed(now, fx);
  state.record(now, fx);
}

Instant Node::next_tick() const {
  const State& state = *state_;
  Instant next = state.replica.next_tick();
  // What only a message or the disk can bring on is not waited for by calling again and again: its
  // event brings a turn.
  const bool expiry_waits =
      state.expiry_round && state.replica.confirmed() < state.expiry_round->needed;
  if (state.is_active() && !expiry_waits) next = std::min(next, state.clock.next_due());
  next = std::min(next, state.next_delay_end());
  if (!state.arrivals.empty()) next = std::min(next, state.arrivals_until);
  if (!state.asked_reads.empty()) next = std::min(next, state.asked_reads.front().until);
  if (!state.owed.empty()) next = std::min(next, state.owed.until);
  if (state.transfer) next = std::min(next, state.transfer->until);
  if (state.is_active()) next = std::min(next, state.clock.next_unrenewed());
  if (state.can_record()) {
    next = std::min(next, state.last_record + state.options.record_interval);
  }
  return next;
}

// -- what is known --------------------------------------------------------------------------------

const locks::LockTable& Node::table() const {
  return state_->table;
}
const paxos::Replica& Node::replica() const {
  return state_->replica;
}
bool Node::active() const {
  return state_->is_active();
}
base::Slot Node::recorded() const {
  return state_->recorded;
}
uint64_t Node::renewals_total() const {
  return state_->renewals_total;
}

uint64_t Node::State::known_cell_time_ms(Instant now) const {
  return is_active() ? cell_time_ms(now) : table.meta().cell_time_ms;
}

uint64_t Node::delay_remaining_ms(uint64_t until_ms, Instant now) const {
  const uint64_t cell_ms = state_->known_cell_time_ms(now);
  return until_ms > cell_ms ? until_ms - cell_ms : 0;
}

uint64_t Node::state_age_ms(Instant now) const {
  if (state_->is_active()) return 0;
  return static_cast<uint64_t>((now - state_->replica.followed_at()).ms_ceil());
}

bool Node::renewal_under_way(base::LeaseId lease) const {
  const auto names = [lease](const RenewCall& call) {
    return std::ranges::find(call.request.leases, lease) != call.request.leases.end();
  };
  for (const auto& wait : state_->confirms) {
    const auto* renewal = std::get_if<RenewCall>(&wait.call);
    if (renewal != nullptr && names(*renewal)) return true;
  }
  return std::ranges::any_of(state_->held_renewals, names);
}

uint64_t Node::age_ms(uint64_t since_ms, Instant now) const {
  const uint64_t cell_ms = state_->known_cell_time_ms(now);
  return cell_ms > since_ms ? cell_ms - since_ms : 0;
}

std::optional<int64_t> Node::remaining_ms(base::LeaseId lease, Instant now) const {
  if (!state_->is_active()) return std::nullopt;
  const auto deadline = state_->clock.deadline(lease);
  if (!deadline) return std::nullopt;
  return std::max<int64_t>(0, (*deadline - now).ms_ceil());
}

void Node::check_invariants() const {
  const State& state = *state_;
  state.replica.check_invariants();
  state.table.check_invariants();
  HF_ASSERT(state.recorded <= state.table.meta().applied);
  HF_ASSERT(!state.recording || state.recording <= state.replica.durable_upto());
  HF_ASSERT(!state.active_ballot || state.active_ballot == state.led);
  if (!state.active_ballot) {
    // Whoever doesn't lead keeps nothing that could be carried out or answered later.
    HF_ASSERT(state.batcher.pending() == 0);
    HF_ASSERT(state.confirms.empty());
    HF_ASSERT(state.confirmed_reads.empty());
    HF_ASSERT(state.held_renewals.empty());
    HF_ASSERT(state.renewing_leases == 0);
    HF_ASSERT(state.ending.empty());
    HF_ASSERT(!state.change);
    HF_ASSERT(state.clock.size() == 0);
  } else {
    HF_ASSERT(state.arrivals.empty());
    HF_ASSERT(state.clock.size() == state.table.counts().leases);
  }
  for (size_t i = 1; i < state.confirms.size(); ++i) {
    HF_ASSERT(state.confirms[i - 1].needed <= state.confirms[i].needed);
  }
}

}  // namespace holdfast::node
