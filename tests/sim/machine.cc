#include "tests/sim/machine.h"

#include <algorithm>

#include "lockcore/base/assert.h"
#include "tests/sim/links.h"

namespace holdfast::sim {

Machine::Machine(World& world, const Options& options, Oracles& oracles, Network& network,
                 Links& links, std::shared_ptr<SnapshotImages> images, base::NodeId id)
    : world_(world),
      options_(options),
      oracles_(oracles),
      network_(network),
      links_(links),
      id_(id),
      random_(world.stream("machine", id.value)),
      barriers_(world.stream("barriers", id.value)),
      clock_(random_),
      images_(std::move(images)),
      disk_(std::make_unique<Disk>(
          id, base::Incarnation{random_.next() | 1}, images_,
          [&oracles, id](const base::Entry& entry) { oracles.log.on_durable(id, entry); },
          [&oracles, id](const base::Entry& entry) { oracles.log.on_mended(id, entry); })) {
  oracles_.clocks.on_rate(id_, clock_.rate());
}

// -- its life -------------------------------------------------------------------------------------

node::Options Machine::node_options() {
  node::Options options;
  options.paxos.self = id_;
  options.paxos.address = "node" + std::to_string(id_.value) + ":1";
  options.paxos.join = id_.value > options_.voters();
  for (uint32_t i = 1; i <= options_.nodes && !options.paxos.join; ++i) {
    options.paxos.cluster.push_back({base::NodeId{i}, {}, "node" + std::to_string(i) + ":1", true});
  }
  options.paxos.heartbeat = base::Duration::from_ms(options_.heartbeat_ms);
  options.paxos.election = base::Duration::from_ms(options_.election_ms);
  options.paxos.rest_delay = base::Duration::from_ms(options_.rest_delay_ms);
  options.paxos.log_slots = static_cast<uint64_t>(options_.log_slots);
  options.paxos.log_bytes = static_cast<uint64_t>(options_.log_bytes);
  options.paxos.snapshot_part_bytes = static_cast<size_t>(options_.snapshot_part_bytes);
  // Leases here are short.
  if (options_.checkpoints != 0) {
    options.checkpoint_min_ttl = base::Duration::from_ms(base::kMinLeaseTtlMs);
  }
  options.paxos.random_seed = random_.next();
  options.paxos.process_nonce = random_.next() | 1;
  options.paxos.new_cell = base::CellId{random_.next() | 1};
  return options;
}

void Machine::start() {
  dies_after_.reset();
  if (node_ || disk_full_ || world_.failed()) return;
  if (is_noticed_ && !is_noticed_(*disk_)) return;
  ++process_;
  still_ = 0;
  deaf_ = dying_ = false;
  resumed_at_ = world_.now();
  leads_in_ = {};
  linked_ = {};
  oracles_.leaders.on_started(id_);
  oracles_.clocks.on_started(id_);
  turn_planned_ = false;
  tick_planned_at_ = -1;
  log_busy_ = state_busy_ = doing_state_task_ = false;
  state_tasks_.clear();
  fx_ = {};
  if (const auto bad = disk_->contradiction()) {
    world_.fail(name() + " can't start: " + *bad);
    return;
  }
  locks::LockTable table;
  if (auto bad = table.restore(disk_->recover_state())) {
    world_.fail(name() + " can't restore: " + *bad);
    return;
  }
  oracles_.states.on_recovered(id_, table);
  looked_at_ = 0;
  told_applied_ = looked_applied_ = table.meta().applied;
  base::RecoveredLog log = disk_->recover_log();
  node_ = std::make_unique<node::Node>(node_options(), std::move(log), std::move(table), now());
  world_.trace(name() + " starts");
  links_.on_started(*this);
  plan_turn();
}

void Machine::crash() {
  dies_after_.reset();
  if (!node_) return;
  world_.trace(name() + " crashes");
  node_.reset();
  disk_->crash(random_);
  backlog_.clear();
  for (auto& [ref, call] : std::exchange(calls_, {})) {
    // The clients' connections break: they hear of it after a while.
    world_.after(static_cast<int64_t>(random_.between(50, 5'000)) * kUs,
                 [done = call.done] { done(CallResult{.unreachable = true}); });
  }
  links_.on_ended(*this);
  oracles_.clocks.on_ended(id_);
  if (on_end_) on_end_();
}

// P10: the process ends by itself, and with everything on its disk that it had handed over. Its
// service manager starts it again, to no avail.
void Machine::end_refused(const std::string& reason) {
  if (!oracles_.lives.has_forgotten(id_) && !oracles_.log.config().has_removed(id_)) {
    world_.fail(name() + " gives up: " + reason);
    return;
  }
  world_.trace(name() + " gives up: " + reason);
  while (disk_->log_busy() && !random_.chance(0.1)) disk_->complete_log();
  crash();
  constexpr int kRestarts = 3;
  if (++restarts_refused_ > kRestarts) return;
  world_.after(static_cast<int64_t>(random_.between(10, 2'000)) * kMs, [this] { start(); });
}

void Machine::stand_still(bool deaf) {
  if (!node_) return;
  ++still_;
  deaf_ |= deaf;
}

void Machine::go_on() {
  if (!node_ || still_ == 0 || --still_ > 0) return;
  resumed_at_ = world_.now();
  oracles_.clocks.on_resumed();
  deaf_ = false;
  for (Event& what : std::exchange(backlog_, {})) deliver(process_, std::move(what));
  plan_turn();
}

void Machine::set_clock_factor(double factor) {
  clock_.set_factor(factor, world_.now());
  oracles_.clocks.on_rate(id_, clock_.rate());
  if (factor == 1) {
    if (node_) plan_tick();  // what was planned by the old rate may be far off
    return;
  }
  wild_clock_ = true;
  oracles_.model.on_wild_clock();
}

void Machine::wipe_disk() {
  HF_ASSERT(!node_);
  disk_ = std::make_unique<Disk>(
      id_, base::Incarnation{random_.next() | 1}, images_, [](const base::Entry&) {},
      [](const base::Entry&) {});
  is_noticed_ = nullptr;
  forget("is wiped");
}

void Machine::put_back(std::unique_ptr<Disk> copy, std::function<bool(const Disk&)> is_noticed) {
  HF_ASSERT(!node_);
  disk_ = std::move(copy);
  is_noticed_ = std::move(is_noticed);
  forget("is an older copy");
}

void Machine::damage_log() {
  disk_->damage_rows(random_);
  world_.trace("rows in the log of " + name() + " are damaged");
  if (!node_) return;
  world_.after(static_cast<int64_t>(random_.between(0, 3'000)) * kMs,
               [this, process = process_] { verify_log(process); });
}

void Machine::lose_rows() {
  HF_ASSERT(!node_);
  disk_->lose_rows();
  world_.trace("all rows in the log of " + name() + " are lost");
}

void Machine::damage_state() {
  HF_ASSERT(!node_);
  disk_->damage_state();
  world_.trace("the state of " + name() + " is damaged");
}

void Machine::forget(const char* how) {
  oracles_.lives.on_forgotten(id_);
  world_.trace("the disk of " + name() + " " + how);
}

void Machine::end_disk_faults() {
  disk_stalled_until_ = disk_slower_ms_ = 0;
  disk_full_ = false;
}

// -- its loop -------------------------------------------------------------------------------------

void Machine::deliver(uint64_t process, Event what) {
  if (!node_ || process_ != process || world_.failed()) return;
  if (still_ > 0) {
    backlog_.push_back(std::move(what));
    return;
  }
  what(*node_, now(), fx_);
  plan_turn();
}

node::ClientRef Machine::call(base::AnswerKey key, const Ask& ask, CallDone done, bool here) {
  const node::ClientRef ref = next_ref_++;
  calls_.emplace(ref, Call{std::move(done), world_.now(), key, here});
  ask(*node_, ref, now(), fx_);
  return ref;
}

void Machine::drop(node::ClientRef call) {
  if (calls_.erase(call) != 0) node_->on_dropped(call);
}

// Events that come within a few microseconds share a turn, as they do in a real loop.
void Machine::plan_turn() {
  if (turn_planned_) return;
  turn_planned_ = true;
  world_.after(static_cast<int64_t>(random_.between(1, 30)) * kUs, [this, process = process_] {
    if (!node_ || process_ != process) return;
    turn_planned_ = false;
    if (still_ == 0) finish_turn();
  });
}

void Machine::finish_turn() {
  const auto wall_ms = static_cast<uint64_t>(std::max<int64_t>(0, world_.now() / kMs + wall_ms_));
  node_->finish_turn(now(), node::WallClock{wall_ms}, fx_, [this] { tell_peers_and_disk(); });
  // Of this turn, or of a snapshot that was installed since the last one.
  const base::Slot applied = node_->table().meta().applied;
  const base::Slot before = std::exchange(told_applied_, applied);
  if (applied != before) oracles_.log.on_applied(id_, applied);
  if (oracles_.log.changes_between(before, applied)) oracles_.leaders.on_reconfigured(id_, before);
  if (world_.now() >= looked_at_ + options_.look_ms * kMs) {
    looked_at_ = world_.now();
    node_->check_invariants();
    if (applied != looked_applied_) oracles_.states.on_applied(id_, node_->table());
    looked_applied_ = applied;
  }
  carry_out();
  if (dying_) crash();
  if (!node_) return;
  check_leader();
  oracles_.clocks.on_turn(id_, node_->replica(), now());
  plan_tick();
  if (node_->active() && barriers_.chance(0.002)) {
    deliver(process_, [](node::Node& node, base::Instant now, node::Effects& fx) {
      node.propose_barrier(now, fx);
    });
  }
}

bool Machine::dies_here() {
  if (!dying_ && dies_after_ && (*dies_after_)-- == 0) dying_ = true;
  return dying_;
}

void Machine::tell_peers_and_disk() {
  for (paxos::Outgoing& message : std::exchange(fx_.paxos.messages, {})) {
    if (dies_here()) return;
    links_.send(*this, std::move(message));
  }
  for (base::LogWrite& write : std::exchange(fx_.paxos.writes, {})) {
    if (dies_here()) return;
    for (const base::Entry& entry : write.entries) oracles_.log.on_written(id_, entry);
    disk_->queue(std::move(write));
  }
  if (disk_->log_busy()) write_log();
}

void Machine::carry_out() {
  if (world_.tracing()) {
    for (auto& notice : fx_.paxos.notices) world_.trace(name() + ": " + notice.text);
    if (fx_.became_active) {
      world_.trace(name() + " is active, round " + std::to_string(node_->replica().ballot().round));
    }
  }
  if (fx_.became_active) check_remainders();
  tell_peers_and_disk();
  if (dying_) return;
  node::Effects fx = std::exchange(fx_, {});
  carry_out_snapshots(fx);
  if (fx.record && !dies_here()) {
    disk_->queue(std::move(*fx.record));
    write_state(fx.compare.has_value());
  }
  for (paxos::LogRead& read : fx.paxos.reads) read_log(read);
  answer_calls(fx);
  if (fx.paxos.fatal) return end_refused(*fx.paxos.fatal);
  follow_members();
}

// As the driver does it: whoever isn't a member any more is hung up on.
void Machine::follow_members() {
  const paxos::Replica& replica = node_->replica();
  if (replica.config().version == linked_) return;
  linked_ = replica.config().version;
  links_.keep_members(*this, replica.config());
}

void Machine::answer_calls(node::Effects& fx) {
  for (auto& reply : fx.replies) {
    if (dies_here()) return;
    if (const auto it = calls_.find(reply.ref); it != calls_.end()) {
      oracles_.model.on_told(id_, it->second.key, reply.answer);
    }
    answer(reply.ref, CallResult{.answer = std::move(reply.answer)});
  }
  for (auto& reply : fx.renewals) {
    if (dies_here()) return;
    check_confirmed(reply.ref, reply.error.has_value());
    answer(reply.ref, CallResult{.renewal = std::move(reply)});
  }
  for (auto& reply : fx.admin) {
    if (dies_here()) return;
    answer(reply.ref, CallResult{.admin = std::move(reply)});
  }
  const base::Revision seen = node_->table().meta().revision;
  for (auto& reply : fx.reads) {
    if (dies_here()) return;
    check_confirmed(reply.ref, reply.error.has_value());
    answer(reply.ref, CallResult{.read = reply, .revision = seen});
  }
}

void Machine::answer(node::ClientRef ref, const CallResult& result) {
  const auto it = calls_.find(ref);
  if (it == calls_.end()) return;
  CallDone done = std::move(it->second.done);
  calls_.erase(it);
  done(result);
}

void Machine::check_confirmed(node::ClientRef ref, bool is_error) {
  const auto it = calls_.find(ref);
  if (is_error || it == calls_.end()) return;
  if (it->second.here) {
    return oracles_.leaders.on_answer_here(id_, node_->replica().ballot(), it->second.since);
  }
  oracles_.leaders.on_confirmed_answer(id_, node_->replica().ballot(), it->second.since);
}

// A leader without a quorum's word for an election timeout steps down (P8). After a standstill it
// has a moment to read what came meanwhile.
void Machine::check_leader() {
  const paxos::Replica& replica = node_->replica();
  if (replica.role() != paxos::Role::kLeader) {
    leads_in_ = {};
    return;
  }
  if (leads_in_ != replica.ballot()) {
    leads_in_ = replica.ballot();
    leads_since_ = world_.now();
  }
  const int64_t heard_at = std::max(
      {oracles_.leaders.quorum_heard_at(id_, replica.ballot()), leads_since_, resumed_at_});
  const int64_t patience_ms = 2 * options_.election_ms + 4 * options_.heartbeat_ms;
  if (world_.now() - heard_at > patience_ms * kMs && !wild_clock_) {
    world_.fail(name() + " goes on leading although no quorum answers (P8)");
  }
}

void Machine::plan_tick() {
  const base::Instant next = node_->next_tick();
  if (next == base::kNever) return;
  const int64_t at = world_.now() + clock_.true_ns(std::max(base::Duration{1000}, next - now()));
  if (tick_planned_at_ >= 0 && tick_planned_at_ <= at) return;
  tick_planned_at_ = at;
  world_.after(at - world_.now(), [this, at, process = process_] {
    if (process_ != process) return;
    if (tick_planned_at_ == at) tick_planned_at_ = -1;
    deliver(process,
            [](node::Node& node, base::Instant now, node::Effects& fx) { node.on_tick(now, fx); });
  });
}

bool Machine::has_call_since(int64_t since) const {
  return std::ranges::any_of(calls_, [since](const auto& c) { return c.second.since < since; });
}

// -- its disk -------------------------------------------------------------------------------------

int64_t Machine::disk_delay() {
  const auto us = static_cast<int64_t>(random_.between(
      static_cast<uint64_t>(options_.min_fsync_us), static_cast<uint64_t>(options_.max_fsync_us)));
  const int64_t stall = std::max<int64_t>(0, disk_stalled_until_ - world_.now());
  return stall + us * kUs + disk_slower_ms_ * kMs;
}

void Machine::write_log() {
  if (log_busy_) return;
  log_busy_ = true;
  world_.after(disk_delay(), [this, process = process_] { finish_log_write(process); });
}

// The disk goes on while the process stands still; what it did is heard of later.
void Machine::finish_log_write(uint64_t process) {
  if (!node_ || process_ != process) return;
  if (disk_stalled_until_ > world_.now()) {
    world_.after(disk_delay(), [this, process] { finish_log_write(process); });
    return;
  }
  if (disk_full_) {
    world_.trace(name() + " can't write its log");
    return crash();  // P11
  }
  base::WriteId id = disk_->complete_log();
  while (disk_->log_busy() && random_.chance(0.7)) id = disk_->complete_log();
  log_busy_ = false;
  if (disk_->log_busy()) write_log();
  deliver(process, [id](node::Node& node, base::Instant now, node::Effects& fx) {
    node.on_written(id, now, fx);
  });
}

void Machine::write_state(bool compare) {
  HF_ASSERT(!state_busy_);
  state_busy_ = true;
  world_.after(disk_delay(), [this, compare, process = process_] {
    if (!node_ || process_ != process) return;
    if (disk_full_) {
      world_.trace(name() + " can't write its state");
      return crash();  // P11
    }
    const base::Slot slot = disk_->complete_state();
    state_busy_ = false;
    if (compare) compare_state();
    deliver(process, [slot](node::Node& node, base::Instant now, node::Effects& fx) {
      node.on_recorded(slot, now, fx);
    });
  });
}

void Machine::read_log(paxos::LogRead read) {
  world_.after(disk_delay(), [this, read, process = process_] {
    deliver(process, [this, read](node::Node& node, base::Instant now, node::Effects& fx) {
      node.on_log_read(read.id, disk_->read_log(read.from, read.to, read.max_bytes), now, fx);
      const auto damaged = disk_->damaged_rows().lower_bound(read.from);
      if (damaged != disk_->damaged_rows().end() && *damaged <= read.to) {
        node.on_log_damaged(*damaged, now, fx);
      }
    });
  });
}

// As the daemon does now and then.
void Machine::verify_log(uint64_t process) {
  for (const base::Slot slot : std::set(disk_->damaged_rows())) {
    deliver(process, [slot](node::Node& node, base::Instant now, node::Effects& fx) {
      node.on_log_damaged(slot, now, fx);
    });
  }
}

// Section 6: a new leader gives a lease that was checkpointed what was left of it, and no more.
void Machine::check_remainders() {
  const locks::LockTable& table = node_->table();
  for (const base::LeaseId id : table.lease_ids({}, SIZE_MAX)) {
    const uint64_t left_ms = table.lease(id)->left_ms;
    const auto given_ms = node_->remaining_ms(id, now());
    if (left_ms == 0 || !given_ms || *given_ms <= static_cast<int64_t>(left_ms)) continue;
    if (node_->renewal_under_way(id)) continue;  // one that waited between two leaders
    world_.fail(name() + " gives lease " + std::to_string(id.value) + " " +
                std::to_string(*given_ms) + " ms of which " + std::to_string(left_ms) +
                " were left");
  }
}

// -- snapshots ------------------------------------------------------------------------------------

void Machine::carry_out_snapshots(node::Effects& fx) {
  for (const paxos::SnapshotRead& read : fx.paxos.snapshot_reads) {
    after_disk([this, read](node::Node& node, base::Instant now, node::Effects& out) {
      base::SnapshotPart part = disk_->read_snapshot(random_, read.id, read.offset, read.max_bytes);
      if (part.id != 0 && random_.chance(0.01)) {  // on the wire, or in memory
        std::string bytes = *part.bytes;
        bytes[random_.below(bytes.size())] ^= 1;
        part.bytes = std::make_shared<const std::string>(std::move(bytes));
      }
      node.on_snapshot_read(read.peer, read.id, std::move(part), now, out);
    });
  }
  for (base::SnapshotPart& part : fx.paxos.snapshot_writes) {
    state_tasks_.push_back(
        [this, part = std::move(part)](node::Node& node, base::Instant now, node::Effects& out) {
          if (const auto upto = disk_->write_snapshot(part)) {
            node.on_snapshot_stored(part.id, *upto, now, out);
          }
        });
  }
  if (fx.paxos.snapshot_check) {
    state_tasks_.push_back([this, id = fx.paxos.snapshot_check->id](
                               node::Node& node, base::Instant now, node::Effects& out) {
      check_snapshot(id, node, now, out);
    });
  }
  do_state_tasks();
  if (fx.state_file) disk_->switch_state();
}

void Machine::check_snapshot(base::SnapshotId id, node::Node& node, base::Instant now,
                             node::Effects& fx) {
  Disk::CheckedImage checked = disk_->check_snapshot(id);
  if (!checked.rows) return node.on_snapshot_refused(id, "it isn't whole", now, fx);
  if (checked.is_damaged) {
    // The store would find it in the rows. But that they are looked at must not be needed.
    world_.fail(name() + " stored a damaged snapshot");
    return;
  }
  locks::LockTable table;
  if (auto bad = table.restore(std::move(*checked.rows))) {
    world_.fail(name() + " can't load a snapshot: " + *bad);
    return;
  }
  oracles_.states.on_recovered(id_, table);
  node.on_snapshot_checked({id, checked.file, std::move(table)}, now, fx);
}

// One after the other, as the state thread does them.
void Machine::do_state_tasks() {
  if (state_tasks_.empty() || doing_state_task_) return;
  doing_state_task_ = true;
  after_disk([this](node::Node& node, base::Instant now, node::Effects& fx) {
    doing_state_task_ = false;
    const Event task = std::move(state_tasks_.front());
    state_tasks_.pop_front();
    task(node, now, fx);
    do_state_tasks();
  });
}

void Machine::after_disk(Event what) {
  world_.after(disk_delay(),
               [this, what = std::move(what), process = process_] { deliver(process, what); });
}

// What `lockctl check` compares: what is recorded at a barrier.
void Machine::compare_state() {
  locks::LockTable table;
  if (auto bad = table.restore(disk_->recover_state())) {
    world_.fail(name() + " recorded what contradicts itself: " + *bad);
    return;
  }
  oracles_.states.on_recovered(id_, table);
}

}  // namespace holdfast::sim
