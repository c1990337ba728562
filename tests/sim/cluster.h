// Cluster: real Nodes, driven as the daemon's driver does it, over a simulated network and disks.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lockcore/node/node.h"
#include "tests/sim/checkers/claim_checker.h"
#include "tests/sim/checkers/leader_checker.h"
#include "tests/sim/checkers/log_checker.h"
#include "tests/sim/checkers/model_checker.h"
#include "tests/sim/checkers/state_checker.h"
#include "tests/sim/disk.h"
#include "tests/sim/options.h"
#include "tests/sim/world.h"

namespace holdfast::sim {

// What a client's call gets back. `unreachable`: the process died before it answered.
struct CallResult {
  bool unreachable = false;
  std::optional<locks::Answer> answer;  // of a command
  std::optional<node::RenewReply> renewal;
  std::optional<node::ReadReply> read;
  base::Revision revision;  // of the state that a read saw
};
using CallDone = std::function<void(const CallResult&)>;

class Cluster {
 public:
  Cluster(World& world, const Options& options);
  ~Cluster();

  uint32_t size() const { return options_.nodes; }
  // Client calls, subject to the network's delays and losses; `done` may never be called.
  void command(uint32_t node, locks::Command command, CallDone done);
  void renew(uint32_t node, std::vector<base::LeaseId> leases, CallDone done);
  void read(uint32_t node, CallDone done);

  void start_faults();
  void stop_faults();  // heals everything: all nodes up, all links whole
  // Asks the checkers that need a quiet cell: equal digests, nothing pending.
  void check_converged();
  std::optional<uint32_t> active_node() const;
  const locks::LockTable* table(uint32_t node) const;

 private:
  struct Link {
    uint64_t epoch = 0;  // of the connection; messages of an older one are lost
    bool up = false;
  };
  struct Machine {
    base::NodeId id;
    SkewedClock clock;
    std::unique_ptr<Disk> disk;
    std::unique_ptr<node::Node> node;  // null: down
    uint64_t process = 0;              // counts starts
    bool paused = false;
    int64_t resumed_at = 0;   // true time: of its start, or the end of its last pause
    int64_t leads_since = 0;  // true time
    base::Ballot leads_in;
    bool turn_planned = false;
    int64_t tick_planned_at = -1;  // true time of the earliest planned tick; -1: none
    bool log_busy = false;
    bool state_busy = false;
    std::vector<std::function<void()>> backlog;  // what arrived while paused
    struct Call {
      CallDone done;
      int64_t since;        // true time
      base::AnswerKey key;  // of a command
    };
    std::map<node::ClientRef, Call> calls;
    node::Effects fx;
    std::map<base::NodeId, Link> outgoing;
  };

  Machine& at(base::NodeId id) { return *machines_[id.value - 1]; }
  base::Instant now(const Machine& machine) const { return machine.clock.read(world_.now()); }
  // Runs `what` on the machine as an event of its loop, if the process is still the same.
  void deliver(Machine& machine, uint64_t process, std::function<void()> what);
  // A client's call, at the machine after the network's delay.
  using Ask = std::function<void(node::Node&, node::ClientRef, base::Instant, node::Effects&)>;
  void call(uint32_t node, base::AnswerKey key, Ask ask, CallDone done);
  void plan_turn(Machine& machine);
  void finish_turn(Machine& machine);
  void carry_out(Machine& machine);
  void check_leader(Machine& machine);
  void plan_tick(Machine& machine);
  void write_log(Machine& machine);
  void write_state(Machine& machine);
  int64_t disk_delay();

  void start(Machine& machine);
  void crash(Machine& machine);
  void resume(Machine& machine);  // what came while it stood still is delivered
  void lose_peer(Machine& machine, base::NodeId peer);
  void connect(Machine& from, Machine& to);
  struct Dialling;
  void greet(std::shared_ptr<Dialling> dialling);
  void disconnect(Machine& from, base::NodeId to);
  void send(Machine& from, paxos::Outgoing message);
  bool reachable(base::NodeId from, base::NodeId to) const;
  std::optional<int64_t> network_delay();

  void plan_fault(int64_t every_ms, void (Cluster::*fault)());
  void fault_crash();
  void fault_partition();
  void fault_pause();
  void fault_cut();

  World& world_;
  const Options options_;
  std::vector<std::unique_ptr<Machine>> machines_;
  std::set<std::pair<base::NodeId, base::NodeId>> blocked_;  // one-way
  bool faults_ = false;
  node::ClientRef next_ref_ = 1;
  ClaimChecker claim_checker_;
  LeaderChecker leader_checker_;
  ModelChecker model_checker_;
  LogChecker log_checker_;
  StateChecker state_checker_;
};

}  // namespace holdfast::sim
