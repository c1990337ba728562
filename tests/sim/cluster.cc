#include "tests/sim/cluster.h"

#include <utility>

namespace holdfast::sim {

Cluster::Cluster(World& world, const Options& options)
    : world_(world),
      options_(options),
      network_(world, options),
      oracles_(world, options),
      links_(world, network_, oracles_) {
  const auto images = std::make_shared<SnapshotImages>();
  for (uint32_t i = 1; i <= options.nodes + options.spares; ++i) {
    machines_.push_back(std::make_unique<Machine>(world, options, oracles_, network_, links_,
                                                  images, base::NodeId{i}));
    links_.add(*machines_.back());
  }
  for (auto& machine : machines_) machine->start();
}

// -- calls of clients -----------------------------------------------------------------------------

void Cluster::call(uint32_t client, uint32_t index, base::AnswerKey key, Ask ask, CallDone done,
                   bool here) {
  Machine& machine = *machines_[index];
  const auto delay = network_.delay();
  if (!delay) return;
  // An answer needs the way back.
  auto arrive = [this, client, &machine, done = std::move(done)](const CallResult& result) {
    if (network_.client_hears(client, machine.id())) done(result);
  };
  auto back = [this, arrive = std::move(arrive)](const CallResult& result) {
    if (result.unreachable) return arrive(result);
    const auto delay_back = network_.delay();
    if (delay_back) world_.after(*delay_back, [arrive, result] { arrive(result); });
  };
  world_.after(
      *delay, [this, client, &machine, key, here, ask = std::move(ask), done = std::move(back)] {
        if (!network_.client_reaches(client, machine.id()) || machine.deaf()) return;
        if (!machine.up()) {
          done(CallResult{.unreachable = true});
          return;
        }
        machine.deliver(machine.process(), [&machine, key, here, ask, done](
                                               node::Node&, base::Instant, node::Effects&) {
          machine.call(key, ask, done, here);
        });
      });
}

void Cluster::command(uint32_t client, uint32_t index, locks::Command command, CallDone done) {
  const base::AnswerKey key{command.op.client, command.op.number};
  call(
      client, index, key,
      [command = std::move(command)](node::Node& node, node::ClientRef ref, base::Instant now,
                                     node::Effects& fx) { node.on_command(ref, command, now, fx); },
      std::move(done));
}

void Cluster::renew(uint32_t client, uint32_t index, std::vector<base::LeaseId> leases,
                    CallDone done) {
  call(
      client, index, {},
      [leases = std::move(leases)](node::Node& node, node::ClientRef ref, base::Instant now,
                                   node::Effects& fx) {
        node.on_renew(ref, {leases, {}}, now, fx);
      },
      std::move(done));
}

void Cluster::read(uint32_t client, uint32_t index, bool here, CallDone done) {
  call(
      client, index, {},
      [here](node::Node& node, node::ClientRef ref, base::Instant now, node::Effects& fx) {
        here ? node.on_read_here(ref, now, fx) : node.on_read(ref, now, fx);
      },
      std::move(done), here);
}

// The operator's connections don't break.
void Cluster::admin(uint32_t index, node::AdminRequest request, CallDone done) {
  call(
      kMaxClients - 1, index, {},
      [request = std::move(request)](node::Node& node, node::ClientRef ref, base::Instant now,
                                     node::Effects& fx) { node.on_admin(ref, request, now, fx); },
      std::move(done));
}

// -- what is known --------------------------------------------------------------------------------

std::optional<uint32_t> Cluster::active_node() const {
  for (uint32_t i = 0; i < machines_.size(); ++i) {
    if (machines_[i]->up() && machines_[i]->node()->active()) return i;
  }
  return std::nullopt;
}

base::NodeId Cluster::leader() const {
  base::NodeId leader;
  base::Ballot highest;
  for (const auto& machine : machines_) {
    if (!machine->up()) continue;
    const paxos::Replica& replica = machine->node()->replica();
    if (replica.role() != paxos::Role::kLeader || replica.ballot() < highest) continue;
    highest = replica.ballot();
    leader = machine->id();
  }
  return leader;
}

const locks::LockTable* Cluster::table(uint32_t node) const {
  return machines_[node]->up() ? &machines_[node]->node()->table() : nullptr;
}

std::optional<std::string> Cluster::unsettled() {
  const auto active = active_node();
  if (!active) return "no leader is active although faults ended long ago";
  const locks::LockTable& leader = machines_[*active]->node()->table();
  std::optional<std::string> why;
  if (!looked_at_) why = "faults have ended just now";
  for (const auto& machine : machines_) {
    if (config().find(machine->id()) == nullptr) continue;
    if (!why) why = unsettled(*machine, leader);
  }
  looked_at_ = leader.meta().applied;
  return why;
}

std::optional<std::string> Cluster::unsettled(const Machine& machine,
                                              const locks::LockTable& leader) const {
  if (oracles_.lives.has_forgotten(machine.id())) {
    if (machine.up()) return machine.name() + " still runs although its disk has forgotten (P10)";
    return std::nullopt;
  }
  // Added, but it never came.
  if (!config().find(machine.id())->incarnation && machine.id().value > options_.voters())
    return {};
  if (!machine.up()) return machine.name() + " is down although faults ended";
  if (machine.node()->replica().founding() == base::FoundingState::kEmpty) return {};
  // Those of clients that renew just now are under way.
  if (machine.has_call_since(world_.now() - 5'000 * kMs)) {
    return machine.name() + " never answered a call";
  }
  if (machine.disk().is_damaged()) return machine.name() + " is still damaged (P11)";
  const locks::LockTable& table = machine.node()->table();
  if (table.meta().applied < looked_at_) {
    return machine.name() + " stays behind: applied " + std::to_string(table.meta().applied.value) +
           " of " + std::to_string(looked_at_.value);
  }
  const bool even = table.meta().applied == leader.meta().applied;
  if (even && table.digest() != leader.digest()) return machine.name() + " has another state";
  return std::nullopt;
}

}  // namespace holdfast::sim
