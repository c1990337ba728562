// The operator: makes nodes join, promotes and removes them, moves the leader, as lockctl and a
// joining daemon do it, from what the cell tells alone.
#pragma once

#include <cstdint>

#include "tests/sim/cluster.h"
#include "tests/sim/world.h"

namespace holdfast::sim {

class Operator {
 public:
  Operator(World& world, Cluster& cluster)
      : world_(world), cluster_(cluster), random_(world.stream("operator")) {}

  // Asks again until it is so, or until `until_ms`: an act that is refused may be allowed later.
  void add(base::NodeId node, int64_t until_ms);  // as a learner, and then as a voter
  void remove(base::NodeId node, int64_t until_ms);
  void move(base::NodeId node, int64_t until_ms);  // another address
  void transfer(base::NodeId to);                  // 0: to anybody; once
  void stop() { stopped_ = true; }

 private:
  struct Act {
    enum class Kind : uint8_t { kAdd, kRemove, kMove } kind;
    base::NodeId node;
    int64_t until_ms;
    bool done = false;
  };
  void step(const std::shared_ptr<Act>& act);
  std::optional<node::AdminRequest> next_request(const Act& act);
  void on_answer(const std::shared_ptr<Act>& act, const node::AdminReply& reply);
  // Whom to ask: the leader, as somebody who asked around would know it; now and then another one.
  uint32_t whom();

  World& world_;
  Cluster& cluster_;
  base::Random random_;
  uint64_t moves_ = 0;
  bool stopped_ = false;
};

}  // namespace holdfast::sim
