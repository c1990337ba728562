#include "tests/sim/injector.h"

#include <algorithm>

namespace holdfast::sim {

namespace {

// What keeps nodes from measuring each other's clocks, or from leading in another's place.
bool disturbs(const Fault& fault) {
  switch (fault.kind) {
    case FaultKind::kRate:
    case FaultKind::kWall:
    case FaultKind::kRefuse:
    case FaultKind::kClientPause:
    case FaultKind::kClientFreeze:
    case FaultKind::kClientRate:
    case FaultKind::kClientLost:
    case FaultKind::kClientDeaf:
    case FaultKind::kClientCut:
    case FaultKind::kClientKill: return false;
    default: return true;
  }
}

}  // namespace

Injector::Injector(World& world, Cluster& cluster, Workload& workload, Faults faults)
    : world_(world),
      cluster_(cluster),
      workload_(workload),
      operator_(world, cluster),
      faults_(std::move(faults)),
      random_(world.stream("injector")) {}

void Injector::start() {
  for (const Fault& fault : faults_) {
    world_.after(fault.at_ms * kMs - world_.now(), [this, fault] {
      if (!stopped_) begin(fault);
    });
  }
}

void Injector::stop() {
  stopped_ = true;
  operator_.stop();
  world_.trace("faults end");
  cluster_.clocks().on_faults_end();
  cluster_.network().heal();
  for (auto& machine : cluster_.machines()) {
    machine->set_clock_factor(1);
    machine->end_disk_faults();
    machine->start();
    while (machine->stands_still()) machine->go_on();
  }
  workload_.end_faults();
}

Targets Injector::present(Targets targets) {
  if (targets == kEverybody) return targets;
  if (const base::NodeId leader = cluster_.leader()) last_leader_ = leader;
  return targets == kLeader ? Targets{1} << last_leader_.value : targets;
}

void Injector::begin(Fault fault) {
  if (world_.tracing()) world_.trace("FAULT " + text_of(fault));
  fault.who = present(fault.who);
  fault.whom = present(fault.whom);
  if (disturbs(fault)) cluster_.clocks().on_disturbed(true);
  on_network(fault, true);
  on_members(fault);
  for (auto& machine : cluster_.machines()) {
    if ((fault.who >> machine->id().value & 1) != 0) on_machine(fault, *machine, true);
  }
  for (uint32_t client = 0; client < workload_.size(); ++client) {
    if ((fault.who >> client & 1) != 0) on_client(fault, client, true);
  }
  if (fault.for_ms == 0) {
    if (disturbs(fault)) cluster_.clocks().on_disturbed(false);
    return;
  }
  world_.after(fault.for_ms * kMs, [this, fault] {
    if (!stopped_) end(fault);
  });
}

void Injector::end(const Fault& fault) {
  if (world_.tracing()) world_.trace("it ends: " + text_of(fault));
  if (disturbs(fault)) cluster_.clocks().on_disturbed(false);
  on_network(fault, false);
  for (auto& machine : cluster_.machines()) {
    if ((fault.who >> machine->id().value & 1) != 0) on_machine(fault, *machine, false);
  }
  for (uint32_t client = 0; client < workload_.size(); ++client) {
    if ((fault.who >> client & 1) != 0) on_client(fault, client, false);
  }
}

// -- the network ----------------------------------------------------------------------------------

template <class Visit>
void Injector::for_each_pair(const Fault& fault, Visit visit) {
  for (auto& from : cluster_.machines()) {
    for (auto& to : cluster_.machines()) {
      const bool meant = (fault.who >> from->id().value & fault.whom >> to->id().value & 1) != 0;
      if (meant && from != to) visit(*from, *to);
    }
  }
}

void Injector::on_network(const Fault& fault, bool on) {
  Network& network = cluster_.network();
  const double share = static_cast<double>(fault.how) / 1e3;
  switch (fault.kind) {
    case FaultKind::kLoss: return network.lose(share, on);
    case FaultKind::kTwice: return network.duplicate(share, on);
    case FaultKind::kLate: return network.be_late(share, on);
    case FaultKind::kRefuse: return network.refuse(share, on);
    case FaultKind::kCut:
      return for_each_pair(fault, [&](Machine& from, Machine& to) {
        if (from.up()) cluster_.links().cut(from, to, fault.how == 1);
      });
    case FaultKind::kPartition:
      return for_each_pair(fault, [&](const Machine& from, const Machine& to) {
        network.block(from.id(), to.id(), on);
        network.block(to.id(), from.id(), on);
      });
    case FaultKind::kDeaf:
      return for_each_pair(fault, [&](const Machine& from, const Machine& to) {
        network.block(from.id(), to.id(), on);
      });
    case FaultKind::kLarge:
      return for_each_pair(fault, [&](const Machine& from, const Machine& to) {
        network.limit(from.id(), to.id(), static_cast<size_t>(fault.how), on);
      });
    default: return;
  }
}

// -- the operator ---------------------------------------------------------------------------------

void Injector::on_members(const Fault& fault) {
  const int64_t until_ms = fault.at_ms + fault.for_ms;
  if (fault.kind == FaultKind::kTransfer && fault.who == kEverybody) return operator_.transfer({});
  for (auto& machine : cluster_.machines()) {
    if ((fault.who >> machine->id().value & 1) == 0) continue;
    switch (fault.kind) {
      case FaultKind::kTransfer: operator_.transfer(machine->id()); break;
      case FaultKind::kAdd: operator_.add(machine->id(), until_ms); break;
      case FaultKind::kRemove: operator_.remove(machine->id(), until_ms); break;
      case FaultKind::kMove: operator_.move(machine->id(), until_ms); break;
      default: return;
    }
  }
}

// -- machines -------------------------------------------------------------------------------------

void Injector::on_machine(const Fault& fault, Machine& machine, bool on) {
  switch (fault.kind) {
    case FaultKind::kCrash: return on ? machine.crash() : machine.start();
    case FaultKind::kCrashWithin:
      if (on) return machine.crash_within_turn(static_cast<uint32_t>(fault.how));
      return machine.start();
    case FaultKind::kStorm:
      if (on) storm(machine, world_.now() + fault.for_ms * kMs, fault.how);
      return;
    case FaultKind::kPause: return on ? machine.stand_still(false) : machine.go_on();
    case FaultKind::kSuspend: return on ? machine.stand_still(true) : machine.go_on();
    case FaultKind::kFreeze:
      machine.set_clock_factor(on ? 0 : 1);
      if (on) workload_.distrust_everybody();
      return on ? machine.stand_still(false) : machine.go_on();
    case FaultKind::kRate:
      if (on) workload_.distrust_everybody();
      return machine.set_clock_factor(on ? static_cast<double>(fault.how) / 1e3 : 1);
    case FaultKind::kWall: return machine.jump_wall_clock(fault.how);
    case FaultKind::kStall:
      if (on) machine.stall_disk(world_.now() + fault.for_ms * kMs);
      return;
    case FaultKind::kSlow: return machine.slow_disk(on ? fault.how : 0);
    case FaultKind::kFull:
      machine.fill_disk(on);
      if (!on) machine.start();
      return;
    case FaultKind::kWipe: return wipe(machine);
    case FaultKind::kRot: return on ? rot(fault, machine) : machine.start();
    case FaultKind::kRotAlive:
      if (on) rot(fault, machine);
      return;
    case FaultKind::kPutBack:
      if (on) copy(machine, fault.for_ms);
      return;
    default: return;
  }
}

void Injector::storm(Machine& machine, int64_t until, int64_t every_ms) {
  if (stopped_ || world_.now() >= until) return machine.start();
  const auto part = [this, every_ms] {
    return static_cast<int64_t>(random_.between(1, static_cast<uint64_t>(every_ms))) * kMs;
  };
  machine.crash();
  world_.after(part(), [this, &machine, until, every_ms, part] {
    machine.start();
    world_.after(part(), [this, &machine, until, every_ms] { storm(machine, until, every_ms); });
  });
}

void Injector::wipe(Machine& machine) {
  machine.crash();
  machine.wipe_disk();
  machine.start();
}

// The copy is of a directory whose owner then lives on: it starts again, and all others hear of it.
void Injector::copy(Machine& machine, int64_t for_ms) {
  auto copied = std::shared_ptr<Disk>(machine.disk().durable_copy());
  machine.crash();
  machine.start();
  world_.after(for_ms * kMs, [this, &machine, copied] {
    if (!stopped_) put_back(machine, copied->durable_copy());
  });
}

// What a majority forgot nobody can mend: only so much is damaged at any time that the others are
// one.
void Injector::rot(const Fault& fault, Machine& machine) {
  size_t damaged = 1;
  for (const auto& other : cluster_.machines()) {
    damaged += other->id() != machine.id() && other->disk().is_damaged();
  }
  if (damaged > (cluster_.machines().size() - 1) / 2) return;
  if (fault.kind == FaultKind::kRot) machine.crash();
  switch (fault.how) {
    case 1: return machine.damage_state();
    case 2: return machine.lose_rows();
    default: return machine.damage_log();
  }
}

// P10 is best effort where a peer hasn't heard of the later start: then nothing is promised, and
// nothing is put back, or started again.
void Injector::put_back(Machine& machine, std::unique_ptr<Disk> copy) {
  auto is_noticed = [this, &machine](const Disk& disk) {
    if (disk.is_lost()) return true;  // by itself
    return std::ranges::all_of(cluster_.machines(), [&](const auto& other) {
      return other->id() == machine.id() ||
             other->disk().known_start_count(machine.id()) > disk.start_count();
    });
  };
  if (!is_noticed(*copy)) return;
  machine.crash();
  machine.put_back(std::move(copy), std::move(is_noticed));
  machine.start();
}

// -- clients --------------------------------------------------------------------------------------

void Injector::on_client(const Fault& fault, uint32_t client, bool on) {
  switch (fault.kind) {
    case FaultKind::kClientPause: return workload_.stand_still(client, on);
    case FaultKind::kClientFreeze:
      workload_.set_clock_factor(client, on ? 0 : 1);
      return workload_.stand_still(client, on);
    case FaultKind::kClientRate:
      return workload_.set_clock_factor(client, on ? static_cast<double>(fault.how) / 1e3 : 1);
    case FaultKind::kClientLost:
      for (auto& machine : cluster_.machines()) {
        if ((fault.whom >> machine->id().value & 1) == 0) continue;
        cluster_.network().block_client(client, machine->id(), on);
      }
      return;
    case FaultKind::kClientDeaf:
      for (auto& machine : cluster_.machines()) {
        if ((fault.whom >> machine->id().value & 1) == 0) continue;
        cluster_.network().deafen_client(client, machine->id(), on);
      }
      return;
    case FaultKind::kClientCut:
      for (auto& machine : cluster_.machines()) {
        if ((fault.whom >> machine->id().value & 1) == 0) continue;
        workload_.cut(client, machine->id(), fault.how == 1);
      }
      return;
    case FaultKind::kClientKill:
      return on ? workload_.kill(client, fault.how == 1) : workload_.revive(client);
    default: return;
  }
}

}  // namespace holdfast::sim
