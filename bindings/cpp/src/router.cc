// Router: connections, rounds of asking, hints, and the watch on a silent leader.
#include "bindings/cpp/src/router.h"

#include <algorithm>

namespace holdfast::client {

using base::Duration;
using base::Instant;
using base::kNever;

namespace {

std::string_view detail_of(const base::Error& error, std::string_view name) {
  for (const auto& [key, value] : error.detail) {
    if (key == name) return value;
  }
  return {};
}

uint64_t number_of(std::string_view text) {
  uint64_t value = 0;
  for (char digit : text) {
    if (digit < '0' || digit > '9') return 0;
    value = value * 10 + static_cast<uint64_t>(digit - '0');
  }
  return value;
}

}  // namespace

Router::Router(const std::vector<std::string>& endpoints, base::Random& random) : random_(random) {
  for (const std::string& address : endpoints) add_node(address);
}

// -- what is known --------------------------------------------------------------------------------

ConnectionId Router::leader() const {
  if (leader_ == kNone || nodes_[leader_].state != Node::State::kUp) return 0;
  return nodes_[leader_].connection;
}

const std::string& Router::leader_address() const {
  static const std::string kNobody;
  return leader_ == kNone ? kNobody : nodes_[leader_].address;
}

std::optional<uint32_t> Router::node_of(ConnectionId connection) const {
  for (uint32_t i = 0; i < nodes_.size(); ++i) {
    if (connection != 0 && nodes_[i].connection == connection) return i;
  }
  return std::nullopt;
}

std::string Router::complaint() const {
  std::string text;
  for (const Node& node : nodes_) {
    if (!text.empty()) text += "; ";
    // What the system said may begin with the address.
    if (!node.last_error.starts_with(node.address)) text += node.address + ": ";
    if (node.state == Node::State::kUp) {
      text += node.asked ? "no answer" : "knows no active leader";
    } else {
      text += node.last_error.empty() ? "not reached" : node.last_error;
    }
  }
  return text;
}

ConnectionId Router::anybody() const {
  for (const Node& node : nodes_) {
    if (node.state == Node::State::kUp) return node.connection;
  }
  return 0;
}

bool Router::any_up() const {
  return std::any_of(nodes_.begin(), nodes_.end(),
                     [](const Node& node) { return node.state == Node::State::kUp; });
}

// -- nodes ----------------------------------------------------------------------------------------

uint32_t Router::add_node(const std::string& address) {
  for (uint32_t i = 0; i < nodes_.size(); ++i) {
    if (nodes_[i].address == address) return i;
  }
  if (address.empty() || nodes_.size() >= kMaxNodes) return kNone;
  nodes_.push_back({});
  nodes_.back().address = address;
  return static_cast<uint32_t>(nodes_.size() - 1);
}

uint32_t Router::find(uint64_t id, const std::string& address) {
  // By id first: a node may be configured by another name than the one it advertises.
  for (uint32_t i = 0; i < nodes_.size(); ++i) {
    if (id != 0 && nodes_[i].id == id) return i;
  }
  return add_node(address);
}

void Router::connect(uint32_t index, Instant now, Effects& fx) {
  Node& node = nodes_[index];
  if (node.state == Node::State::kConnecting || node.state == Node::State::kUp) return;
  node.state = Node::State::kConnecting;
  node.connection = ++last_connection_;
  node.since = now;
  node.asked = false;
  fx.connects.push_back({node.connection, node.address});
}

void Router::fail(Node& node, const std::string& why, Instant now) {
  node.state = Node::State::kBackingOff;
  node.connection = 0;
  node.asked = false;
  node.last_error = why;
  // Growing waits are for a cell that is gone altogether. While others answer, this one is as
  // likely to be the next leader as any.
  Duration cap = any_up() ? kMaxBackoffBesideLiving : kMaxBackoff;
  node.backoff = std::min(std::max(node.backoff * 2, kMinBackoff), cap);
  // Jitter: clients that lost the same node don't come back in step.
  uint64_t half = static_cast<uint64_t>(node.backoff.ns / 2);
  node.retry_at = now + Duration{node.backoff.ns / 2 + static_cast<int64_t>(random_.below(half))};
  if (leader_ != kNone && &nodes_[leader_] == &node) lose_leader();
}

void Router::drop_silent(Node& node, const std::string& why, Instant now, Effects& fx) {
  fx.closes.push_back(node.connection);
  fail(node, why, now);
}

void Router::close_all(Effects& fx) {
  for (Node& node : nodes_) {
    if (node.connection != 0) fx.closes.push_back(node.connection);
    node.connection = 0;
    node.state = Node::State::kIdle;
    node.asked = false;
  }
  lose_leader();
  seeking_ = false;
}

// -- seeking --------------------------------------------------------------------------------------

void Router::seek(Instant now, Effects& fx, Questions& ask) {
  if (leader_ != kNone || seeking_) return;
  seeking_ = true;
  // A node that names itself active and yet refuses must not be asked without a pause.
  next_round_ = last_round_.ns == 0 ? now : std::max(now, last_round_ + kMinRound);
  if (next_round_ <= now) round(now, fx, ask);
}

void Router::round(Instant now, Effects& fx, Questions& ask) {
  for (uint32_t i = 0; i < nodes_.size(); ++i) {
    Node& node = nodes_[i];
    switch (node.state) {
      case Node::State::kIdle: connect(i, now, fx); break;
      case Node::State::kBackingOff:
        if (node.retry_at <= now) connect(i, now, fx);
        break;
      case Node::State::kConnecting:
        if (now - node.since >= kConnectTimeout) drop_silent(node, "connecting timed out", now, fx);
        break;
      case Node::State::kUp:
        if (!node.asked) {
          ask.push_back(i);
        } else if (now - node.asked_at >= kDeadConnection) {
          drop_silent(node, "does not answer", now, fx);
        }
        break;
    }
  }
  last_round_ = now;
  auto span = static_cast<uint64_t>((kMaxRound - kMinRound).ns);
  next_round_ = now + kMinRound + Duration{static_cast<int64_t>(random_.below(span))};
}

void Router::on_connected(ConnectionId connection, Instant now, Questions& ask) {
  std::optional<uint32_t> index = node_of(connection);
  if (!index) return;
  Node& node = nodes_[*index];
  node.state = Node::State::kUp;
  node.backoff = {};
  node.last_error.clear();
  if (*index == leader_) {
    last_heard_ = now;
  } else if (seeking_) {
    ask.push_back(*index);
  }
}

void Router::on_disconnected(ConnectionId connection, const std::string& why, Instant now) {
  if (std::optional<uint32_t> index = node_of(connection)) fail(nodes_[*index], why, now);
}

void Router::on_asked(uint32_t node, Instant now) {
  nodes_[node].asked = true;
  nodes_[node].asked_at = now;
}

bool Router::on_status(uint32_t index, const StatusResponse& status, const Load& load, Instant now,
                       Effects& fx) {
  Node& node = nodes_[index];
  node.asked = false;
  node.id = status.node.id;
  bool other_cell = status.active && cell_ != 0 && status.cell != cell_;
  // One that belongs elsewhere is no reason to leave a leader.
  if (other_cell && leader_ != kNone && index != leader_) return true;
  if (status.active && (other_cell || status.ballot >= best_ballot_)) {
    // Another cell's ballots have nothing to do with the old one's.
    cell_ = status.cell;
    best_ballot_ = status.ballot;
    if (index != leader_) follow(index, now);
    ping_until_ = kNever;
    patience_ = kPatience;
    sent_since_check_ = false;
    check_at_ = now + (load.ordinary ? kPatience * 2 : kQueuedPatience);
    return !other_cell;
  }
  // Ballots of active leaders only grow: one that was stopped, wakes, and still thinks that it
  // leads is not believed.
  if (index == leader_) lose_leader();
  if (seeking_ && status.leader != 0 && status.leader != status.node.id) {
    uint32_t hinted = find(status.leader, status.leader_address);
    // The named one says for itself whether it leads. Its address may be new, or have been
    // refused a moment ago.
    if (hinted != kNone && nodes_[hinted].state == Node::State::kIdle) connect(hinted, now, fx);
  }
  return true;
}

void Router::on_not_leader(ConnectionId connection, const base::Error& error, Instant now,
                           Effects& fx) {
  if (connection != leader()) return;  // a late word of one that isn't believed any more
  uint32_t before = leader_;
  lose_leader();
  take_hint(number_of(detail_of(error, "leaderId")), std::string(detail_of(error, "leader")), now,
            fx);
  if (leader_ == before) lose_leader();
}

void Router::take_hint(uint64_t id, const std::string& address, Instant now, Effects& fx) {
  if (hops_ >= kMaxHops || (id == 0 && address.empty())) return;
  uint32_t hinted = find(id, address);
  if (hinted == kNone) return;
  ++hops_;
  if (nodes_[hinted].state != Node::State::kUp) connect(hinted, now, fx);
  follow(hinted, now);
}

void Router::follow(uint32_t node, Instant now) {
  leader_ = node;
  seeking_ = false;
  last_heard_ = now;
  check_at_ = kNever;
  ping_until_ = kNever;
}

void Router::lose_leader() {
  leader_ = kNone;
  check_at_ = kNever;
  ping_until_ = kNever;
}

void Router::on_unavailable(ConnectionId connection) {
  if (connection == leader()) lose_leader();
}

// -- the watch on the leader ----------------------------------------------------------------------

void Router::on_sent(Duration patience, Instant now) {
  patience_ = std::min(patience_, patience);
  check_at_ = std::min(check_at_, now + patience);
  sent_since_check_ = true;
}

void Router::on_heard(ConnectionId connection, Instant now) {
  if (connection != leader()) return;
  last_heard_ = now;
  hops_ = 0;
}

void Router::check_leader(const Load& load, Instant now, Questions& ask) {
  if (!load.ordinary && !load.queued) {
    check_at_ = kNever;
    patience_ = kPatience;
    return;
  }
  Duration patience = load.ordinary || sent_since_check_ ? patience_ : kQueuedPatience;
  if (last_heard_ + patience > now) {
    check_at_ = last_heard_ + patience;
    return;
  }
  if (!nodes_[leader_].asked) ask.push_back(leader_);
  ping_until_ = now + std::max(kMinPingWait, std::min(kPingWait, patience / 2));
  check_at_ = kNever;
}

void Router::on_timer(const Load& load, Instant now, Effects& fx, Questions& ask) {
  if (leader_ != kNone && nodes_[leader_].state == Node::State::kConnecting &&
      now - nodes_[leader_].since >= kConnectTimeout) {
    drop_silent(nodes_[leader_], "connecting timed out", now, fx);
  }
  if (ping_until_ <= now) lose_leader();  // what lies with it stays there until another one leads
  if (leader() != 0 && check_at_ <= now) check_leader(load, now, ask);
  if (seeking_ && next_round_ <= now) round(now, fx, ask);
}

Instant Router::next_timer() const {
  Instant next = std::min(check_at_, ping_until_);
  if (seeking_) next = std::min(next, next_round_);
  if (leader_ != kNone && nodes_[leader_].state == Node::State::kConnecting) {
    next = std::min(next, nodes_[leader_].since + kConnectTimeout);
  }
  return next;
}

}  // namespace holdfast::client
