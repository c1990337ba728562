// Links: the connections between machines, as TCP gives them. Who dials whom, who says hello, what
// is lost when a connection breaks.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "lockcore/paxos/replica.h"
#include "tests/sim/machine.h"
#include "tests/sim/network.h"
#include "tests/sim/oracles.h"
#include "tests/sim/world.h"

namespace holdfast::sim {

class Links {
 public:
  Links(World& world, Network& network, Oracles& oracles)
      : world_(world), network_(network), oracles_(oracles), random_(world.stream("links")) {}
  void add(Machine& machine) { machines_.push_back(&machine); }

  void on_started(Machine& machine);
  void on_ended(Machine& machine);
  // Closes its connections with nodes that aren't members of this configuration.
  void keep_members(Machine& machine, const base::Config& config);
  void send(Machine& from, paxos::Outgoing message);
  // The connection breaks. `in_the_middle`: what was under way may yet arrive until the other side
  // notices, each message or not.
  void cut(Machine& from, Machine& to, bool in_the_middle);

 private:
  struct Link {
    uint64_t epoch = 0;  // of the connection; messages of an older one are lost
    bool up = false;
    uint64_t leaks = 0;  // the broken connection of which some messages yet arrive; 0: none
  };
  struct Dialling;

  Link& link(const Machine& from, const Machine& to) {
    return links_[from.id().value][to.id().value];
  }
  void connect(Machine& from, Machine& to);
  void greet(const std::shared_ptr<Dialling>& dialling);
  void answer(const std::shared_ptr<Dialling>& dialling,
              const std::optional<paxos::Refusal>& refusal, const paxos::Hello& hello);
  void tell_lost(Machine& machine, Machine& peer);
  void lose_peer(Machine& machine, base::NodeId peer, base::Instant now, node::Effects& fx);
  void arrive(Machine& from, Machine& to, uint64_t epoch, uint64_t process,
              const paxos::Message& message);

  World& world_;
  Network& network_;
  Oracles& oracles_;
  base::Random random_;
  std::vector<Machine*> machines_;
  std::array<std::array<Link, kMaxNodes + 1>, kMaxNodes + 1> links_;  // by who sends, who receives
};

}  // namespace holdfast::sim
