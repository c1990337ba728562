#include "rpc/peer_server.h"

#include <kj/debug.h>

#include <algorithm>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "rpc/limits.h"
#include "rpc/peer_convert.h"

namespace holdfast::rpc {

// Shared with the links, which may outlive the server while their connections last.
struct PeerServer::State {
  PeerServerEvents events;
  std::unordered_map<base::NodeId, std::unordered_set<Link*>> links;  // of admitted peers
  bool serving = true;
};

class PeerServer::Link final : public wire::peer::Link::Server {
 public:
  Link(std::shared_ptr<State> state, base::NodeId peer,
       std::shared_ptr<ConnectionHandle> connection)
      : state_(std::move(state)), peer_(peer), connection_(std::move(connection)) {
    state_->links[peer_].insert(this);
  }

  ~Link() noexcept(false) {
    const auto found = state_->links.find(peer_);
    found->second.erase(this);
    if (!found->second.empty()) return;
    state_->links.erase(found);
    if (state_->serving) state_->events.on_down(peer_);
  }
  KJ_DISALLOW_COPY(Link);

  void close() { connection_->close("the cell has no such member any more"); }

  kj::Promise<void> deliver(DeliverContext context) override {
    auto messages = context.getParams().getMessages();
    KJ_REQUIRE(messages.size() <= kMaxMessagesPerDelivery, "too many messages in a delivery");
    std::string why;
    size_t bytes = 0;
    for (auto wire : messages) {
      if (!state_->serving) break;
      if (auto message = read_message(wire, why)) {
        bytes += wire_bytes(*message);
        state_->events.on_message(peer_, std::move(*message));
      } else if (!why.empty()) {
        tell_damage(why);
      }
    }
    context.releaseParams();
    // Held back, it must not keep this object when the connection has ended.
    context.allowCancellation();
    return answered(bytes);
  }

 private:
  // When the delivery is to be answered: with its group's last one. Nothing waits for an answer but
  // the sender's window, which is much wider than a group.
  kj::Promise<void> answered(size_t bytes) {
    if (held_back_ == 0) {
      auto paf = kj::newPromiseAndFulfiller<void>();
      group_answered_ = paf.promise.fork();
      answer_group_ = kj::mv(paf.fulfiller);
    }
    ++held_back_;
    held_back_bytes_ += bytes;
    if (held_back_ < kDeliveriesPerAnswer && held_back_bytes_ < kDeliveryBytesPerAnswer) {
      return group_answered_.addBranch();
    }
    held_back_ = 0;
    held_back_bytes_ = 0;
    answer_group_->fulfill();
    return kj::READY_NOW;
  }

  void tell_damage(const std::string& why) {
    if (told_) return;
    told_ = true;
    if (!state_->events.notices) return;
    state_->events.notices(Severity::kError, "node " + std::to_string(peer_.value) +
                                                 " sent a message that was dropped: " + why);
  }

  std::shared_ptr<State> state_;
  const base::NodeId peer_;
  const std::shared_ptr<ConnectionHandle> connection_;
  bool told_ = false;  // of a damaged message, once a link
  // Deliveries whose answers are held back, since the last group's end.
  size_t held_back_ = 0;
  size_t held_back_bytes_ = 0;
  kj::ForkedPromise<void> group_answered_ = nullptr;
  kj::Own<kj::PromiseFulfiller<void>> answer_group_;
};

PeerServer::PeerServer(PeerServerEvents events) : state_(std::make_shared<State>()) {
  state_->events = std::move(events);
}

PeerServer::~PeerServer() noexcept(false) {
  state_->serving = false;
}

kj::Promise<void> PeerServer::peer(Context context, std::shared_ptr<ConnectionHandle> connection) {
  const auto hello = read_hello(context.getParams().getHello());
  KJ_REQUIRE(hello.has_value() && hello->node, "this is not a hello");
  const std::optional<paxos::Refusal> refusal = state_->events.on_hello(*hello);
  auto results = context.getResults();
  fill_hello(state_->events.hello(), results.initHello());
  if (refusal) {
    fill_refusal(*refusal, results.initRefusal());
    return kj::READY_NOW;
  }
  connection->admit_peer();
  results.setLink(kj::heap<Link>(state_, hello->node, std::move(connection)));
  return kj::READY_NOW;
}

size_t PeerServer::links(base::NodeId peer) const {
  const auto found = state_->links.find(peer);
  return found == state_->links.end() ? 0 : found->second.size();
}

void PeerServer::keep_only(const std::vector<base::NodeId>& peers) {
  for (auto& [peer, links] : state_->links) {
    if (std::ranges::find(peers, peer) != peers.end()) continue;
    for (Link* link : links) link->close();  // at the end of this turn
  }
}

}  // namespace holdfast::rpc
