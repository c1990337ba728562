// Clients: register, open a lease, lock, release, renew, give up, vanish and come back as another.
// Some speak with the nodes by hand, as a script does that renews with a command (client); those
// with the higher numbers are programs that use the library (library_client).
//
// Each judges by its own clock alone what it may believe; the belief checker compares by true time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/checkers/belief_checker.h"
#include "tests/sim/checkers/hold_checker.h"
#include "tests/sim/checkers/read_checker.h"
#include "tests/sim/cluster.h"
#include "tests/sim/connections.h"

namespace holdfast::sim {

class Client;
class LibraryClient;

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
  uint32_t size() const { return static_cast<uint32_t>(clients_.size() + programs_.size()); }
  void stand_still(uint32_t client, bool on);
  void set_clock_factor(uint32_t client, double factor);
  // The connections of a program; the program itself.
  void cut(uint32_t client, base::NodeId node, bool silently);
  void kill(uint32_t client, bool vanish);
  void revive(uint32_t client);
  void distrust_everybody() { beliefs_.distrust_everybody(); }
  void end_faults();

  uint64_t operations() const;
  uint64_t grants() const;

 private:
  LibraryClient* program(uint32_t client);
  std::optional<std::string> unsettled_leases() const;

  World& world_;
  Cluster& cluster_;
  const Options& options_;
  BeliefChecker beliefs_;
  ReadChecker reads_;
  HoldChecker holds_;
  Connections connections_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::unique_ptr<LibraryClient>> programs_;
};

}  // namespace holdfast::sim
