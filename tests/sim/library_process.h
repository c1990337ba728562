// One process that uses the client library: the library's real logic (client::Core) on a clock of
// its own, driven as the library's engine does it. It may stand still, and it may die.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bindings/cpp/src/core.h"
#include "tests/sim/clock.h"
#include "tests/sim/connections.h"
#include "tests/sim/options.h"
#include "tests/sim/world.h"

namespace holdfast::sim {

class LibraryProcess final : public ConnectionEvents,
                             public std::enable_shared_from_this<LibraryProcess> {
 public:
  using Done = std::function<void(client::Outcome&&)>;
  using OnSession = std::function<void(const client::SessionEvent&)>;

  // `clock` is the machine's, and outlives the process.
  LibraryProcess(World& world, Connections& connections, const Options& options, uint32_t host,
                 const SkewedClock& clock, uint64_t seed);

  // CLOCK_BOOTTIME as this process reads it.
  base::Instant now() const;
  std::string name() const { return "client " + std::to_string(host_); }
  // What a thread does after having slept, unless the process died; it sleeps on while stopped.
  void after(base::Duration sleep, std::function<void()> what);

  // -- as client::Engine --------------------------------------------------------------------------
  template <class What>
  void with_core(What what) {
    effects_.clear();
    what(core_, now(), effects_);
    carry_out();
  }
  // `done` is called once. If the call has a time limit, it is given: the answer must be there by
  // then, by this process's clock.
  client::Ref expect(Done done, base::Duration within = {base::kNever.ns});
  void watch(client::SessionId session, OnSession on_event);
  size_t calls() const { return calls_.size(); }
  size_t under_way() const { return core_.under_way(); }
  bool shut_down() const { return shut_down_; }
  // By this process's clock: it must have looked at what was due by then.
  base::Instant looked_at() const;

  // -- what befalls it ----------------------------------------------------------------------------
  void stop();
  void go_on();
  // The clock's rate has changed. If it is beyond ε, nothing is said any more about how long calls
  // may take.
  void on_clock_changed(bool beyond);
  // Killed: the system closes its connections. Or vanished with its machine.
  void die(bool vanish);

  void on_connected(client::ConnectionId connection) override;
  void on_disconnected(client::ConnectionId connection, const std::string& why) override;
  void on_response(client::RequestId request, const client::Response& response) override;

 private:
  struct Call {
    Done done;
    base::Duration within;
    base::Instant since;
    int64_t stopped_before;  // stopped_ns_ then
  };
  using Delivery = std::variant<client::Completion, client::SessionEvent>;
  // As an event of this process, once it gets to it.
  void handle(std::function<void()> what);
  void carry_out();
  void deliver();
  void complete(client::Completion& completion);
  void plan_timer();
  void on_timer();

  World& world_;
  Connections& connections_;
  const Options& options_;
  const uint32_t host_;
  const SkewedClock& clock_;
  base::Random random_;
  client::Core core_;
  client::Effects effects_;
  std::map<client::ConnectionId, std::shared_ptr<Connection>> open_;
  std::map<client::Ref, Call> calls_;
  client::Ref last_ref_ = 0;
  std::map<client::SessionId, OnSession> sessions_;
  std::vector<Delivery> deliveries_;
  bool delivering_ = false;
  bool shut_down_ = false;

  bool dead_ = false;
  bool stopped_ = false;
  bool wild_clock_ = false;
  int64_t stopped_at_ = 0;                      // true time
  int64_t stopped_ns_ = 0;                      // all the times that it stood still, together
  std::vector<std::function<void()>> backlog_;  // what came meanwhile
  base::Instant resumed_at_;
  int64_t timer_at_ = -1;  // true time of the planned look at timers; -1: none
};

}  // namespace holdfast::sim
