// Clients: register, open a lease, lock, release, renew, give up, vanish and come back as another.
//
// Each judges by its own clock alone what it may believe; the belief checker compares by true time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/checkers/belief_checker.h"
#include "tests/sim/checkers/read_checker.h"
#include "tests/sim/cluster.h"

namespace holdfast::sim {

class Client;

class Workload {
 public:
  Workload(World& world, Cluster& cluster, const Options& options);
  ~Workload();
  void start();
  // No new work: what is under way is finished.
  void drain();
  // After a drain: what is still not answered, if anything isn't.
  std::optional<std::string> unsettled() const;

  // -- faults of clients --------------------------------------------------------------------------
  uint32_t size() const { return static_cast<uint32_t>(clients_.size()); }
  void stand_still(uint32_t client, bool on);
  void set_clock_factor(uint32_t client, double factor);
  void distrust_everybody() { beliefs_.distrust_everybody(); }
  void end_faults();

  uint64_t operations() const;
  uint64_t grants() const;

 private:
  World& world_;
  Cluster& cluster_;
  BeliefChecker beliefs_;
  ReadChecker reads_;
  std::vector<std::unique_ptr<Client>> clients_;
};

}  // namespace holdfast::sim
