// Injector: carries out the faults of a schedule, and ends them.
#pragma once

#include "tests/sim/cluster.h"
#include "tests/sim/fault.h"
#include "tests/sim/operator.h"
#include "tests/sim/workload.h"
#include "tests/sim/world.h"

namespace holdfast::sim {

class Injector {
 public:
  Injector(World& world, Cluster& cluster, Workload& workload, Faults faults);
  void start();
  // Heals everything: all nodes up, all links whole, clocks within ε.
  void stop();

 private:
  void begin(Fault fault);  // its targets become those who they are now
  void end(const Fault& fault);
  void on_network(const Fault& fault, bool on);
  void on_machine(const Fault& fault, Machine& machine, bool on);
  void on_client(const Fault& fault, uint32_t client, bool on);
  void on_members(const Fault& fault);
  void cut(const Fault& fault);
  void storm(Machine& machine, int64_t until, int64_t every_ms);
  void wipe(Machine& machine);
  void copy(Machine& machine, int64_t for_ms);
  void rot(const Fault& fault, Machine& machine);
  void put_back(Machine& machine, std::unique_ptr<Disk> copy);
  Targets present(Targets targets);
  template <class Visit>
  void for_each_pair(const Fault& fault, Visit visit);

  World& world_;
  Cluster& cluster_;
  Workload& workload_;
  Operator operator_;
  const Faults faults_;
  base::Random random_;
  bool stopped_ = false;
  base::NodeId last_leader_{1};
};

}  // namespace holdfast::sim
