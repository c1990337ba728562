#include "daemon/client_admin.h"

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "daemon/log.h"
#include "daemon/waiting_call.h"
#include "lockcore/base/limits.h"
#include "lockcore/locks/validate.h"
#include "rpc/address.h"
#include "rpc/convert.h"
#include "rpc/peer_convert.h"

namespace holdfast::daemon {
namespace {

using Contents = std::variant<node::AdminRequest, base::Error>;

base::Error refuse(std::string why) {
  return {base::ErrorCode::kInvalidArgument, std::move(why), {}};
}

// Where a member is reached: other nodes dial it as it stands here, for ever. In its own form.
std::optional<base::Error> check_address(std::string& text) {
  if (text.size() > base::kMaxAddressBytes || !locks::is_utf8(text)) {
    return refuse("an address is HOST:PORT, in UTF-8, and has at most " +
                  std::to_string(base::kMaxAddressBytes) + " bytes");
  }
  std::string why;
  const auto address = rpc::parse_address(text, why);
  if (!address) return refuse(why);
  if (address->kind != rpc::Address::Kind::kTcp || address->port == 0) {
    return refuse("'" + text + "' can't be reached from elsewhere: HOST:PORT is needed");
  }
  text = address->text();
  return std::nullopt;
}

std::string text(capnp::Text::Reader from) {
  return std::string(from.begin(), from.size());
}

Contents read_change(wire::MemberChange::Reader from) {
  const base::NodeId id{from.getNode()};
  switch (from.which()) {
    case wire::MemberChange::ADD: {
      std::string address = text(from.getAdd().getAddress());
      if (auto error = check_address(address)) return *error;
      return node::AdminRequest(
          node::AddMember{id, std::move(address), {from.getAdd().getIncarnation()}});
    }
    case wire::MemberChange::PROMOTE: return node::AdminRequest(node::PromoteMember{id});
    case wire::MemberChange::REMOVE: return node::AdminRequest(node::RemoveMember{id});
    case wire::MemberChange::UPDATE: {
      std::string address = text(from.getUpdate());
      if (auto error = check_address(address)) return *error;
      return node::AdminRequest(node::UpdateMember{id, std::move(address)});
    }
  }
  return base::Error{base::ErrorCode::kUnsupported, "this version knows no such change", {}};
}

}  // namespace

kj::Promise<void> transfer_leader(NodeAccess& access, TransferLeaderContext context) {
  const base::NodeId to{context.getParams().getTo()};
  context.allowCancellation();
  return wait_for_node<node::AdminReply>(
      access, [&](node::ClientRef ref) { access.admin(ref, node::TransferLeader{to}); },
      [context](const node::AdminReply& reply) mutable {
        auto results = context.getResults();
        if (reply.error) {
          rpc::fill_error(*reply.error, results.initError());
        } else {
          results.setLeader(reply.leader.value);
        }
      });
}

kj::Promise<void> change_member(NodeAccess& access, ChangeMemberContext context) {
  auto change = read_change(context.getParams().getChange());
  if (const auto* error = std::get_if<base::Error>(&change)) {
    rpc::fill_error(*error, context.getResults().initError());
    return kj::READY_NOW;
  }
  context.allowCancellation();
  return wait_for_node<node::AdminReply>(
      access, [&](node::ClientRef ref) { access.admin(ref, std::get<node::AdminRequest>(change)); },
      [context](const node::AdminReply& reply) mutable {
        auto results = context.getResults();
        if (reply.error) {
          rpc::fill_error(*reply.error, results.initError());
        } else {
          rpc::fill_config(reply.config, results.initConfig());
        }
      });
}

kj::Promise<void> hand_over(NodeAccess& access) {
  if (!access.node().active()) return kj::READY_NOW;
  return wait_for_node<node::AdminReply>(
      access, [&](node::ClientRef ref) { access.admin(ref, node::TransferLeader{}); },
      [](const node::AdminReply& reply) {
        if (reply.error) {
          log_warn("nobody takes over", {{"reason", reply.error->message}});
        } else {
          log_info("handed over", {{"leader", std::to_string(reply.leader.value)}});
        }
      });
}

}  // namespace holdfast::daemon
