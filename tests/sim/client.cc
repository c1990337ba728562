#include "tests/sim/client.h"

#include <algorithm>

#include "lockcore/base/limits.h"

namespace holdfast::sim {

using base::Duration;
using base::ErrorCode;
using base::Mode;

Client::Client(World& world, Cluster& cluster, BeliefChecker& beliefs, ReadChecker& reads,
               const Options& options, uint32_t index)
    : world_(world),
      cluster_(cluster),
      beliefs_(beliefs),
      reads_(reads),
      options_(options),
      index_(index),
      random_(world.stream("client", index)),
      clock_(random_),
      stubborn_(chance_of(random_, options.stubborn)) {}

void Client::start() {
  become_somebody();
}

void Client::drain() {
  draining_ = true;
  if (options_.claims != 0) end_drains();
}

void Client::after(Duration by_own_clock, std::function<void()> what) {
  world_.after(clock_.true_ns(by_own_clock),
               [this, life = life_, what = std::move(what)] { happen(life, what); });
}

void Client::happen(uint64_t life, std::function<void()> what) {
  if (life != life_ || world_.failed()) return;
  if (still_ == 0) return what();
  backlog_.emplace_back(life, std::move(what));
}

void Client::go_on() {
  if (still_ == 0 || --still_ > 0) return;
  for (auto& [life, what] : std::exchange(backlog_, {})) happen(life, std::move(what));
}

CallDone Client::when_called_back(CallDone done) {
  return [this, life = life_, done = std::move(done)](const CallResult& result) {
    happen(life, [done, result] { done(result); });
  };
}

Duration Client::think() {
  return Duration::from_us(
      static_cast<int64_t>(random_.below(static_cast<uint64_t>(2 * options_.think_ms * 1000) + 1)));
}

std::string Client::describe() const {
  std::string text = "client " + std::to_string(index_) + (holding_ ? " holds;" : ";");
  for (const auto& [serial, operation] : operations_) {
    text += " waits for kind " + std::to_string(operation.command.body.index()) + " number " +
            std::to_string(operation.command.op.number) + " after " +
            std::to_string(operation.attempt) + " attempts;";
  }
  return text;
}

// -- operations -----------------------------------------------------------------------------------

void Client::issue(locks::Body body, OnAnswer on_answer, bool waits) {
  Operation operation{{}, std::move(on_answer), leader_guess_, 0, waits};
  operation.command.body = std::move(body);
  if (!std::holds_alternative<locks::RegisterClient>(operation.command.body)) {
    locks::OpId& op = operation.command.op;
    op.client = client_;
    op.number = next_number_++;
    uint64_t lowest = op.number;
    for (const auto& [serial, other] : operations_) {
      if (other.command.op.client == client_) lowest = std::min(lowest, other.command.op.number);
    }
    // Sometimes it is slow to say what it has: the cell must keep the answers that long.
    if (chance_of(random_, options_.tell)) {
      lowest_told_ = lowest;
      std::erase_if(untold_, [lowest](uint64_t number) { return number < lowest; });
    }
    op.lowest_unanswered = lowest_told_;
    if (random_.chance(0.7)) op.answered = std::exchange(untold_, {});
  }
  const uint64_t serial = next_serial_++;
  operations_.emplace(serial, std::move(operation));
  ++operations;
  send(serial);
}

void Client::send(uint64_t serial) {
  const auto it = operations_.find(serial);
  if (it == operations_.end()) return;
  Operation& operation = it->second;
  const uint64_t attempt = ++operation.attempt;
  auto done = [this, serial, attempt,
               number = operation.command.op.number](const CallResult& result) {
    if (!operations_.contains(serial)) {
      if (result.answer) check_late_answer(number, *result.answer);
      return;
    }
    on_result(serial, attempt, result);
  };
  cluster_.command(index_, operation.target, operation.command, when_called_back(std::move(done)));
  after(Duration::from_ms(operation.waits ? 1500 : 400), [this, serial, attempt] {
    const auto found = operations_.find(serial);
    if (found == operations_.end() || found->second.attempt != attempt) return;
    found->second.target = static_cast<uint32_t>(random_.below(cluster_.size()));
    send(serial);
  });
}

void Client::on_result(uint64_t serial, uint64_t attempt, const CallResult& result) {
  const auto it = operations_.find(serial);
  const auto* error = result.answer ? std::get_if<base::Error>(&*result.answer) : nullptr;
  const bool elsewhere =
      result.unreachable || !result.answer ||
      (error && (error->code == ErrorCode::kNotLeader || error->code == ErrorCode::kUnavailable ||
                 error->code == ErrorCode::kResourceExhausted));
  if (elsewhere) {
    if (it->second.attempt != attempt) return;  // a newer attempt is under way
    it->second.target = static_cast<uint32_t>(random_.below(cluster_.size()));
    after(Duration::from_ms(static_cast<int64_t>(random_.between(5, 60))), [this, serial, attempt] {
      const auto found = operations_.find(serial);
      if (found != operations_.end() && found->second.attempt == attempt) send(serial);
    });
    return;
  }
  leader_guess_ = it->second.target;
  if (const auto* done = std::get_if<locks::Done>(&*result.answer)) reads_.on_told(done->revision);
  if (const auto* done = std::get_if<locks::TxnDone>(&*result.answer)) {
    reads_.on_told(done->revision);
  }
  if (const auto* grant = std::get_if<locks::Granted>(&*result.answer)) {
    reads_.on_told(grant->tokens[0]);
  }
  const uint64_t number = it->second.command.op.number;
  OnAnswer on_answer = std::move(it->second.on_answer);
  operations_.erase(it);
  if (number != 0) {
    untold_.push_back(number);
    answers_.emplace(number, *result.answer);
  }
  on_answer(*result.answer);
}

// Exactly once: every copy of an operation gets the first one's answer.
void Client::check_late_answer(uint64_t number, const locks::Answer& answer) {
  const auto it = answers_.find(number);
  if (number == 0 || it == answers_.end()) return;
  if (std::holds_alternative<base::Error>(answer)) return;  // notLeader, or settled by now
  if (!(it->second == answer)) {
    world_.fail("client " + std::to_string(index_) + " got two answers for number " +
                std::to_string(number));
  }
}

// -- a life ---------------------------------------------------------------------------------------

void Client::become_somebody() {
  ++life_;
  operations_.clear();
  answers_.clear();
  untold_.clear();
  next_number_ = lowest_told_ = 1;
  holding_ = false;
  lease_.reset();
  client_ = {};
  if (draining_) return;
  issue(locks::RegisterClient{}, [this](const locks::Answer& answer) {
    if (const auto* registered = std::get_if<locks::ClientRegistered>(&answer)) {
      client_ = registered->client;
      open_lease();
    } else {
      world_.fail("a registration was refused");
    }
  });
}

void Client::open_lease() {
  if (draining_) return;
  locks::OpenLease open;
  open.ttl_ms = static_cast<uint64_t>(options_.ttl_ms);
  open.secret.assign(base::kSecretBytes, 's');
  open.owner.program = "sim";
  if (options_.lock_delay != 0 && chance_of(random_, options_.lock_delay)) {
    open.lock_delay_ms = random_.between(1, 1'500);
  }
  const base::Instant first_sent = now();
  issue(open, [this, first_sent](const locks::Answer& answer) {
    const auto* opened = std::get_if<locks::LeaseOpened>(&answer);
    if (!opened) {
      become_somebody();
      return;
    }
    lease_ = std::make_shared<Lease>();
    lease_->id = opened->lease;
    lease_->ttl = Duration::from_ms(static_cast<int64_t>(opened->ttl_ms));
    lease_->deadline = first_sent + lease_->ttl * (1000 - 2 * base::kDriftPerMille) / 1000;
    renew_later();
    work();
  });
}

bool Client::lease_alive() const {
  if (!lease_ || lease_->lost) return false;
  if (!believes(*lease_) && !stubborn_) lease_->lost = true;
  return !lease_->lost;
}

void Client::renew_later() {
  after(lease_->ttl * options_.renew_percent / 100, [this, lease = lease_] {
    if (lease != lease_ || !lease_alive()) return;
    renew_now(++lease_->renewal);
    renew_later();
  });
}

void Client::renew_now(uint64_t renewal) {
  const base::Instant sent = now();
  const auto retry = [this, lease = lease_, renewal] {
    if (lease == lease_ && lease_alive() && lease_->renewal == renewal) {
      leader_guess_ = static_cast<uint32_t>(random_.below(cluster_.size()));
      renew_now(renewal);
    }
  };
  auto answered = std::make_shared<bool>(false);
  // A lease that never was is renewed along: each is answered for itself.
  auto done = [this, sent, lease = lease_, answered, retry](const CallResult& result) {
    if (lease != lease_ || *answered) return;
    *answered = true;
    if (result.unreachable || !result.renewal || result.renewal->error) {
      after(Duration::from_ms(20), retry);
      return;
    }
    on_renewed(*lease, sent, *result.renewal);
  };
  cluster_.renew(index_, leader_guess_, {base::LeaseId{~uint64_t{0}}, lease_->id},
                 when_called_back(std::move(done)));
  after(lease_->ttl / 8, [answered, retry] {
    if (!*answered) {
      *answered = true;
      retry();
    }
  });
}

void Client::on_renewed(Lease& lease, base::Instant sent, const node::RenewReply& reply) {
  if (reply.leases[0] == node::Renewal::kAlive) world_.fail("a lease that never was lives");
  if (reply.leases[1] == node::Renewal::kAlive) {
    // Unless it gave up meanwhile: lost stays lost.
    if (!lease_alive()) return;
    lease.deadline =
        std::max(lease.deadline, sent + lease.ttl * (1000 - 2 * base::kDriftPerMille) / 1000);
    beliefs_.check(index_);
    return;
  }
  if (believes(lease) && !lease.closing && beliefs_.trusts(index_)) {
    world_.fail("the lease of client " + std::to_string(index_) +
                " ended before its owner's deadline");
  }
  lease.lost = true;
}

// -- locking --------------------------------------------------------------------------------------

void Client::work() {
  if (draining_) return;
  if (!lease_alive()) {
    lease_.reset();
    open_lease();
    return;
  }
  if (options_.claims != 0 && chance_of(random_, options_.claims)) return claim();
  const std::string lock = "lock/" + std::to_string(random_.below(options_.locks));
  locks::Acquire acquire;
  acquire.lease = lease_->id;
  acquire.holder = base::HolderId{next_holder_++};
  acquire.agent = base::AgentId{acquire.holder.value};  // each of its waits is a thread's
  const Mode mode = chance_of(random_, options_.shared) ? Mode::kShared : Mode::kExclusive;
  acquire.locks.push_back(locks::LockRequest{lock, mode});
  acquire.wait = !chance_of(random_, options_.try_only);
  const bool waits = acquire.wait;
  const uint64_t serial = next_serial_;
  const OnAnswer acquired = [this, lock, mode](const locks::Answer& answer) {
    on_acquired(lock, mode, answer);
  };
  issue(std::move(acquire), acquired, waits);
  if (waits && chance_of(random_, options_.cancel)) cancel_later(serial, acquired);
}

void Client::cancel_later(uint64_t serial, OnAnswer on_granted) {
  after(think() * 4,
        [this, serial, on_granted = std::move(on_granted)] { cancel(serial, on_granted); });
}

void Client::cancel(uint64_t serial, OnAnswer on_granted) {
  const auto it = operations_.find(serial);
  if (it == operations_.end()) return;
  const uint64_t target = it->second.command.op.number;
  issue(locks::CancelWait{target},
        [this, serial, target, on_granted = std::move(on_granted)](const locks::Answer& answer) {
          if (!operations_.contains(serial)) return;  // the acquire's own answer came first
          operations_.erase(serial);
          untold_.push_back(target);
          if (std::holds_alternative<locks::Granted>(answer)) {
            answers_.emplace(target, answer);
            on_granted(answer);
          } else {
            holding_ = false;
            after(think(), [this] { work(); });
          }
        });
}

void Client::check_not_early(const base::Error& error) {
  const bool early = lease_ && believes(*lease_) && beliefs_.trusts(index_);
  if (error.code == ErrorCode::kLeaseNotFound && early) {
    world_.fail("client " + std::to_string(index_) + " was told too early that its lease is gone");
  }
}

void Client::on_acquired(const std::string& lock, Mode mode, const locks::Answer& answer) {
  const auto* granted = std::get_if<locks::Granted>(&answer);
  if (!granted) {
    const auto& error = std::get<base::Error>(answer);
    check_not_early(error);
    if (error.code == ErrorCode::kUnknownClient) {
      become_somebody();
      return;
    }
    after(think(), [this] { work(); });
    return;
  }
  ++grants;
  const base::Token token = last_token_ = granted->tokens[0];
  if (lease_alive()) {
    beliefs_.begin_belief(index_, lock, mode, token,
                          [this, lease = lease_] { return believes(*lease); });
  }
  holding_ = true;
  write(lock, mode, token);
  if (maybe_vanish()) return;
  after(think(), [this, lock, token] { release(lock, token); });
}

// The process dies with what it holds: its belief lasts until its deadline, its lease until the
// cell ends it.
bool Client::maybe_vanish() {
  if (!chance_of(random_, options_.vanish) || draining_) return false;
  const auto lease = lease_;
  ++life_;
  operations_.clear();
  holding_ = false;
  world_.after(static_cast<int64_t>(random_.below(5'000)) * kMs,
               [this, life = life_] { happen(life, [this] { become_somebody(); }); });
  return true;
}

// What the lock is for. It asks no clock before it writes, and what it wrote may come late: the
// token is to keep that harmless.
void Client::write(const std::string& lock, Mode mode, base::Token token) {
  const int64_t latest_ms = random_.chance(0.1) ? 2 * options_.ttl_ms : 5;
  world_.after(static_cast<int64_t>(random_.below(static_cast<uint64_t>(latest_ms * kMs))),
               [this, lock, mode, token] { cluster_.fence().on_write(lock, mode, token); });
}

void Client::release(const std::string& lock, base::Token token) {
  beliefs_.end_belief(index_, lock, token);
  issue(locks::Release{lease_->id, lock, token}, [this](const locks::Answer& answer) {
    holding_ = false;
    const auto* error = std::get_if<base::Error>(&answer);
    if (error && lease_ && believes(*lease_) && beliefs_.trusts(index_)) {
      world_.fail("client " + std::to_string(index_) + " lost its hold early: " + error->message);
    }
    if (error && error->code == ErrorCode::kUnknownClient) {
      become_somebody();
    } else if (!draining_ && lease_alive() && chance_of(random_, options_.close)) {
      close_lease();
    } else {
      if (chance_of(random_, options_.read)) read();
      after(think(), [this] { work(); });
    }
  });
}

// A renewal may be under way meanwhile: it says yes or no, as it comes before or after.
void Client::close_lease() {
  lease_->closing = true;
  if (random_.chance(0.5)) renew_now(++lease_->renewal);
  issue(locks::CloseLease{lease_->id}, [this](const locks::Answer&) {
    lease_.reset();
    open_lease();
  });
}

void Client::read() {
  auto done = [this, told = reads_.told()](const CallResult& result) {
    if (!result.read || result.read->error) return;
    reads_.on_read(told, result.revision);
  };
  const bool here = chance_of(random_, options_.read_anywhere);
  const auto anywhere = static_cast<uint32_t>(random_.below(cluster_.size()));
  cluster_.read(index_, here ? anywhere : leader_guess_, here, when_called_back(std::move(done)));
}

}  // namespace holdfast::sim
