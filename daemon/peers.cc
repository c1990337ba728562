#include "daemon/peers.h"

#include <algorithm>

#include <fmt/format.h>

#include "daemon/random.h"
#include "lockcore/base/assert.h"
#include "rpc/peer_link.h"
#include "rpc/peer_server.h"

namespace holdfast::daemon {
namespace {

constexpr auto kRepeatNotices = base::Duration::from_ms(30'000);

}  // namespace

Peers::Peers(rpc::UvEventPort& port, base::NodeId self, PeerHandler& handler)
    : port_(port), self_(self), handler_(handler), throttle_(kRepeatNotices) {
  rpc::PeerServerEvents events;
  events.hello = [this] { return handler_.hello(); };
  events.on_hello = [this](const paxos::Hello& peer) {
    auto refusal = admit(peer);
    if (!refusal) set_inbound(peer.node, true);
    return refusal;
  };
  events.on_message = [this](base::NodeId from, paxos::Message message) {
    handler_.on_message(from, std::move(message));
  };
  events.on_down = [this](base::NodeId peer) { set_inbound(peer, false); };
  events.notices = log_notices(throttle_);
  server_ = std::make_unique<rpc::PeerServer>(std::move(events));
}

Peers::~Peers() = default;

void Peers::set_members(const std::vector<base::Member>& members) {
  std::vector<base::NodeId> ids;
  for (const base::Member& member : members) ids.push_back(member.id);
  server_->keep_only(ids);
  std::erase_if(peers_, [&](const auto& peer) {
    return std::ranges::find(members, peer.first, &base::Member::id) == members.end();
  });
  for (const base::Member& member : members) {
    if (member.id == self_) continue;
    Peer& peer = peers_[member.id];
    if (peer.link == nullptr || peer.address != member.address) dial(member);
  }
}

void Peers::dial(const base::Member& member) {
  base::NodeId id = member.id;
  std::string why;
  auto address = rpc::parse_address(member.address, why);
  if (!address) {  // a later version's way to write it, or a founding record made by hand
    log_error("a member's address can't be dialled",
              {{"node", std::to_string(id.value)}, {"address", member.address}, {"reason", why}});
    return;
  }
  rpc::PeerLinkEvents events;
  events.hello = [this] { return handler_.hello(); };
  events.on_up = [this, id](const paxos::Hello& peer) -> std::optional<paxos::Refusal> {
    if (peer.node != id) {
      return paxos::Refusal{
          fmt::format("node {} answers where node {} is expected: "
                      "their addresses in --cluster are mixed up",
                      peer.node.value, id.value)};
    }
    auto refusal = admit(peer);
    if (!refusal) set_outbound(id, true);
    return refusal;
  };
  events.on_refused = [this, id](const paxos::Refusal& refusal) {
    handler_.on_refused(id, refusal);
  };
  events.on_down = [this, id](const std::string& why_down) {
    log_info("the link to a node is down",
             {{"node", std::to_string(id.value)}, {"reason", why_down}});
    set_outbound(id, false);
  };
  events.notices = log_notices(throttle_);
  Peer& peer = peers_[id];
  peer.address = member.address;
  peer.link =
      std::make_unique<rpc::PeerLink>(port_, id, *address, random_number(), std::move(events));
}

void Peers::send(base::NodeId to, paxos::Message message) {
  auto found = peers_.find(to);
  if (found != peers_.end() && found->second.link) found->second.link->send(std::move(message));
}

void Peers::flush() {
  for (auto& [id, peer] : peers_) {
    if (peer.link) peer.link->flush();
  }
}

std::optional<paxos::Refusal> Peers::admit(const paxos::Hello& peer) {
  auto refusal = handler_.on_hello(peer);
  if (!refusal) {
    follow_address(peer);
    return std::nullopt;
  }
  std::string node = std::to_string(peer.node.value);
  if (auto held_back = throttle_.admit(node + refusal->reason, rpc::boottime_now())) {
    log_warn("refused a node", {{"node", node},
                                {"address", peer.address},
                                {"reason", refusal->reason},
                                {"again", std::to_string(*held_back)}});
  }
  return refusal;
}

// A member that moved says so itself, before the cell is told, or while we haven't heard of it yet.
void Peers::follow_address(const paxos::Hello& peer) {
  auto found = peers_.find(peer.node);
  if (found == peers_.end() || !found->second.link || found->second.outbound) return;
  std::string why;
  auto address = rpc::parse_address(peer.address, why);
  if (address && address->kind == rpc::Address::Kind::kTcp) found->second.link->also_try(*address);
}

void Peers::set_inbound(base::NodeId id, bool up) {
  auto found = peers_.find(id);
  if (found == peers_.end()) return;
  Peer& peer = found->second;
  peer.inbound = up;
  // It has just been able to dial us: no reason to wait for the end of our own backoff.
  if (up && !peer.outbound && peer.link) peer.link->hurry();
  if (!up && !peer.outbound) handler_.on_peer_lost(id);
}

void Peers::set_outbound(base::NodeId id, bool up) {
  Peer& peer = peers_.at(id);
  peer.outbound = up;
  if (up) {
    log_info("the link to a node is up",
             {{"node", std::to_string(id.value)}, {"address", peer.address}});
  }
  if (!up && !peer.inbound) handler_.on_peer_lost(id);
}

}  // namespace holdfast::daemon
