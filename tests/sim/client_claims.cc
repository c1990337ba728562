// All that the cell can do besides plain locks: modes, semaphores, several locks at once,
// conversions, what holders say of themselves, forced releases, keys, drains.
//
// Names say what may happen to a lock: of "mix/..." a client may believe that it holds it until its
// lease's deadline; "force/..." an admin may take away; "drain/..." is drained now and then.
#include <algorithm>

#include "tests/sim/client.h"

namespace holdfast::sim {

using base::ErrorCode;
using base::Mode;

namespace {

constexpr uint32_t kPermits = 3;
const char* const kDrained[] = {"drain/", "drain/1"};

bool may_believe(const locks::LockRequest& request) {
  return request.name.starts_with("mix/") || request.name.starts_with("drain/");
}

std::string numbered(const char* prefix, uint64_t number) {
  return prefix + std::to_string(number);
}

locks::LockRequest draw_request(base::Random& random) {
  const uint64_t kind = random.below(20);
  if (kind < 4) {
    const auto permits = static_cast<uint32_t>(random.between(1, kPermits));
    return {numbered("sem/", random.below(2)), Mode::kExclusive, permits, kPermits,
            base::LockKind::kSemaphore};
  }
  if (kind < 5) return {"elect/0", Mode::kExclusive, 1, 0, base::LockKind::kElection};
  const auto mode = static_cast<Mode>(random.below(6));
  if (kind < 7) return {numbered("force/", random.below(2)), mode};
  if (kind < 9) return {numbered("drain/", random.below(2)), mode};
  return {numbered("mix/", random.below(3)), mode};
}

}  // namespace

// -- claims ---------------------------------------------------------------------------------------

void Client::claim() {
  switch (random_.below(10)) {
    case 0:
    case 1:
    case 2: return change_keys();
    case 3: return force();
    case 4: return drain_locks();
    default: break;
  }
  auto claims = std::make_shared<Claims>();
  locks::Acquire acquire;
  acquire.lease = lease_->id;
  acquire.holder = base::HolderId{next_holder_++};
  acquire.agent = claims->agent = base::AgentId{acquire.holder.value};
  acquire.wait = !chance_of(random_, options_.try_only);
  const uint64_t count = random_.chance(0.3) ? random_.between(2, 4) : 1;
  while (claims->locks.size() < count) {
    const locks::LockRequest request = draw_request(random_);
    if (std::ranges::find(claims->locks, request.name, &locks::LockRequest::name) ==
        claims->locks.end()) {
      claims->locks.push_back(request);
    }
  }
  acquire.locks = claims->locks;
  const bool waits = acquire.wait;
  const uint64_t serial = next_serial_;
  const OnAnswer claimed = [this, claims](const locks::Answer& answer) {
    on_claimed(claims, answer);
  };
  issue(std::move(acquire), claimed, waits);
  if (waits && chance_of(random_, options_.cancel)) cancel_later(serial, claimed);
}

void Client::on_claimed(std::shared_ptr<Claims> claims, const locks::Answer& answer) {
  const auto* granted = std::get_if<locks::Granted>(&answer);
  if (granted == nullptr) {
    const auto& error = std::get<base::Error>(answer);
    check_not_early(error);
    if (error.code == ErrorCode::kUnknownClient) return become_somebody();
    after(think(), [this] { work(); });
    return;
  }
  if (granted->tokens.size() != claims->locks.size()) {
    world_.fail("client " + std::to_string(index_) + " asked for " +
                std::to_string(claims->locks.size()) + " locks, and was granted " +
                std::to_string(granted->tokens.size()));
    return;
  }
  ++grants;
  holding_ = true;
  claims->tokens = granted->tokens;
  last_token_ = claims->tokens.back();
  begin_beliefs(*claims);
  if (maybe_vanish()) return;
  use_claims(claims, static_cast<int>(random_.below(3)));
}

void Client::begin_beliefs(const Claims& claims) {
  if (!lease_alive()) return;
  for (size_t i = 0; i < claims.locks.size(); ++i) {
    if (!may_believe(claims.locks[i])) continue;
    beliefs_.begin_belief(index_, claims.locks[i].name, claims.locks[i].mode, claims.tokens[i],
                          [this, lease = lease_] { return believes(*lease); });
  }
}

void Client::end_beliefs(const Claims& claims) {
  for (size_t i = 0; i < claims.locks.size(); ++i) {
    beliefs_.end_belief(index_, claims.locks[i].name, claims.tokens[i]);
  }
}

void Client::use_claims(std::shared_ptr<Claims> claims, int steps) {
  after(think(), [this, claims, steps] {
    if (steps == 0 || !lease_alive()) return release_claims(claims);
    if (random_.chance(0.8)) return convert(claims, steps - 1);
    issue(locks::SetHoldValue{lease_->id, claims->locks[0].name, claims->tokens[0], "me"},
          [this, claims, steps](const locks::Answer&) { use_claims(claims, steps - 1); });
  });
}

// Another mode for the first lock. What it may do in the old one and not in the new one it stops
// doing before it asks.
void Client::convert(std::shared_ptr<Claims> claims, int steps) {
  const locks::LockRequest& request = claims->locks[0];
  const auto mode = static_cast<Mode>(random_.below(6));
  const bool wait = random_.chance(0.7);
  end_beliefs(*claims);
  const bool weakens = locks::SimpleModel::is_weaker(mode, request.mode);
  const bool includes = locks::SimpleModel::is_weaker(request.mode, mode);
  const Mode before = request.mode;
  if (weakens) claims->locks[0].mode = mode;
  // Of two modes of which neither includes the other, the old one ends at a moment that it doesn't
  // know before it has the answer.
  if (!weakens && !includes) claims->locks[0].mode = Mode::kNull;
  begin_beliefs(*claims);
  if (!weakens) claims->locks[0].mode = before;
  locks::Convert body{lease_->id, request.name, claims->tokens[0], mode, claims->agent, wait};
  const OnAnswer converted = [this, claims, mode, before, steps](const locks::Answer& answer) {
    if (const auto* granted = std::get_if<locks::Granted>(&answer)) {
      end_beliefs(*claims);
      claims->locks[0].mode = mode;
      claims->tokens[0] = last_token_ = granted->tokens[0];
      begin_beliefs(*claims);
    } else {
      const auto& error = std::get<base::Error>(answer);
      check_not_early(error);
      if (error.code == ErrorCode::kUnknownClient) return become_somebody();
      // It still has what it had; that it may do more again than it asked for is true, too.
      claims->locks[0].mode = before;
    }
    if (maybe_vanish()) return;
    use_claims(claims, steps);
  };
  issue(std::move(body), converted, wait);
}

void Client::release_claims(std::shared_ptr<Claims> claims) {
  end_beliefs(*claims);
  auto left = std::make_shared<size_t>(claims->locks.size());
  for (size_t i = 0; i < claims->locks.size(); ++i) {
    const bool may_be_forced = claims->locks[i].name.starts_with("force/");
    issue(locks::Release{lease_->id, claims->locks[i].name, claims->tokens[i]},
          [this, left, may_be_forced](const locks::Answer& answer) {
            if (const auto* error = std::get_if<base::Error>(&answer)) {
              check_not_early(*error);
              if (error->code == ErrorCode::kNotHeld && !may_be_forced && lease_ &&
                  believes(*lease_) && beliefs_.trusts(index_)) {
                world_.fail("client " + std::to_string(index_) +
                            " lost its hold early: " + error->message);
              }
              if (error->code == ErrorCode::kUnknownClient) return become_somebody();
            }
            if (--*left > 0) return;
            holding_ = false;
            if (!draining_ && lease_alive() && chance_of(random_, options_.close)) {
              close_lease();
            } else {
              after(think(), [this] { work(); });
            }
          });
  }
}

// -- what others have -----------------------------------------------------------------------------

// An admin who has looked at the lock, perhaps a while ago.
void Client::force() {
  const std::string lock = numbered("force/", random_.below(2));
  const base::Token seen = cluster_.model().model().newest_token(lock);
  after(think(), [this, lock, seen] {
    if (!lease_ || draining_) return work();
    issue(locks::ForceRelease{lock, seen ? seen : base::Token{1}, "in the way", "sim"},
          [this](const locks::Answer&) { after(think(), [this] { work(); }); });
  });
}

void Client::drain_locks() {
  locks::SetPolicy drain{
      {base::PolicyKind::kDrain, kDrained[random_.below(2)]}, false, {}, "sim", ""};
  issue(drain, [this, drain](const locks::Answer&) mutable {
    drain.end = true;
    after(think() * 8, [this, drain] {
      issue(drain, [this](const locks::Answer&) { after(think(), [this] { work(); }); });
    });
  });
}

// In the end nothing is drained: else who waits would wait for ever. Late copies of a drain may
// still come, so it says so again and again.
void Client::end_drains() {
  for (const char* prefix : kDrained) {
    if (!client_) break;
    issue(locks::SetPolicy{{base::PolicyKind::kDrain, prefix}, true, {}, "", ""},
          [](const locks::Answer&) {});
  }
  world_.after(2'000 * kMs, [this] {
    if (!idle()) end_drains();
  });
}

// -- keys -----------------------------------------------------------------------------------------

locks::TxnOp Client::draw_key_op(const std::string& key) {
  locks::TxnOp op;
  op.kind = static_cast<locks::TxnOp::Kind>(random_.below(3));
  op.key = key;
  if (op.kind != locks::TxnOp::Kind::kPut) return op;
  op.value = std::string(random_.below(3), 'v') + std::to_string(index_);
  if (random_.chance(0.4)) op.lease = lease_->id;
  return op;
}

locks::Compare Client::draw_guard() {
  using Target = locks::Compare::Target;
  locks::Compare guard;
  guard.key = numbered("key/", random_.below(3));
  guard.relation = static_cast<locks::Relation>(random_.below(4));
  const base::KeyRow* row = cluster_.model().model().key(guard.key);
  const base::KeyRow seen = row == nullptr ? base::KeyRow() : *row;
  switch (random_.below(5)) {
    case 0:
      guard.target = Target::kValue;
      guard.value = seen.value;
      return guard;
    case 1:
      guard.target = Target::kVersion;
      guard.number = seen.version;
      return guard;
    case 2:
      guard.target = Target::kRevision;
      guard.number = seen.revision.value;
      return guard;
    case 3:
      guard.target = Target::kCreate;
      guard.number = seen.create.value;
      return guard;
    default: break;
  }
  guard.target = Target::kHolds;
  guard.key = numbered("lock/", random_.below(static_cast<uint64_t>(options_.locks)));
  guard.relation = random_.chance(0.7) ? locks::Relation::kEqual : locks::Relation::kNotEqual;
  const base::Token token =
      random_.chance(0.5) ? cluster_.model().model().newest_token(guard.key) : last_token_;
  guard.number = std::max<uint64_t>(token.value, 1);
  return guard;
}

void Client::change_keys() {
  locks::Txn txn;
  for (uint64_t i = random_.below(3); i > 0; --i) txn.compare.push_back(draw_guard());
  for (auto* branch : {&txn.then, &txn.orelse}) {
    for (uint64_t key = 0; key < 3; ++key) {
      if (random_.chance(0.5)) branch->push_back(draw_key_op(numbered("key/", key)));
    }
    if (random_.chance(0.3)) {
      branch->push_back({locks::TxnOp::Kind::kPut, "seq/", "", lease_->id, true});
    }
  }
  if (txn.then.empty()) txn.then.push_back(draw_key_op("key/0"));
  issue(std::move(txn), [this](const locks::Answer& answer) {
    if (const auto* error = std::get_if<base::Error>(&answer)) {
      check_not_early(*error);
      if (error->code == ErrorCode::kUnknownClient) return become_somebody();
    }
    after(think(), [this] { work(); });
  });
}

}  // namespace holdfast::sim
