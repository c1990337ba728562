// Oracle over clocks, by their true rates: whoever surely runs at another rate than a majority, and
// had time and calm enough to find out, says so and doesn't lead; it leaves asking to others for
// a while; and nobody is accused whose clock keeps within ε as a majority's do.
#pragma once

#include <map>
#include <set>

#include "lockcore/paxos/replica.h"
#include "tests/sim/options.h"
#include "tests/sim/world.h"

namespace holdfast::sim {

class ClockChecker {
 public:
  ClockChecker(World& world, const Options& options) : world_(world), options_(options) {}

  void on_rate(base::NodeId node, double rate);  // of its clock from now on, by true time
  // A process starts, or goes on, or ends. Each means that readings may be missing.
  void on_started(base::NodeId node);
  void on_resumed() { calm_since_ = world_.now(); }
  void on_ended(base::NodeId node);
  // A fault that may keep nodes from measuring, or from handing over, begins or ends.
  void on_disturbed(bool begins);
  void on_faults_end();
  // A node's turn has ended.
  void on_turn(base::NodeId node, const paxos::Replica& replica, base::Instant own_clock);

 private:
  struct Node {
    double rate = 1;
    int64_t rate_since = 0;
    int64_t wild_until = -1;  // its clock last ran beyond ε; -1: never
    bool up = false;
    // As of its last turn. By its own clock.
    bool odd = false;
    paxos::Role role = paxos::Role::kFollower;
    base::Instant odd_since, had_leader_at;
  };

  bool is_good(const Node& node) const;
  bool must_know(const Node& self, const base::Config& config) const;
  void check_accusation(base::NodeId id, const paxos::Replica::ClockView& clock,
                        const base::Config& config);
  void check_asking(base::NodeId id, Node& node, const paxos::Replica& replica, bool odd,
                    base::Instant own_clock);

  World& world_;
  const Options& options_;
  std::map<base::NodeId, Node> nodes_;
  int disturbances_ = 0;  // under way
  int64_t calm_since_ = 0;
};

// How long a clock must have run at its rate, in calm weather, until its node must know: in ms.
int64_t patience_with_clocks_ms(const Options& options, double rate);

}  // namespace holdfast::sim
