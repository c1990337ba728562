// Transport: the core's connections and requests as Cap'n Proto calls.
//
// Nothing that arrives is handed to the core at once: it is put aside as plain data, and the engine
// takes it at the end of the loop's turn. By then no promise of ours is running, so the core may
// send and drop whatever it likes, and what a turn brought is answered in one write.
#pragma once

#include <kj/async.h>

#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "bindings/cpp/src/messages.h"
#include "rpc/connection.h"
#include "rpc/holdfast.capnp.h"
#include "rpc/uv_event_port.h"

namespace holdfast::client {

class Transport {
 public:
  struct Connected {
    ConnectionId connection = 0;
  };
  struct Disconnected {
    ConnectionId connection = 0;
    std::string why;
  };
  struct Arrived {
    RequestId request = 0;
    Response response;
  };
  using Event = std::variant<Arrived, Connected, Disconnected>;

  explicit Transport(rpc::UvEventPort& port) : port_(port) {}

  void connect(ConnectionId connection, const std::string& address);
  void close(ConnectionId connection);
  void send(ConnectionId connection, RequestId request, const Request& body);
  void drop(RequestId request);

  // What has happened since the last call, in order. Swaps, so that the memory is kept.
  void take_events(std::vector<Event>& events);
  bool has_events() const { return !events_.empty(); }

 private:
  struct Link {
    kj::Own<rpc::Client> client;  // null: still connecting
    wire::Cell::Client cell = nullptr;
    std::unordered_map<uint64_t, wire::ClientRecord::Client> records;  // by client id
    std::optional<wire::Operator::Client> operated;                    // made when first needed
    kj::Promise<void> task = nullptr;  // connecting, then watching for the end
  };
  // One per op slot of the core, which has at most one request under way per slot.
  struct Flight {
    RequestId request = 0;
    kj::Promise<void> promise = nullptr;
  };
  struct Call;

  kj::Promise<void> run(ConnectionId id, Link& link, const std::string& address);
  kj::Promise<void> serve(ConnectionId id, Link& link, kj::Own<rpc::BufferedStream> stream);
  wire::ClientRecord::Client& record(Link& link, uint64_t client);
  wire::Operator::Client& operated(Link& link);
  kj::Promise<void> call(Link& link, RequestId request, const Request& body);
  kj::Promise<void> mutate(Link& link, RequestId request, const locks::Command& command);
  kj::Promise<void> register_client(Link& link, RequestId request);
  template <class Promise>
  kj::Promise<void> answer(RequestId request, Promise&& promise);
  template <class Promise, class Convert>
  kj::Promise<void> then(RequestId request, Promise&& promise, Convert convert);
  void fail(RequestId request, const kj::Exception& error);

  rpc::UvEventPort& port_;
  std::unordered_map<ConnectionId, Link> links_;
  std::vector<Flight> flights_;
  std::vector<Event> events_;
};

}  // namespace holdfast::client
