// A scripted world around a client core: a clock that the test sets, and nodes that answer when the
// test says so.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "bindings/cpp/src/core.h"

namespace holdfast::client {

class Script {
 public:
  struct Sent {
    ConnectionId connection = 0;
    RequestId request = 0;
    Request body;
  };

  explicit Script(std::vector<std::string> nodes = {"a:1", "b:1", "c:1"},
                  int64_t request_timeout_ms = 5000, uint64_t seed = 7)
      : core({std::move(nodes), base::Duration::from_ms(request_timeout_ms)}, seed) {}

  // -- the clock and the effects ------------------------------------------------------------------
  template <class Event>
  auto with(Event event) {
    Effects fx;
    if constexpr (std::is_void_v<decltype(event(fx))>) {
      event(fx);
      take(fx);
    } else {
      auto result = event(fx);
      take(fx);
      return result;
    }
  }
  // Lets time pass, with every timer at its instant.
  void advance(int64_t ms) {
    base::Instant end = now + base::Duration::from_ms(ms);
    while (core.next_timer() <= end) {
      now = std::max(now, core.next_timer());
      with([&](Effects& fx) { core.on_timer(now, fx); });
    }
    now = end;
  }

  // -- the nodes ----------------------------------------------------------------------------------
  // All connections that were asked for come up.
  void accept_all() {
    auto asked = std::move(connecting);
    connecting.clear();
    for (auto& [connection, address] : asked) {
      open[address] = connection;
      with([&, up = connection](Effects& fx) { core.on_connected(up, now, fx); });
    }
  }
  void refuse(const std::string& address) {
    for (auto it = connecting.begin(); it != connecting.end(); ++it) {
      if (it->second != address) continue;
      ConnectionId connection = it->first;
      connecting.erase(it);
      with([&](Effects& fx) { core.on_disconnected(connection, "refused", now, fx); });
      return;
    }
  }
  void cut(const std::string& address) {
    ConnectionId connection = open.at(address);
    open.erase(address);
    std::erase_if(sent, [&](const Sent& one) { return one.connection == connection; });
    with([&](Effects& fx) { core.on_disconnected(connection, "cut", now, fx); });
  }
  void respond(RequestId request, Response response) {
    std::erase_if(sent, [&](const Sent& one) { return one.request == request; });
    with([&](Effects& fx) { core.on_response(request, std::move(response), now, fx); });
  }
  // Answers every status question so far: `leader` says that it leads in ballot (round, 1); empty:
  // nobody does. A silent node's questions stay.
  void answer_status(const std::string& leader, uint64_t round = 1,
                     const std::string& silent = "") {
    for (const Sent& one : std::vector<Sent>(sent)) {
      if (!std::holds_alternative<StatusRequest>(one.body)) continue;
      std::string address = address_of(one.connection);
      if (address == silent) continue;
      StatusResponse status;
      status.cell = cell;
      status.node.id = static_cast<uint64_t>(address[0] - 'a' + 1);
      status.node.address = address;
      status.ballot = {round, {1}};
      status.active = address == leader;
      respond(one.request, status);
    }
  }
  // The last request of this kind that nobody answered; fails the test if there is none.
  template <class Body>
  Sent find() {
    for (size_t i = sent.size(); i-- > 0;) {
      if (is<Body>(sent[i].body)) return sent[i];
    }
    FAIL("no such request was sent");
    return {};
  }
  template <class Body>
  size_t count() const {
    size_t found = 0;
    for (const Sent& one : sent) found += is<Body>(one.body);
    return found;
  }
  std::string address_of(ConnectionId connection) const {
    for (const auto& [address, id] : open) {
      if (id == connection) return address;
    }
    return "";
  }
  template <class Body>
  static const Body& body(const Sent& one) {
    return std::get<Body>(std::get<locks::Command>(one.body).body);
  }
  static const locks::OpId& op(const Sent& one) { return std::get<locks::Command>(one.body).op; }

  // -- shortcuts ----------------------------------------------------------------------------------
  // Connected to all, `leader` leads, the client is registered as number 100.
  void settle_on(const std::string& leader) {
    accept_all();
    answer_status(leader);
    if (count<RegisterRequest>() > 0) {
      respond(find<RegisterRequest>().request, locks::Answer(locks::ClientRegistered{{100}}));
    }
  }
  // Time passes and `leader` says now and then that it is there.
  void advance_with(const std::string& leader, int64_t ms) {
    for (; ms > 0; ms -= 50) {
      advance(50);
      answer_status(leader);
    }
  }
  // Node a, which led, is gone; b leads in ballot 2.
  void fail_over() {
    cut("a:1");
    advance(60);
    answer_status("b:1", 2);
  }
  // An open session on node a.
  SessionId open_session(uint64_t ttl_ms = 10'000, uint64_t lease = 500, Ref ref = 1) {
    with([&](Effects& fx) { core.open(ref, {ttl_ms, {}, true}, now, fx); });
    settle_on("a:1");
    respond(find<locks::OpenLease>().request,
            locks::Answer(locks::LeaseOpened{{lease}, ttl_ms, "secret"}));
    return std::get<Opened>(outcome(ref)).session;
  }
  Core::AcquireId acquire(Ref ref, SessionId session, std::optional<int64_t> timeout_ms,
                          const std::string& lock = "l") {
    AcquireCall call;
    call.under.session = session;
    call.locks = {locks::LockRequest{lock}};
    if (timeout_ms) call.timeout = base::Duration::from_ms(*timeout_ms);
    return with([&](Effects& fx) { return core.acquire(ref, call, now, fx); });
  }
  void release(Ref ref, SessionId session, uint64_t token) {
    with([&](Effects& fx) { core.release(ref, {session, {}}, "l", {token}, now, fx); });
  }
  void grant(uint64_t token) {
    respond(find<locks::Acquire>().request, locks::Answer(locks::Granted{{{token}}}));
  }
  template <class What>
  size_t events_of() const {
    size_t found = 0;
    for (const SessionEvent& event : events) found += std::holds_alternative<What>(event.what);
    return found;
  }
  bool completed(Ref ref) const { return outcomes.contains(ref); }
  const Outcome& outcome(Ref ref) const {
    REQUIRE(outcomes.contains(ref));
    return outcomes.at(ref);
  }
  Code failure(Ref ref) const {
    const auto* failed = std::get_if<Failure>(&outcome(ref));
    REQUIRE(failed != nullptr);
    return failed->code;
  }

  base::Instant now = base::Instant{} + base::Duration::from_ms(1'000'000);
  Core core;
  std::vector<std::pair<ConnectionId, std::string>> connecting;
  std::map<std::string, ConnectionId> open;
  std::vector<Sent> sent;  // and neither answered nor dropped
  std::map<Ref, Outcome> outcomes;
  std::vector<SessionEvent> events;
  bool shut_down = false;
  uint64_t cell = 1;  // whose nodes answer

 private:
  template <class Body>
  static bool is(const Request& request) {
    if constexpr (std::is_constructible_v<Request, Body>) {
      return std::holds_alternative<Body>(request);
    } else {
      const auto* command = std::get_if<locks::Command>(&request);
      return command != nullptr && std::holds_alternative<Body>(command->body);
    }
  }
  void take(Effects& fx) {
    for (auto& effect : fx.connects) connecting.emplace_back(effect.connection, effect.address);
    for (auto& effect : fx.sends) sent.push_back({effect.connection, effect.request, *effect.body});
    for (auto& effect : fx.drops) {
      std::erase_if(sent, [&](const Sent& one) { return one.request == effect.request; });
    }
    for (ConnectionId connection : fx.closes) {
      std::erase_if(open, [&](const auto& entry) { return entry.second == connection; });
      std::erase_if(connecting, [&](const auto& entry) { return entry.first == connection; });
    }
    for (auto& event : fx.session_events) events.push_back(std::move(event));
    for (auto& completion : fx.completions) {
      CHECK_MESSAGE(!completed(completion.ref), "a call was completed twice");
      outcomes[completion.ref] = std::move(completion.outcome);
    }
    shut_down |= fx.shut_down;
  }
};

inline base::Error not_leader(const std::string& leader = "") {
  base::Error error{base::ErrorCode::kNotLeader, "not the leader", {}};
  if (!leader.empty()) error.detail.emplace_back("leader", leader);
  return error;
}

}  // namespace holdfast::client
