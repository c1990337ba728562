// Connections: what lies between programs that use the client library and the nodes.
//
// A connection is TCP's: what is sent arrives in order, late if packets are lost, or never, once
// the connection is broken; each end hears of that in its own time. Calls have the meaning that
// Cap'n Proto gives them: answered in any order; dropped by the caller or with the connection,
// which ends the notification and never what the call asked for.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bindings/cpp/src/messages.h"
#include "tests/sim/cluster.h"
#include "tests/sim/world.h"

namespace holdfast::sim {

class Connections;

// The end at the client. Nothing comes any more after on_disconnected(), or after its close().
class ConnectionEvents {
 public:
  virtual void on_connected(client::ConnectionId connection) = 0;
  virtual void on_disconnected(client::ConnectionId connection, const std::string& why) = 0;
  virtual void on_response(client::RequestId request, const client::Response& response) = 0;

 protected:
  ~ConnectionEvents() = default;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Connections& network, std::weak_ptr<ConnectionEvents> client, uint32_t host,
             client::ConnectionId id, Machine& machine)
      : network_(network), client_(std::move(client)), host_(host), id_(id), machine_(machine) {}
  void dial();
  void send(client::RequestId request, const client::Request& body);
  void drop(client::RequestId request);
  // The node hears of it after all that was sent before.
  void close();
  // The client's machine is gone, and says nothing about it.
  void vanish();

  // Broken underneath both. `silently`: they find out seconds later.
  void cut(const std::string& why, bool silently);
  bool over() const { return broken_; }
  uint32_t host() const { return host_; }
  base::NodeId node() const { return machine_.id(); }

 private:
  struct Pipe {
    int64_t last_at = 0;
    std::deque<std::function<void()>> in_flight;
  };
  bool is_blocked(const Pipe& pipe) const;
  void transfer(Pipe& pipe, std::function<void()> what);
  void arrive(Pipe& pipe);
  void take(client::RequestId request, const client::Request& body);
  void drop_calls();
  void tell_disconnected(const std::string& why, int64_t delay_ns);

  Connections& network_;
  std::weak_ptr<ConnectionEvents> client_;  // empty: it has closed
  const uint32_t host_;
  const client::ConnectionId id_;
  Machine& machine_;
  uint64_t process_ = 0;  // of the machine; 0: not connected yet
  bool broken_ = false;   // nothing arrives any more at either end
  Pipe to_node_, to_client_;
  std::map<client::RequestId, node::ClientRef> calls_;  // at the node, not answered yet
};

class Connections {
 public:
  Connections(World& world, Cluster& cluster);
  std::shared_ptr<Connection> open(std::weak_ptr<ConnectionEvents> client, uint32_t host,
                                   client::ConnectionId id, const std::string& address);
  // Those of this client with this node.
  void cut(uint32_t host, base::NodeId node, bool silently);

 private:
  friend class Connection;
  int64_t delay();
  int64_t draw_ns(uint64_t low_ns, uint64_t high_ns) {
    return static_cast<int64_t>(random_.between(low_ns, high_ns));
  }
  int64_t until_noticed(bool silently);
  void on_end(base::NodeId node);

  World& world_;
  Cluster& cluster_;
  base::Random random_;
  std::vector<std::weak_ptr<Connection>> connections_;
};

}  // namespace holdfast::sim
