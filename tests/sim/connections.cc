#include "tests/sim/connections.h"

#include <algorithm>

#include "tests/sim/service.h"

namespace holdfast::sim {
namespace {

constexpr int64_t kRetransmit = 200 * kMs;  // TCP's least
constexpr int64_t kLastRetransmit = 2'000 * kMs;
constexpr double kSilentEnd = 0.2;  // of the processes of nodes: their machine is gone as well

}  // namespace

// -- one connection -------------------------------------------------------------------------------

bool Connection::is_blocked(const Pipe& pipe) const {
  const Network& network = network_.cluster_.network();
  if (machine_.deaf()) return true;
  return &pipe == &to_node_ ? !network.client_reaches(host_, node())
                            : !network.client_hears(host_, node());
}

void Connection::dial() {
  network_.world_.after(network_.delay(), [this, self = shared_from_this()] {
    if (broken_ || client_.expired()) return;
    // A machine that is down doesn't even refuse.
    const bool silent = !machine_.up() && network_.random_.chance(kSilentEnd);
    if (silent || is_blocked(to_node_) || is_blocked(to_client_)) {
      network_.world_.after(network_.draw_ns(200 * kMs, 1'000 * kMs), [self] { self->dial(); });
      return;
    }
    if (!machine_.up()) {
      broken_ = true;
      return tell_disconnected("refused", network_.delay());
    }
    process_ = machine_.process();
    transfer(to_client_, [this] {
      if (const auto client = client_.lock()) client->on_connected(id_);
    });
  });
}

void Connection::transfer(Pipe& pipe, std::function<void()> what) {
  if (broken_) return;
  World& world = network_.world_;
  pipe.last_at = std::max(pipe.last_at, world.now() + network_.delay());
  pipe.in_flight.push_back(std::move(what));
  world.after(pipe.last_at - world.now(),
              [this, &pipe, self = shared_from_this()] { arrive(pipe); });
}

void Connection::arrive(Pipe& pipe) {
  if (broken_ || network_.world_.failed()) return;
  if (is_blocked(pipe)) {
    network_.world_.after(network_.draw_ns(20 * kMs, kRetransmit),
                          [this, &pipe, self = shared_from_this()] { arrive(pipe); });
    return;
  }
  const auto what = std::move(pipe.in_flight.front());
  pipe.in_flight.pop_front();
  what();
}

void Connection::send(client::RequestId request, const client::Request& body) {
  transfer(to_node_, [this, request, body] {
    machine_.deliver(
        process_, [self = shared_from_this(), request, body](
                      node::Node&, base::Instant, node::Effects&) { self->take(request, body); });
  });
}

void Connection::take(client::RequestId request, const client::Request& body) {
  const auto answer = [this, request, self = shared_from_this()](client::Response response) {
    calls_.erase(request);
    transfer(to_client_, [this, request, response = std::move(response)] {
      if (const auto client = client_.lock()) client->on_response(request, response);
    });
  };
  if (std::holds_alternative<locks::Command>(body) && network_.cluster_.network().refuses()) {
    return answer(base::Error{base::ErrorCode::kResourceExhausted, "at a limit", {}});
  }
  if (const auto call = serve(machine_, body, answer)) calls_[request] = *call;
}

void Connection::drop(client::RequestId request) {
  transfer(to_node_, [this, request] {
    machine_.deliver(
        process_, [self = shared_from_this(), request](node::Node&, base::Instant, node::Effects&) {
          const auto call = self->calls_.find(request);
          if (call == self->calls_.end()) return;
          self->machine_.drop(call->second);
          self->calls_.erase(call);
        });
  });
}

void Connection::drop_calls() {
  machine_.deliver(process_,
                   [self = shared_from_this()](node::Node&, base::Instant, node::Effects&) {
                     for (const auto& [request, call] : std::exchange(self->calls_, {})) {
                       self->machine_.drop(call);
                     }
                   });
}

void Connection::close() {
  client_.reset();
  transfer(to_node_, [this] {
    broken_ = true;
    drop_calls();
  });
}

void Connection::vanish() {
  client_.reset();
  broken_ = true;
  network_.world_.after(network_.until_noticed(true),
                        [self = shared_from_this()] { self->drop_calls(); });
}

void Connection::cut(const std::string& why, bool silently) {
  if (broken_) return;
  broken_ = true;
  tell_disconnected(why, network_.until_noticed(silently));
  network_.world_.after(network_.until_noticed(silently),
                        [self = shared_from_this()] { self->drop_calls(); });
}

void Connection::tell_disconnected(const std::string& why, int64_t delay_ns) {
  network_.world_.after(delay_ns, [this, why, self = shared_from_this()] {
    const auto client = client_.lock();
    client_.reset();
    if (client && !network_.world_.failed()) client->on_disconnected(id_, why);
  });
}

// -- all of them ----------------------------------------------------------------------------------

Connections::Connections(World& world, Cluster& cluster)
    : world_(world), cluster_(cluster), random_(world.stream("connections")) {
  for (auto& machine : cluster.machines()) {
    machine->set_on_end([this, id = machine->id()] { on_end(id); });
  }
}

std::shared_ptr<Connection> Connections::open(std::weak_ptr<ConnectionEvents> client, uint32_t host,
                                              client::ConnectionId id, const std::string& address) {
  constexpr size_t kPrefix = 4;  // "node3:1"
  Machine& machine = *cluster_.machines()[std::stoul(address.substr(kPrefix)) - 1];
  auto connection = std::make_shared<Connection>(*this, std::move(client), host, id, machine);
  std::erase_if(connections_, [](const auto& other) { return other.expired(); });
  connections_.push_back(connection);
  connection->dial();
  return connection;
}

// A lost packet is sent again, later and later.
int64_t Connections::delay() {
  int64_t ns = 0;
  for (int64_t wait = kRetransmit;; wait *= 2) {
    const auto once = cluster_.network().delay();
    if (once || wait > kLastRetransmit) return ns + once.value_or(0);
    ns += wait;
  }
}

int64_t Connections::until_noticed(bool silently) {
  return silently ? draw_ns(500 * kMs, 8'000 * kMs) : draw_ns(50 * kUs, 5'000 * kUs);
}

void Connections::cut(uint32_t host, base::NodeId node, bool silently) {
  for (size_t i = 0; i < connections_.size(); ++i) {
    const auto connection = connections_[i].lock();
    if (connection && connection->host() == host && connection->node() == node) {
      connection->cut("cut", silently);
    }
  }
}

void Connections::on_end(base::NodeId node) {
  const bool silently = random_.chance(kSilentEnd);
  for (size_t i = 0; i < connections_.size(); ++i) {
    const auto connection = connections_[i].lock();
    if (connection && connection->node() == node) connection->cut("reset", silently);
  }
}

}  // namespace holdfast::sim
