#include "tests/sim/operator.h"

#include <memory>
#include <utility>

namespace holdfast::sim {

uint32_t Operator::whom() {
  const base::NodeId leader = cluster_.leader();
  if (leader && random_.chance(0.9)) return static_cast<uint32_t>(leader.value - 1);
  return static_cast<uint32_t>(random_.below(cluster_.size()));
}

void Operator::add(base::NodeId node, int64_t until_ms) {
  step(std::make_shared<Act>(Act{Act::Kind::kAdd, node, until_ms}));
}
void Operator::remove(base::NodeId node, int64_t until_ms) {
  step(std::make_shared<Act>(Act{Act::Kind::kRemove, node, until_ms}));
}
void Operator::move(base::NodeId node, int64_t until_ms) {
  step(std::make_shared<Act>(Act{Act::Kind::kMove, node, until_ms}));
}

void Operator::transfer(base::NodeId to) {
  if (stopped_) return;
  cluster_.admin(whom(), node::TransferLeader{to}, [](const CallResult&) {});
}

// What is asked next follows from what the chosen log says, which an operator sees in `members`.
std::optional<node::AdminRequest> Operator::next_request(const Act& act) {
  const base::Config& config = cluster_.config();
  const base::Member* member = config.find(act.node);
  Machine& machine = *cluster_.machines()[act.node.value - 1];
  const std::string address = "node" + std::to_string(act.node.value) + ":1";
  switch (act.kind) {
    case Act::Kind::kRemove:
      if (member == nullptr) return std::nullopt;
      return node::RemoveMember{act.node};
    case Act::Kind::kMove:
      if (member == nullptr) return std::nullopt;
      return node::UpdateMember{act.node, address + std::to_string(++moves_)};
    case Act::Kind::kAdd: break;
  }
  if (config.has_removed(act.node)) return std::nullopt;
  const bool empty =
      machine.up() && machine.node()->replica().founding() == base::FoundingState::kEmpty;
  // The operator may be the first to name it; the node itself says which disk it has.
  if (member == nullptr && random_.chance(0.3)) {
    return node::AddMember{act.node, address, {}};
  }
  if (empty) return node::AddMember{act.node, address, machine.node()->hello().incarnation};
  if (member != nullptr && !member->voter) return node::PromoteMember{act.node};
  return std::nullopt;
}

void Operator::step(const std::shared_ptr<Act>& act) {
  if (stopped_ || act->done || world_.now() / kMs > act->until_ms) return;
  if (auto request = next_request(*act)) {
    cluster_.admin(whom(), std::move(*request), [this, act](const CallResult& result) {
      if (result.admin) on_answer(act, *result.admin);
    });
  }
  world_.after(static_cast<int64_t>(random_.between(20, 400)) * kMs, [this, act] { step(act); });
}

void Operator::on_answer(const std::shared_ptr<Act>& act, const node::AdminReply& reply) {
  if (reply.error) {
    if (world_.tracing()) world_.trace("the operator is told: " + reply.error->message);
    return;
  }
  if (act->kind != Act::Kind::kAdd) {
    act->done = true;
    return;
  }
  // The answer is the joining node's to take.
  Machine& machine = *cluster_.machines()[act->node.value - 1];
  const base::Member* member = reply.config.find(act->node);
  if (!machine.up() || member == nullptr || !member->incarnation || member->voter) return;
  machine.deliver(machine.process(),
                  [config = reply.config](node::Node& node, base::Instant now, node::Effects& fx) {
                    node.on_joined(config, now, fx);
                  });
}

}  // namespace holdfast::sim
