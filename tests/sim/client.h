// One simulated client: a session that locks and unlocks, on its own clock, over a bad network.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/checkers/belief_checker.h"
#include "tests/sim/checkers/read_checker.h"
#include "tests/sim/claims.h"
#include "tests/sim/clock.h"
#include "tests/sim/cluster.h"

namespace holdfast::sim {

class Client {
 public:
  Client(World& world, Cluster& cluster, BeliefChecker& beliefs, ReadChecker& reads,
         const Options& options, uint32_t index);
  void start();
  void drain();
  bool idle() const { return draining_ && operations_.empty() && !holding_; }
  std::string describe() const;
  base::LeaseId lease() const { return lease_ ? lease_->id : base::LeaseId{}; }
  // Its process stands still; what comes meanwhile waits, and its clock goes on.
  bool stands_still() const { return still_ > 0; }
  void stand_still() { ++still_; }
  void go_on();
  void set_clock_factor(double factor) { clock_.set_factor(factor, world_.now()); }

  uint64_t operations = 0;
  uint64_t grants = 0;

 private:
  using OnAnswer = std::function<void(const locks::Answer&)>;
  // A mutation under way: sent again with the same number until it is answered.
  struct Operation {
    locks::Command command;
    OnAnswer on_answer;
    uint32_t target = 0;
    uint64_t attempt = 0;
    bool waits = false;  // an acquire that may wait for long: attempts are spaced out
  };
  struct Lease {
    base::LeaseId id;
    base::Duration ttl;
    base::Instant deadline;  // by this client's clock
    bool lost = false;       // for good
    bool closing = false;    // by its owner
    uint64_t renewal = 0;    // the newest round of attempts
  };

  base::Instant now() const { return clock_.read(world_.now()); }
  void after(base::Duration by_own_clock, std::function<void()> what);
  // Something happens in this client's process, of its present life: now, or after a standstill.
  void happen(uint64_t life, std::function<void()> what);
  CallDone when_called_back(CallDone done);
  void issue(locks::Body body, OnAnswer on_answer, bool waits = false);
  void send(uint64_t serial);
  void on_result(uint64_t serial, uint64_t attempt, const CallResult& result);
  void check_late_answer(uint64_t number, const locks::Answer& answer);

  void become_somebody();
  void open_lease();
  void renew_later();
  void renew_now(uint64_t renewal);
  void on_renewed(Lease& lease, base::Instant sent, const node::RenewReply& reply);
  bool believes(const Lease& lease) const { return !lease.lost && now() < lease.deadline; }
  bool lease_alive() const;
  void read();
  void close_lease();
  void work();
  void on_acquired(const std::string& lock, base::Mode mode, const locks::Answer& answer);
  void cancel_later(uint64_t serial, OnAnswer on_granted);
  void cancel(uint64_t serial, OnAnswer on_granted);
  bool maybe_vanish();
  void check_not_early(const base::Error& error);
  // client_claims.cc: all that the cell can do besides plain locks.
  void claim();
  void on_claimed(std::shared_ptr<Claims> claims, const locks::Answer& answer);
  void use_claims(std::shared_ptr<Claims> claims, int steps);
  void convert(std::shared_ptr<Claims> claims, int steps);
  void begin_beliefs(const Claims& claims);
  void end_beliefs(const Claims& claims);
  void release_claims(std::shared_ptr<Claims> claims);
  void force();
  void change_keys();
  locks::TxnOp draw_key_op(const std::string& key);
  locks::Compare draw_guard();
  void drain_locks();
  void end_drains();
  void release(const std::string& lock, base::Token token);
  void write(const std::string& lock, base::Mode mode, base::Token token);
  base::Duration think();

  World& world_;
  Cluster& cluster_;
  BeliefChecker& beliefs_;
  ReadChecker& reads_;
  const Options& options_;
  const uint32_t index_;
  base::Random random_;
  SkewedClock clock_;
  int still_ = 0;                                                    // for so many reasons
  std::vector<std::pair<uint64_t, std::function<void()>>> backlog_;  // while it stands still
  // A library gives up at its own deadline. A script that renews by hand goes on, and what it is
  // told then must be true as well.
  bool stubborn_ = false;
  uint64_t life_ = 0;  // grows when it vanishes: callbacks of an older life do nothing
  bool draining_ = false;
  bool holding_ = false;

  base::ClientId client_;
  uint64_t next_number_ = 1;
  uint64_t lowest_told_ = 1;
  std::vector<uint64_t> untold_;  // answered, above lowest_told_, not told yet
  uint64_t next_holder_ = 1;
  base::Token last_token_;  // of any of its grants
  std::shared_ptr<Lease> lease_;
  uint32_t leader_guess_ = 0;

  uint64_t next_serial_ = 1;
  std::map<uint64_t, Operation> operations_;   // by serial
  std::map<uint64_t, locks::Answer> answers_;  // by number, of this identity
};

}  // namespace holdfast::sim
