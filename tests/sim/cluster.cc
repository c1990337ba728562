#include "tests/sim/cluster.h"

#include <algorithm>

#include "lockcore/base/assert.h"

namespace holdfast::sim {
namespace {

constexpr int64_t kMs = 1'000'000;
constexpr int64_t kUs = 1'000;

}  // namespace

Cluster::Cluster(World& world, const Options& options)
    : world_(world),
      options_(options),
      claim_checker_(world),
      leader_checker_(world, options.nodes, base::Duration::from_ms(options.election_ms)),
      model_checker_(world),
      log_checker_(world, options.nodes,
                   [this](base::Slot slot, base::EntryKind kind, const std::string& value) {
                     model_checker_.on_chosen(slot, kind, value);
                   }),
      state_checker_(world, model_checker_) {
  for (uint32_t i = 0; i < options.nodes; ++i) {
    auto machine = std::make_unique<Machine>();
    machine->id = base::NodeId{i + 1};
    // Rates within ε, any origin: nothing may rely on two clocks agreeing.
    machine->clock.rate = 0.991 + 0.001 * static_cast<double>(world.random.below(19));
    machine->clock.origin_ns = static_cast<int64_t>(world.random.below(1'000'000'000'000));
    machine->disk = std::make_unique<Disk>(
        machine->id, base::Incarnation{world.random.next() | 1},
        [this, id = machine->id](const base::Entry& entry) { log_checker_.on_durable(id, entry); });
    machines_.push_back(std::move(machine));
  }
  for (auto& machine : machines_) start(*machine);
}

Cluster::~Cluster() = default;

// -- one machine's loop ---------------------------------------------------------------------------

void Cluster::start(Machine& machine) {
  HF_ASSERT(!machine.node);
  ++machine.process;
  machine.paused = false;
  machine.resumed_at = world_.now();
  machine.leads_in = {};
  leader_checker_.on_started(machine.id);
  machine.turn_planned = false;
  machine.tick_planned_at = -1;
  machine.log_busy = machine.state_busy = false;
  machine.fx = {};
  locks::LockTable table;
  if (auto bad = table.restore(machine.disk->recover_state())) {
    world_.fail("node " + std::to_string(machine.id.value) + " can't restore: " + *bad);
    return;
  }
  base::RecoveredLog log = machine.disk->recover_log();
  node::Options options;
  options.paxos.self = machine.id;
  options.paxos.address = "node" + std::to_string(machine.id.value) + ":1";
  for (uint32_t i = 1; i <= options_.nodes; ++i) {
    options.paxos.cluster.push_back({base::NodeId{i}, {}, "node" + std::to_string(i) + ":1", true});
  }
  options.paxos.heartbeat = base::Duration::from_ms(options_.heartbeat_ms);
  options.paxos.election = base::Duration::from_ms(options_.election_ms);
  options.paxos.rest_delay = base::Duration::from_ms(options_.rest_delay_ms);
  options.paxos.random_seed = world_.random.next();
  options.paxos.process_nonce = world_.random.next() | 1;
  options.paxos.new_cell = base::CellId{world_.random.next() | 1};
  machine.node = std::make_unique<node::Node>(std::move(options), std::move(log), std::move(table),
                                              now(machine));
  world_.trace("node " + std::to_string(machine.id.value) + " starts");
  for (auto& other : machines_) {
    if (other->id == machine.id) continue;
    connect(machine, *other);
    connect(*other, machine);
  }
  plan_turn(machine);
}

void Cluster::crash(Machine& machine) {
  if (!machine.node) return;
  world_.trace("node " + std::to_string(machine.id.value) + " crashes");
  machine.node.reset();
  machine.disk->crash(world_.random);
  machine.backlog.clear();
  for (auto& [ref, call] : std::exchange(machine.calls, {})) {
    // The clients' connections break: they hear of it after a while.
    world_.after(static_cast<int64_t>(world_.random.between(50, 5'000)) * kUs,
                 [done = call.done] { done(CallResult{.unreachable = true}); });
  }
  for (auto& other : machines_) {
    if (other->id == machine.id) continue;
    disconnect(machine, other->id);
    disconnect(*other, machine.id);
  }
}

void Cluster::resume(Machine& machine) {
  if (machine.paused) machine.resumed_at = world_.now();
  machine.paused = false;
  for (auto& what : std::exchange(machine.backlog, {})) what();
  plan_turn(machine);
}

void Cluster::lose_peer(Machine& machine, base::NodeId peer) {
  machine.node->on_peer_lost(peer, now(machine), machine.fx);
  leader_checker_.on_link_lost(machine.id, peer);
}

void Cluster::deliver(Machine& machine, uint64_t process, std::function<void()> what) {
  if (!machine.node || machine.process != process || world_.failed()) return;
  if (machine.paused) {
    machine.backlog.push_back(
        [this, &machine, process, what = std::move(what)] { deliver(machine, process, what); });
    return;
  }
  what();
  plan_turn(machine);
}

// Events that come within a few microseconds share a turn, as they do in a real loop.
void Cluster::plan_turn(Machine& machine) {
  if (machine.turn_planned) return;
  machine.turn_planned = true;
  world_.after(static_cast<int64_t>(world_.random.between(1, 30)) * kUs,
               [this, &machine, process = machine.process] {
                 if (!machine.node || machine.process != process) return;
                 machine.turn_planned = false;
                 if (!machine.paused) finish_turn(machine);
               });
}

void Cluster::finish_turn(Machine& machine) {
  const base::Slot before = machine.node->table().meta().applied;
  machine.node->finish_turn(now(machine),
                            node::WallClock{static_cast<uint64_t>(world_.now() / kMs)}, machine.fx);
  machine.node->check_invariants();
  if (machine.node->table().meta().applied != before) {
    log_checker_.on_applied(machine.id, machine.node->table().meta().applied);
    state_checker_.on_applied(machine.id, machine.node->table());
  }
  carry_out(machine);
  check_leader(machine);
  plan_tick(machine);
}

// A leader without a quorum's word for an election timeout steps down (P8). After a pause it has
// a moment to read what came meanwhile.
void Cluster::check_leader(Machine& machine) {
  if (!machine.node) return;
  const paxos::Replica& replica = machine.node->replica();
  if (replica.role() != paxos::Role::kLeader) {
    machine.leads_in = {};
    return;
  }
  if (machine.leads_in != replica.ballot()) {
    machine.leads_in = replica.ballot();
    machine.leads_since = world_.now();
  }
  const int64_t heard_at = std::max({leader_checker_.quorum_heard_at(machine.id, replica.ballot()),
                                     machine.leads_since, machine.resumed_at});
  if (world_.now() - heard_at > (2 * options_.election_ms + 4 * options_.heartbeat_ms) * kMs) {
    world_.fail("node " + std::to_string(machine.id.value) +
                " goes on leading although no quorum answers (P8)");
  }
}

void Cluster::carry_out(Machine& machine) {
  node::Effects fx = std::exchange(machine.fx, {});
  for (auto& notice : fx.paxos.notices) {
    world_.trace("node " + std::to_string(machine.id.value) + ": " + notice.text);
  }
  if (fx.became_active) {
    world_.trace("node " + std::to_string(machine.id.value) + " is active, round " +
                 std::to_string(machine.node->replica().ballot().round));
  }
  if (fx.paxos.fatal) {
    world_.fail("node " + std::to_string(machine.id.value) + " gives up: " + *fx.paxos.fatal);
    return;
  }
  for (base::LogWrite& write : fx.paxos.writes) {
    for (const base::Entry& entry : write.entries) log_checker_.on_written(machine.id, entry);
    machine.disk->queue(std::move(write));
  }
  if (machine.disk->log_busy()) write_log(machine);
  if (fx.record) {
    machine.disk->queue(std::move(*fx.record));
    write_state(machine);
  }
  for (paxos::LogRead& read : fx.paxos.reads) {
    world_.after(disk_delay(), [this, &machine, read, process = machine.process] {
      deliver(machine, process, [this, &machine, read] {
        std::vector<base::Entry> entries =
            machine.disk->read_log(read.from, read.to, read.max_bytes);
        machine.node->on_log_read(read.id, std::move(entries), now(machine), machine.fx);
      });
    });
  }
  for (paxos::Outgoing& message : fx.paxos.messages) send(machine, std::move(message));
  const auto answer = [&](node::ClientRef ref, CallResult result) {
    const auto it = machine.calls.find(ref);
    if (it == machine.calls.end()) return;
    CallDone done = std::move(it->second.done);
    machine.calls.erase(it);
    if (auto delay = network_delay()) {
      world_.after(*delay, [done = std::move(done), result = std::move(result)] { done(result); });
    }
  };
  for (auto& reply : fx.replies) {
    if (const auto it = machine.calls.find(reply.ref); it != machine.calls.end()) {
      model_checker_.on_told(machine.id, it->second.key, reply.answer);
    }
    answer(reply.ref, CallResult{.answer = std::move(reply.answer)});
  }
  const auto check_confirmed = [&](node::ClientRef ref, bool is_error) {
    const auto it = machine.calls.find(ref);
    if (is_error || it == machine.calls.end()) return;
    leader_checker_.on_confirmed_answer(machine.id, machine.node->replica().ballot(),
                                        it->second.since);
  };
  for (auto& reply : fx.renewals) {
    check_confirmed(reply.ref, reply.error.has_value());
    answer(reply.ref, CallResult{.renewal = std::move(reply)});
  }
  const base::Revision seen = machine.node->table().meta().revision;
  for (auto& reply : fx.reads) {
    check_confirmed(reply.ref, reply.error.has_value());
    answer(reply.ref, CallResult{.read = reply, .revision = seen});
  }
}

void Cluster::plan_tick(Machine& machine) {
  const base::Instant next = machine.node->next_tick();
  if (next == base::kNever) return;
  const int64_t at =
      world_.now() + machine.clock.true_ns(std::max(base::Duration{1000}, next - now(machine)));
  if (machine.tick_planned_at >= 0 && machine.tick_planned_at <= at) return;
  machine.tick_planned_at = at;
  world_.after(at - world_.now(), [this, &machine, at, process = machine.process] {
    if (machine.process != process) return;
    if (machine.tick_planned_at == at) machine.tick_planned_at = -1;
    deliver(machine, process,
            [this, &machine] { machine.node->on_tick(now(machine), machine.fx); });
  });
}

int64_t Cluster::disk_delay() {
  if (faults_ && world_.random.chance(options_.fsync_stall)) {
    return static_cast<int64_t>(world_.random.between(100, 2'000)) * kMs;
  }
  return static_cast<int64_t>(world_.random.between(static_cast<uint64_t>(options_.min_fsync_us),
                                                    static_cast<uint64_t>(options_.max_fsync_us))) *
         kUs;
}

void Cluster::write_log(Machine& machine) {
  if (machine.log_busy) return;
  machine.log_busy = true;
  world_.after(disk_delay(), [this, &machine, process = machine.process] {
    if (!machine.node || machine.process != process) return;
    // The disk goes on while the process is paused; what it did is heard of later.
    base::WriteId id = machine.disk->complete_log();
    while (machine.disk->log_busy() && world_.random.chance(0.7)) id = machine.disk->complete_log();
    machine.log_busy = false;
    if (machine.disk->log_busy()) write_log(machine);
    deliver(machine, process,
            [this, &machine, id] { machine.node->on_written(id, now(machine), machine.fx); });
  });
}

void Cluster::write_state(Machine& machine) {
  HF_ASSERT(!machine.state_busy);
  machine.state_busy = true;
  world_.after(disk_delay(), [this, &machine, process = machine.process] {
    if (!machine.node || machine.process != process) return;
    const base::Slot slot = machine.disk->complete_state();
    machine.state_busy = false;
    deliver(machine, process,
            [this, &machine, slot] { machine.node->on_recorded(slot, now(machine), machine.fx); });
  });
}

// -- network --------------------------------------------------------------------------------------

bool Cluster::reachable(base::NodeId from, base::NodeId to) const {
  return !blocked_.contains({from, to});
}

std::optional<int64_t> Cluster::network_delay() {
  if (faults_ && world_.random.chance(options_.loss)) return std::nullopt;
  if (faults_ && world_.random.chance(options_.long_delay)) {
    return static_cast<int64_t>(
               world_.random.below(static_cast<uint64_t>(options_.long_delay_ms))) *
           kMs;
  }
  return static_cast<int64_t>(world_.random.between(static_cast<uint64_t>(options_.min_delay_us),
                                                    static_cast<uint64_t>(options_.max_delay_us))) *
         kUs;
}

// One attempt of `from` to dial `to`. What is said takes its time, and may be old news when it
// comes: the hello was said when the connection was there, the answer when the hello came.
struct Cluster::Dialling {
  Machine& from;
  Machine& to;
  uint64_t epoch;
  uint64_t from_process, to_process;
  paxos::Hello hello;

  bool still_wanted() const {
    const auto link = from.outgoing.find(to.id);
    return from.node && from.process == from_process && link->second.epoch == epoch;
  }
};

// Tries until it works, as a peer link does.
void Cluster::connect(Machine& from, Machine& to) {
  Link& link = from.outgoing[to.id];
  link.up = false;
  auto dialling =
      std::make_shared<Dialling>(Dialling{from, to, ++link.epoch, from.process, to.process, {}});
  world_.after(static_cast<int64_t>(world_.random.between(100, 3'000)) * kUs, [this, dialling] {
    if (!dialling->still_wanted()) return;
    dialling->to_process = dialling->to.process;
    if (dialling->to.node && !dialling->from.paused &&
        reachable(dialling->from.id, dialling->to.id)) {
      dialling->hello = dialling->from.node->hello();
      greet(dialling);
    }
    world_.after(static_cast<int64_t>(world_.random.between(5, 150)) * kMs, [this, dialling] {
      Link& mine = dialling->from.outgoing[dialling->to.id];
      if (dialling->still_wanted() && !mine.up) connect(dialling->from, dialling->to);
    });
  });
}

void Cluster::greet(std::shared_ptr<Dialling> dialling) {
  const auto delay = network_delay();
  if (!delay) return;
  world_.after(*delay, [this, dialling] {
    Machine& to = dialling->to;
    if (!reachable(dialling->from.id, to.id)) return;
    deliver(to, dialling->to_process, [this, dialling] {
      Machine& here = dialling->to;
      const auto refusal = here.node->on_hello(dialling->hello, now(here), here.fx);
      if (!dialling->from.node && !refusal) {  // it died meanwhile, and so did the connection
        lose_peer(here, dialling->from.id);
      }
      const auto delay_back = network_delay();
      if (!delay_back) return;
      world_.after(*delay_back, [this, dialling, refusal, answer = here.node->hello()] {
        Machine& from = dialling->from;
        if (!dialling->still_wanted() || !reachable(dialling->to.id, from.id)) return;
        deliver(from, dialling->from_process, [this, dialling, refusal, answer] {
          Machine& from_here = dialling->from;
          if (!dialling->still_wanted()) return;
          if (refusal) {
            from_here.node->on_refused(dialling->to.id, *refusal, now(from_here), from_here.fx);
          } else if (!from_here.node->on_hello(answer, now(from_here), from_here.fx)) {
            from_here.outgoing[dialling->to.id] = Link{dialling->epoch, true};
          }
        });
      });
    });
  });
}

void Cluster::disconnect(Machine& from, base::NodeId to) {
  Link& link = from.outgoing[to];
  link.up = false;
  const uint64_t epoch = ++link.epoch;
  Machine& other = at(to);
  const auto lost = [this](Machine& machine, base::NodeId peer) {
    world_.after(static_cast<int64_t>(world_.random.between(50, 3'000)) * kUs,
                 [this, &machine, peer, process = machine.process] {
                   deliver(machine, process, [this, &machine, peer] { lose_peer(machine, peer); });
                 });
  };
  if (other.node) lost(other, from.id);
  if (!from.node) return;
  lost(from, to);
  world_.after(
      static_cast<int64_t>(world_.random.between(5, 50)) * kMs,
      [this, &from, &other, epoch, process = from.process] {
        if (from.node && from.process == process && from.outgoing[other.id].epoch == epoch) {
          connect(from, other);
        }
      });
}

void Cluster::send(Machine& from, paxos::Outgoing out) {
  claim_checker_.on_said(from.id, *from.disk, out.message);
  leader_checker_.on_said(from.id, out.message);
  const Link& link = from.outgoing[out.to];
  if (!link.up) return;
  Machine& to = at(out.to);
  const int copies = faults_ && world_.random.chance(options_.duplication) ? 2 : 1;
  for (int copy = 0; copy < copies; ++copy) {
    const auto delay = network_delay();
    if (!delay) continue;
    world_.after(*delay, [this, &from, &to, message = out.message, epoch = link.epoch,
                          process = to.process] {
      const Link& now_link = from.outgoing[to.id];
      // TCP gives nothing of a connection after its end.
      if (now_link.epoch != epoch || !reachable(from.id, to.id)) return;
      deliver(to, process, [this, &from, &to, message] {
        to.node->on_message(from.id, message, now(to), to.fx);
        const paxos::Replica& replica = to.node->replica();
        leader_checker_.on_taken(to.id, from.id, message,
                                 {replica.promised(), replica.leader(), now(to)});
      });
    });
  }
}

void Cluster::call(uint32_t index, base::AnswerKey key, Ask ask, CallDone done) {
  Machine& machine = *machines_[index];
  const auto delay = network_delay();
  if (!delay) return;
  world_.after(*delay, [this, &machine, key, ask = std::move(ask), done = std::move(done)] {
    if (!machine.node) {
      done(CallResult{.unreachable = true});
      return;
    }
    deliver(machine, machine.process, [this, &machine, key, ask, done] {
      const node::ClientRef ref = next_ref_++;
      machine.calls.emplace(ref, Machine::Call{done, world_.now(), key});
      ask(*machine.node, ref, now(machine), machine.fx);
    });
  });
}

void Cluster::command(uint32_t index, locks::Command command, CallDone done) {
  const base::AnswerKey key{command.op.client, command.op.number};
  call(
      index, key,
      [command = std::move(command)](node::Node& node, node::ClientRef ref, base::Instant now,
                                     node::Effects& fx) { node.on_command(ref, command, now, fx); },
      std::move(done));
}

void Cluster::renew(uint32_t index, std::vector<base::LeaseId> leases, CallDone done) {
  call(
      index, {},
      [leases = std::move(leases)](node::Node& node, node::ClientRef ref, base::Instant now,
                                   node::Effects& fx) { node.on_renew(ref, leases, now, fx); },
      std::move(done));
}

void Cluster::read(uint32_t index, CallDone done) {
  call(
      index, {},
      [](node::Node& node, node::ClientRef ref, base::Instant now, node::Effects& fx) {
        node.on_read(ref, now, fx);
      },
      std::move(done));
}

// -- faults ---------------------------------------------------------------------------------------

void Cluster::plan_fault(int64_t every_ms, void (Cluster::*fault)()) {
  if (every_ms == 0) return;
  world_.after(
      static_cast<int64_t>(world_.random.below(static_cast<uint64_t>(2 * every_ms) + 1)) * kMs,
      [this, every_ms, fault] {
        if (!faults_ || world_.failed()) return;
        (this->*fault)();
        plan_fault(every_ms, fault);
      });
}

void Cluster::start_faults() {
  faults_ = true;
  plan_fault(options_.crash_every_ms, &Cluster::fault_crash);
  plan_fault(options_.partition_every_ms, &Cluster::fault_partition);
  plan_fault(options_.pause_every_ms, &Cluster::fault_pause);
  plan_fault(options_.cut_every_ms, &Cluster::fault_cut);
}

void Cluster::stop_faults() {
  faults_ = false;
  world_.trace("faults end");
  blocked_.clear();
  for (auto& machine : machines_) {
    if (!machine->node) start(*machine);
    resume(*machine);
  }
}

void Cluster::fault_crash() {
  const bool all = world_.random.chance(0.1);
  for (auto& machine : machines_) {
    if (!all && !world_.random.chance(1.0 / options_.nodes)) continue;
    crash(*machine);
    world_.after(static_cast<int64_t>(world_.random.between(1, 3'000)) * kMs, [this, &machine] {
      if (!machine->node && !world_.failed()) start(*machine);
    });
  }
}

void Cluster::fault_partition() {
  if (!blocked_.empty() || world_.random.chance(0.3)) {
    blocked_.clear();
    world_.trace("the network is whole again");
    return;
  }
  const bool one_way = world_.random.chance(0.4);
  const base::NodeId victim{world_.random.between(1, options_.nodes)};
  const bool some = world_.random.chance(0.3);
  for (uint64_t other = 1; other <= options_.nodes; ++other) {
    if (other == victim.value || (some && world_.random.chance(0.5))) continue;
    blocked_.insert({victim, base::NodeId{other}});
    if (!one_way) blocked_.insert({base::NodeId{other}, victim});
  }
  world_.trace("node " + std::to_string(victim.value) +
               (one_way ? " can't be heard" : " is cut off"));
}

void Cluster::fault_pause() {
  Machine& machine = *machines_[world_.random.below(options_.nodes)];
  if (!machine.node || machine.paused) return;
  machine.paused = true;
  const int64_t ms =
      static_cast<int64_t>(world_.random.below(static_cast<uint64_t>(3 * options_.ttl_ms)));
  world_.trace("node " + std::to_string(machine.id.value) + " is stopped for " +
               std::to_string(ms) + " ms");
  world_.after(ms * kMs, [this, &machine, process = machine.process] {
    if (machine.process != process || !machine.node || !machine.paused) return;
    resume(machine);
  });
}

void Cluster::fault_cut() {
  Machine& from = *machines_[world_.random.below(options_.nodes)];
  Machine& to = *machines_[world_.random.below(options_.nodes)];
  if (from.id != to.id && from.node) disconnect(from, to.id);
}

// -- what is known --------------------------------------------------------------------------------

std::optional<uint32_t> Cluster::active_node() const {
  for (uint32_t i = 0; i < machines_.size(); ++i) {
    if (machines_[i]->node && machines_[i]->node->active()) return i;
  }
  return std::nullopt;
}

const locks::LockTable* Cluster::table(uint32_t node) const {
  return machines_[node]->node ? &machines_[node]->node->table() : nullptr;
}

void Cluster::check_converged() {
  const auto active = active_node();
  if (!active) {
    world_.fail("no leader is active although faults ended long ago");
    return;
  }
  const locks::LockTable& leader = machines_[*active]->node->table();
  for (const auto& machine : machines_) {
    if (!machine->node) continue;
    for (const auto& [ref, call] : machine->calls) {
      // Those of clients that renew just now are under way.
      if (world_.now() - call.since < 5'000 * kMs) continue;
      world_.fail("node " + std::to_string(machine->id.value) + " never answered a call");
    }
    const locks::LockTable& table = machine->node->table();
    if (table.meta().applied != leader.meta().applied) {
      world_.fail("node " + std::to_string(machine->id.value) + " stays behind: applied " +
                  std::to_string(table.meta().applied.value) + " of " +
                  std::to_string(leader.meta().applied.value));
    } else if (table.digest() != leader.digest()) {
      world_.fail("node " + std::to_string(machine->id.value) + " has another state");
    }
  }
}

}  // namespace holdfast::sim
