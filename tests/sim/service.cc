#include "tests/sim/service.h"

#include <utility>

#include "lockcore/base/lease_text.h"
#include "lockcore/base/limits.h"

namespace holdfast::sim {
namespace {

using Answer = std::function<void(client::Response)>;

std::string address_of(base::NodeId id) {
  return "node" + std::to_string(id.value) + ":1";
}

client::StatusResponse status_of(base::NodeId id, const node::Node& node) {
  const paxos::Replica& replica = node.replica();
  client::StatusResponse status;
  status.node.id = id.value;
  status.node.address = address_of(id);
  status.node.role = paxos::role_name(replica.role());
  status.node.chosen = replica.chosen_upto().value;
  status.node.applied = node.table().meta().applied.value;
  status.cell = replica.config().cell.value;
  status.revision = node.table().meta().revision.value;
  status.ballot = replica.ballot();
  status.active = node.active();
  status.leader = replica.leader().value;
  for (const base::Member& member : replica.config().members) {
    status.members.push_back({member.id.value, member.address, member.voter});
    if (member.id == replica.leader()) status.leader_address = member.address;
  }
  return status;
}

client::Response describe(const locks::LockTable& table, const std::string& name) {
  const locks::LockInfo from = table.describe(name);
  LockInfo to;
  to.name = from.name;
  if (!from.holders.empty()) to.mode = base::mode_name(from.mode);
  to.revision = from.revision.value;
  for (const locks::HolderInfo& holder : from.holders) {
    to.holders.push_back({.lease = base::lease_text(holder.lease),
                          .holder = holder.holder.value,
                          .mode = base::mode_name(holder.mode),
                          .token = holder.token.value});
  }
  for (const locks::WaiterInfo& waiter : from.waiters) {
    to.waiters.push_back({.lease = base::lease_text(waiter.lease),
                          .holder = waiter.holder.value,
                          .mode = base::mode_name(waiter.mode)});
  }
  return to;
}

client::Response renewed(const node::RenewReply& reply) {
  if (reply.error) return *reply.error;
  client::RenewResponse to;
  for (const node::Renewal renewal : reply.leases) {
    to.alive.push_back(renewal == node::Renewal::kAlive);
  }
  return to;
}

// One of each kind of request, put before the node.
struct Server {
  Machine& machine;
  const Answer answer;
  using Ref = std::optional<node::ClientRef>;

  Ref operator()(locks::Command command) const {
    if (auto* open = std::get_if<locks::OpenLease>(&command.body)) {
      open->secret.assign(base::kSecretBytes, 's');
    }
    const base::AnswerKey key{command.op.client, command.op.number};
    return machine.call(
        key,
        [&command](node::Node& node, node::ClientRef ref, base::Instant now, node::Effects& fx) {
          node.on_command(ref, std::move(command), now, fx);
        },
        [answer = answer](const CallResult& result) {
          if (result.answer) answer(*result.answer);
        });
  }
  Ref operator()(const client::RegisterRequest&) const {
    return (*this)(locks::Command{{}, locks::RegisterClient{}});
  }
  Ref operator()(const client::RenewRequest& request) const {
    return machine.call(
        {},
        [&request](node::Node& node, node::ClientRef ref, base::Instant now, node::Effects& fx) {
          node.on_renew(ref, {request.leases, request.client}, now, fx);
        },
        [answer = answer](const CallResult& result) {
          if (result.renewal) answer(renewed(*result.renewal));
        });
  }
  Ref operator()(const client::DescribeRequest& request) const {
    return machine.call(
        {},
        [](node::Node& node, node::ClientRef ref, base::Instant now, node::Effects& fx) {
          node.on_read(ref, now, fx);
        },
        [*this, name = request.name](const CallResult& result) {
          if (!result.read) return;
          if (result.read->error) return answer(*result.read->error);
          answer(describe(machine.node()->table(), name));
        });
  }
  Ref operator()(const client::StatusRequest&) const {
    answer(status_of(machine.id(), *machine.node()));
    return std::nullopt;
  }
  template <class Other>
  Ref operator()(const Other&) const {
    answer(client::CallFailed{Code::unsupported, "not in the simulator"});
    return std::nullopt;
  }
};

}  // namespace

std::optional<node::ClientRef> serve(Machine& machine, const client::Request& request,
                                     std::function<void(client::Response)> answer) {
  return std::visit(Server{machine, std::move(answer)}, request);
}

}  // namespace holdfast::sim
