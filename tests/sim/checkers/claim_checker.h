// Oracle over messages: what a node says of itself is durable on its disk already (P1, P2), and one
// whose disk is damaged says nothing that anybody could count on (P11).
#pragma once

#include "lockcore/paxos/message.h"
#include "tests/sim/disk.h"
#include "tests/sim/world.h"

namespace holdfast::sim {

class ClaimChecker {
 public:
  explicit ClaimChecker(World& world) : world_(world) {}
  void on_said(base::NodeId node, const Disk& disk, const paxos::Message& message);

 private:
  World& world_;
};

}  // namespace holdfast::sim
