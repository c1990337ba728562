// Cluster: the machines of one cell, the network between them, and what clients ask of them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/links.h"
#include "tests/sim/machine.h"
#include "tests/sim/network.h"
#include "tests/sim/options.h"
#include "tests/sim/oracles.h"
#include "tests/sim/world.h"

namespace holdfast::sim {

class Cluster {
 public:
  Cluster(World& world, const Options& options);

  uint32_t size() const { return static_cast<uint32_t>(machines_.size()); }
  // Calls of clients, subject to the network's delays and losses; `done` may never be called.
  void command(uint32_t client, uint32_t node, locks::Command command, CallDone done);
  void renew(uint32_t client, uint32_t node, std::vector<base::LeaseId> leases, CallDone done);
  // `here`: by whichever node, else by the leader.
  void read(uint32_t client, uint32_t node, bool here, CallDone done);
  void admin(uint32_t node, node::AdminRequest request, CallDone done);

  std::vector<std::unique_ptr<Machine>>& machines() { return machines_; }
  Network& network() { return network_; }
  Links& links() { return links_; }
  FenceChecker& fence() { return oracles_.fence; }
  ModelChecker& model() { return oracles_.model; }
  ClockChecker& clocks() { return oracles_.clocks; }

  // Who belongs to the cell, by what is chosen.
  const base::Config& config() const { return oracles_.log.config(); }
  // Whether the cell is quiet: a leader, nothing pending, and everybody has applied what the leader
  // had at the last look. (It goes on: leases are renewed, and checkpointed.) Else says what isn't.
  std::optional<std::string> unsettled();
  std::optional<uint32_t> active_node() const;
  // Who leads, or would say so; 0: nobody.
  base::NodeId leader() const;
  const locks::LockTable* table(uint32_t node) const;

 private:
  void call(uint32_t client, uint32_t node, base::AnswerKey key, Ask ask, CallDone done,
            bool here = false);
  std::optional<std::string> unsettled(const Machine& machine,
                                       const locks::LockTable& leader) const;

  World& world_;
  const Options& options_;
  Network network_;
  Oracles oracles_;
  Links links_;
  std::vector<std::unique_ptr<Machine>> machines_;
  base::Slot looked_at_;  // the leader had applied through here at the last look
};

}  // namespace holdfast::sim
