// Carrying out commands.
//
// Every command takes effect as a whole: first what it ends, then, through serve_touched(), what
// that lets others have. So a release and the grant that follows from it are one slot (DESIGN 7).
#include "lockcore/locks/lock_table.h"

#include <algorithm>

#include "lockcore/base/assert.h"
#include "lockcore/base/lease_text.h"
#include "lockcore/base/limits.h"
#include "lockcore/base/mutant.h"
#include "lockcore/locks/deadlock.h"
#include "lockcore/locks/digest.h"
#include "lockcore/locks/lock_table_state.h"
#include "lockcore/locks/refusal.h"
#include "lockcore/locks/validate.h"

namespace holdfast::locks {

using base::EventType;

void Applied::clear() {
  replies.clear();
  opened.clear();
  ended.clear();
}

LockTable::LockTable(const TableLimits& limits) : state_(std::make_unique<State>()) {
  state_->limits = limits;
}
LockTable::~LockTable() = default;
LockTable::LockTable(LockTable&&) noexcept = default;
LockTable& LockTable::operator=(LockTable&&) noexcept = default;

void LockTable::apply(base::Slot slot, const Batch* batch, Applied& out) {
  State& state = *state_;
  HF_ASSERT(slot == state.meta.applied.next());
  state.meta.applied = slot;
  if (batch == nullptr) return;
  // A leader that lags in time must not turn cell time back.
  state.meta.cell_time_ms = std::max(state.meta.cell_time_ms, batch->cell_time_ms);
  state.meta.wall_ms = batch->wall_ms;
  for (const Command& command : batch->commands) state.apply(command, out);
}

// -- exactly once ---------------------------------------------------------------------------------

namespace {

// A command that only gives something back may go beyond a client's limits, up to twice as far: a
// client that has reached them must be able to get out of them.
bool only_gives_back(const Body& body) {
  return std::holds_alternative<Release>(body) || std::holds_alternative<CloseLease>(body) ||
         std::holds_alternative<CancelWait>(body) || std::holds_alternative<ForgetClient>(body);
}

void reply(const OpId& op, Answer answer, Applied& out) {
  out.replies.push_back({op.client, op.number, std::move(answer)});
}

}  // namespace

void LockTable::State::apply(const Command& command, Applied& out) {
  const OpId& op = command.op;
  if (auto error = validate_op(command)) return reply(op, std::move(*error), out);
  if (!op.client) return apply_unnumbered(command, out);

  Client* client = clients.find(op.client);
  if (client == nullptr) return reply(op, unknown_client(op.client), out);
  clients.touch(*client, meta.cell_time_ms);
  const size_t scale = only_gives_back(command.body) ? 2 : 1;
  auto refused = clients.acknowledge(*client, op, scale * base::kMaxAckRangesPerClient, given_up_);
  // The client says that it has the answer of an acquire that still waits. It contradicts itself;
  // left alone, the wait would end in a grant that nobody knows of.
  for (Claim* waiter : given_up_) {
    give_up(*waiter, "abandoned", "its client says that it has the answer", out);
  }
  given_up_.clear();
  serve_touched(out);

  switch (clients.state(*client, op.number)) {
    case OpState::kSettled: return reply(op, already_answered(op.number), out);
    case OpState::kAnswered:
      if (HF_MUTANT(retry_acts_again)) break;
      return reply(op, *clients.recorded(*client, op.number), out);
    case OpState::kWaiting: return;  // a copy of a waiting acquire: the answer will be for both
    case OpState::kUnknownClient:
    case OpState::kNew: break;
  }
  const size_t most = scale * base::kMaxAnswersPerClient;
  if (!refused && client->ops.size() >= most) {
    refused = exhausted("answersPerClient", most,
                        "client " + std::to_string(op.client.value) +
                            " has too many operations whose answers it hasn't confirmed");
  }
  if (!refused && clients.op_count() >= scale * limits.answers) {
    refused = exhausted("answers", limits.answers,
                        "the cell keeps too many answers that clients haven't confirmed");
  }
  // Not recorded: the same number may be sent again.
  if (refused) return reply(op, std::move(*refused), out);
  apply_new(*client, command, out);
}

void LockTable::State::apply_new(Client& client, const Command& command, Applied& out) {
  const OpId& op = command.op;
  std::optional<Answer> answer;
  if (auto error = validate_body(command)) {
    answer = std::move(*error);
  } else {
    answer = std::visit(
        [&](const auto& body) -> std::optional<Answer> {
          if constexpr (requires { execute(op, body, out); }) return execute(op, body, out);
          HF_ASSERT(false);  // validate_op refused it
          return std::nullopt;
        },
        command.body);
  }
  if (answer) {
    const bool gone = std::holds_alternative<ForgetClient>(command.body);
    reply(op, gone ? *answer : clients.record(client, op.number, std::move(*answer)), out);
  }
  // After the command's own answer, so that replies come in the order of what they tell.
  serve_touched(out);
}

void LockTable::State::apply_unnumbered(const Command& command, Applied& out) {
  if (auto error = validate_body(command)) return reply(command.op, std::move(*error), out);
  if (const auto* body = std::get_if<RegisterClient>(&command.body)) {
    reply(command.op, register_client(*body), out);
  } else if (const auto* leader = std::get_if<NewLeader>(&command.body)) {
    meta.leader = leader->ballot;
  } else {
    expire_leases(std::get<ExpireLeases>(command.body), out);
  }
}

Answer LockTable::State::register_client(const RegisterClient& body) {
  clients.drop_idle(meta.cell_time_ms);
  if (clients.size() >= limits.clients) {
    return exhausted("clients", limits.clients, "the cell has no room for more clients");
  }
  const base::ClientId id{advance().value};
  const uint64_t ttl_ms = body.ttl_ms == 0 ? base::kClientTtlMs : body.ttl_ms;
  clients.add({id, 1, {}, meta.cell_time_ms, ttl_ms});
  return ClientRegistered{id};
}

std::optional<Answer> LockTable::State::execute(const OpId& op, const ForgetClient&, Applied& out) {
  Client& client = *clients.find(op.client);
  std::vector<Claim*> waiting;
  for (const auto& [number, record] : client.ops) {
    if (record.waiting != nullptr) waiting.push_back(record.waiting);
  }
  for (Claim* waiter : waiting) give_up(*waiter, "forgotten", "its client said goodbye", out);
  // Its leases live on: who has a lease's id may use it (`lockctl lease open` does so).
  clients.remove(client);
  return Done{meta.revision};
}

std::optional<Answer> LockTable::State::execute(const OpId& op, const CancelWait& body,
                                                Applied& out) {
  Client& client = *clients.find(op.client);
  switch (clients.state(client, body.target)) {
    case OpState::kNew:
      // A copy of the target may still be under way: settle the number before it arrives.
      if (!HF_MUTANT(cancel_settles_nothing)) {
        clients.record(client, body.target, wait_cancelled("its client gave it up"));
      }
      return WaitCancelled{};
    case OpState::kWaiting: {
      const Answer cancelled = wait_cancelled("its client gave it up");
      end_wait(*client.ops.find(body.target)->second.waiting, "cancelled", &cancelled, out);
      return WaitCancelled{};
    }
    case OpState::kAnswered: {
      // What has happened has happened: the client learns it from here as well.
      const Answer& answer = *clients.recorded(client, body.target);
      if (std::holds_alternative<base::Error>(answer)) return WaitCancelled{};
      return answer;
    }
    case OpState::kUnknownClient:
    case OpState::kSettled: break;
  }
  // The client has the target's answer, by its own words: nothing can be granted any more.
  return WaitCancelled{};
}

// -- leases ---------------------------------------------------------------------------------------

std::optional<Answer> LockTable::State::execute(const OpId& op, const OpenLease& body,
                                                Applied& out) {
  if (leases.size() >= limits.leases) {
    return exhausted("leases", limits.leases, "the cell has no room for more leases");
  }
  const base::Revision revision = advance();
  const base::LeaseId id{revision.value};
  const uint64_t ttl_ms = body.ttl_ms == 0 ? base::kDefaultLeaseTtlMs : body.ttl_ms;
  const Lease& lease = leases.add(
      {id, op.client, ttl_ms, body.lock_delay_ms, body.secret, nullptr, meta.wall_ms}, body.owner);
  clients.lease_opened(op.client);
  log_event(EventType::kLeaseOpen, revision, "", {}, lease, "opened");
  out.opened.push_back(id);
  return LeaseOpened{id, ttl_ms, body.secret};
}

std::optional<Answer> LockTable::State::execute(const OpId&, const CloseLease& body, Applied& out) {
  Lease* lease = leases.find(body.lease);
  if (lease == nullptr) return lease_not_found(body.lease);
  const base::Revision revision = meta.revision.next();  // of the lease-close event
  end_leases({lease}, EventType::kLeaseClose, out);
  return Done{revision};
}

void LockTable::State::expire_leases(const ExpireLeases& body, Applied& out) {
  // P13. A leader decides to expire leases by what it knows of their renewals. If this comes to be
  // applied under a later leader, that one may have renewed them meanwhile: then it must do
  // nothing.
  if (body.decided != meta.leader) return;
  std::vector<Lease*> ending;
  for (base::LeaseId id : body.leases) {
    Lease* lease = leases.find(id);
    if (lease == nullptr || lease->ending) continue;
    lease->ending = true;
    ending.push_back(lease);
  }
  expirations_total += ending.size();
  end_leases(ending, EventType::kLeaseExpire, out);
  serve_touched(out);
}

void LockTable::State::end_leases(const std::vector<Lease*>& ending, EventType type, Applied& out) {
  const bool expired = type == EventType::kLeaseExpire;
  const char* cause = expired ? "expired" : "closed";
  // All waits end before the first hold does. Else a hold of one of these leases could pass to
  // another that ends in the same command: a grant to the dead.
  for (Lease* lease : ending) {
    log_event(type, advance(), "", {}, *lease, cause);
    const Answer gone = lease_not_found(lease->row.id);
    while (!lease->waits.empty()) end_wait(*lease->waits.front(), cause, &gone, out);
    if (HF_MUTANT(grant_to_the_dead)) {
      while (!lease->holds.empty()) end_hold(*lease->holds.front(), EventType::kExpire, cause);
      serve_touched(out);
    }
  }
  for (Lease* lease : ending) {
    while (!lease->holds.empty()) {
      end_hold(*lease->holds.front(), expired ? EventType::kExpire : EventType::kRelease, cause);
    }
    out.ended.push_back(lease->row.id);
    clients.lease_ended(lease->row.client, meta.cell_time_ms);
    leases.remove(*lease);
  }
}

// -- locks ----------------------------------------------------------------------------------------

namespace {

base::Error would_block(const Acquire& body) {
  return {base::ErrorCode::kWouldBlock,
          "lock \"" + body.locks.front().name + "\" is not free for this request now",
          {{"lock", body.locks.front().name}}};
}

// This holder of this lease has a claim on the lock already.
base::Error already_claimed(const Claim& claim) {
  return invalid("holder " + std::to_string(claim.holder.value) + " of lease " +
                 base::lease_text(claim.lease->row.id) +
                 (claim.held ? " holds lock \"" : " waits for lock \"") + claim.lock->first +
                 "\" already; a second hold of a lease needs another holder id");
}

base::Error not_held(const Release& body, const Lock* lock) {
  base::Error error{base::ErrorCode::kNotHeld, "", {{"lock", body.lock}}};
  const std::string claim = "lease " + base::lease_text(body.lease) + " doesn't hold lock \"" +
                            body.lock + "\" with token " + std::to_string(body.token.value);
  if (lock == nullptr || lock->holders.empty()) {
    error.message = claim + ": nobody holds it";
    return error;
  }
  const Claim& holder = *lock->holders.front();
  const std::string token = std::to_string(holder.id.value);
  const std::string lease = base::lease_text(holder.lease->row.id);
  error.message = claim + ": it is held with token " + token + " by lease " + lease;
  if (lock->held_modes.total() > 1) error.message += ", and by others";
  error.detail.insert(error.detail.end(), {{"heldToken", token}, {"heldLease", lease}});
  return error;
}

}  // namespace

std::optional<Answer> LockTable::State::execute(const OpId& op, const Acquire& body, Applied&) {
  Lease* lease = leases.find(body.lease);
  if (lease == nullptr) return lease_not_found(body.lease);
  const LockRequest& request = body.locks.front();  // validated: there is exactly one
  LockRef lock = claims.find(request.name);
  const bool exists = lock != claims.end();
  if (exists) {
    const Claim* other = claims.find(lock, lease, body.holder);
    if (other != nullptr) return already_claimed(*other);
  }
  if (lease->hold_count + lease->wait_count >= limits.holds_per_lease) {
    return exhausted("holdsPerLease", limits.holds_per_lease,
                     "lease " + base::lease_text(body.lease) + " has too many holds");
  }
  if (claims.size() >= limits.holds) {
    return exhausted("holds", limits.holds, "the cell has no room for more holds and waits");
  }
  const bool overtakes = HF_MUTANT(waiter_overtaken) && exists &&
                         (lock->second.held_modes.conflicts() & set_of(request.mode)) == 0;
  if (!exists || overtakes || grantable(lock->second, request.mode)) {
    if (!exists) lock = claims.find_or_add(request.name);
    return Granted{{grant_at_once(make_claim(lock, *lease, op, body))}};
  }
  if (!body.wait) return would_block(body);
  if (const Claim* own = own_hold_in_the_way(lock->second, *lease, body.agent, request.mode)) {
    return would_wait_for_itself(*own);
  }
  if (lock->second.waiter_count() >= limits.waiters_per_lock) {
    return exhausted("waitersPerLock", limits.waiters_per_lock,
                     "too many wait for lock \"" + request.name + "\"");
  }
  Claim claim = make_claim(lock, *lease, op, body);
  claim.id = advance();
  claim.client = op.client;
  Claim& waiter = claims.add(std::move(claim));
  claims.change(lock, waiter.id);
  clients.record_waiting(*clients.find(op.client), op.number, waiter);
  log_event(EventType::kQueue, waiter.id, request.name, {}, *lease, "busy");
  return std::nullopt;
}

std::optional<Answer> LockTable::State::execute(const OpId&, const Release& body, Applied&) {
  if (leases.find(body.lease) == nullptr) return lease_not_found(body.lease);
  Claim* hold = claims.find(body.token);
  if (hold == nullptr || !hold->held || hold->lease->row.id != body.lease ||
      hold->lock->first != body.lock) {
    const LockRef lock = claims.find(body.lock);
    return not_held(body, lock == claims.end() ? nullptr : &lock->second);
  }
  end_hold(*hold, EventType::kRelease, "released");
  if (HF_MUTANT(release_wakes_nobody)) {
    for (LockRef lock : touched_) lock->second.touched = false;
    touched_.clear();
  }
  return Done{meta.revision};
}

Claim LockTable::State::make_claim(LockRef lock, Lease& lease, const OpId& op,
                                   const Acquire& body) const {
  Claim claim;
  claim.lock = lock;
  claim.lease = &lease;
  claim.holder = body.holder;
  claim.agent = body.agent;
  claim.number = op.number;
  claim.since_wall_ms = meta.wall_ms;
  if (!body.reason.empty()) claim.reason = std::make_unique<const std::string>(body.reason);
  claim.permits = body.locks.front().permits;
  claim.mode = body.locks.front().mode;
  return claim;
}

base::Token LockTable::State::grant_at_once(Claim claim) {
  const base::Token token = HF_MUTANT(token_of_the_release) ? meta.revision : advance();
  claim.id = token;
  claim.held = true;
  const Claim& hold = claims.add(std::move(claim));
  claims.change(hold.lock, token);
  log_event(EventType::kGrant, token, hold.lock->first, token, *hold.lease, "free");
  ++grants_total;
  return token;
}

void LockTable::State::grant_waiter(Claim& waiter, Applied& out) {
  const base::Token token = advance();
  const base::ClientId client = waiter.client;
  claims.grant(waiter, token, meta.wall_ms);
  claims.change(waiter.lock, token);
  log_event(EventType::kGrant, token, waiter.lock->first, token, *waiter.lease, "waited");
  ++grants_total;
  const Answer& answer =
      clients.settle_wait(client, waiter.number, Granted{{token}}, meta.cell_time_ms);
  out.replies.push_back({client, waiter.number, answer});
}

void LockTable::State::end_hold(Claim& hold, EventType type, const char* cause) {
  const base::Revision revision = advance();
  log_event(type, revision, hold.lock->first, hold.id, *hold.lease, cause);
  touch(hold.lock, revision);
  claims.remove(hold);
}

void LockTable::State::end_wait(Claim& waiter, const char* cause, const Answer* answer,
                                Applied& out) {
  const base::Revision revision = advance();
  log_event(EventType::kCancel, revision, waiter.lock->first, {}, *waiter.lease, cause);
  if (answer != nullptr) {
    clients.settle_wait(waiter.client, waiter.number, *answer, meta.cell_time_ms);
    out.replies.push_back({waiter.client, waiter.number, *answer});
  } else {
    clients.forget_wait(*clients.find(waiter.client), waiter.number);
  }
  touch(waiter.lock, revision);
  claims.remove(waiter);
}

void LockTable::State::give_up(Claim& waiter, const char* cause, const char* why, Applied& out) {
  // Somebody may still listen for it.
  out.replies.push_back({waiter.client, waiter.number, wait_cancelled(why)});
  end_wait(waiter, cause, nullptr, out);
}

void LockTable::State::touch(LockRef lock, base::Revision revision) {
  claims.change(lock, revision);
  if (lock->second.touched) return;
  lock->second.touched = true;
  touched_.push_back(lock);
}

void LockTable::State::serve_touched(Applied& out) {
  for (LockRef lock : touched_) {
    lock->second.touched = false;
    while (Claim* waiter = next_grantable(lock->second)) {
      grant_waiter(*waiter, out);
      if (HF_MUTANT(one_reader_at_a_time)) break;
    }
    claims.drop_if_unused(lock);
  }
  touched_.clear();
}

// -- revisions and events -------------------------------------------------------------------------

base::Revision LockTable::State::advance() {
  meta.revision = meta.revision.next();
  return meta.revision;
}

void LockTable::State::log_event(EventType type, base::Revision revision, const std::string& name,
                                 base::Token token, const Lease& lease, const char* cause) {
  events.push_back({revision, type, name, token, lease.row.id, lease.row.owner, cause, meta.wall_ms,
                    meta.cell_time_ms});
  meta.event_digest = chain_event(meta.event_digest, events.back());
}

}  // namespace holdfast::locks
