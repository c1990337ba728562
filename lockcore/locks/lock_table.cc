// Carrying out commands: exactly once, and what they do to clients and leases. For what they do to
// locks see lock_commands.cc.
//
// Every command takes effect as a whole: first what it ends, then, through serve_touched(), what
// that lets others have. So a release and the grant that follows from it are one slot (DESIGN 7).
#include "lockcore/locks/lock_table.h"

#include <algorithm>

#include "lockcore/base/assert.h"
#include "lockcore/base/lease_text.h"
#include "lockcore/base/limits.h"
#include "lockcore/base/mutant.h"
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
  if (HF_MUTANT(cell_time_turns_back)) state.meta.cell_time_ms = batch->cell_time_ms;
  state.meta.wall_ms = batch->wall_ms;
  state.end_delays(out);
  for (const Command& command : batch->commands) state.apply(command, out);
  state.meta.event_digest = state.events.complete(state.meta.event_digest);
}

const base::Config& LockTable::config() const {
  return state_->config;
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
    case OpState::kSettled:
      if (HF_MUTANT(late_copy_acts)) break;
      return reply(op, already_answered(op.number), out);
    case OpState::kAnswered:
      if (HF_MUTANT(retry_acts_again)) break;
      return reply(op, *clients.recorded(*client, op.number), out);
    case OpState::kWaiting: return;  // a copy of a waiting acquire: the answer will be for both
    case OpState::kUnknownClient:
    case OpState::kNew: break;
  }
  if (!refused && std::holds_alternative<Txn>(command.body)) refused = refuse_answer(*client);
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

// An answer to a transaction may be large, and is kept until the client says that it has it.
std::optional<base::Error> LockTable::State::refuse_answer(const Client& client) const {
  if (client.answer_bytes >= base::kMaxAnswerBytesPerClient) {
    return exhausted("answerBytesPerClient", base::kMaxAnswerBytesPerClient,
                     "client " + std::to_string(client.row.id.value) +
                         " has too much in answers that it hasn't confirmed");
  }
  if (clients.answer_bytes() >= base::kMaxAnswerBytes) {
    return exhausted("answerBytes", base::kMaxAnswerBytes,
                     "the cell keeps too much in answers that clients haven't confirmed");
  }
  return std::nullopt;
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
  } else if (const auto* expire = std::get_if<ExpireLeases>(&command.body)) {
    expire_leases(*expire, out);
  } else if (const auto* change = std::get_if<Reconfigure>(&command.body)) {
    reconfigure(*change);
  } else if (const auto* checkpoint = std::get_if<CheckpointLeases>(&command.body)) {
    checkpoint_leases(*checkpoint);
  } else {
    HF_ASSERT(std::holds_alternative<AdvanceTime>(command.body));  // its batch's time did it
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
  if (auto error = policies.refuse_lease(body.owner)) return std::move(*error);
  const base::Revision revision = advance();
  const base::LeaseId id{revision.value};
  const uint64_t ttl_ms = body.ttl_ms == 0 ? base::kDefaultLeaseTtlMs : body.ttl_ms;
  const Lease& lease = leases.add({.id = id,
                                   .client = op.client,
                                   .ttl_ms = ttl_ms,
                                   .lock_delay_ms = body.lock_delay_ms,
                                   .secret = body.secret,
                                   .opened_wall_ms = meta.wall_ms,
                                   .drop_on_disconnect = body.drop_on_disconnect},
                                  body.owner);
  clients.lease_opened(op.client);
  log_event(EventType::kLeaseOpen, revision, lease, "opened");
  out.opened.push_back(id);
  return LeaseOpened{id, ttl_ms, body.secret, body.drop_on_disconnect};
}

Lease* LockTable::State::lease_for(const OpId& op, base::LeaseId id) {
  Lease* lease = leases.find(id);
  const bool lost = lease != nullptr && lease->row.former && lease->row.former == op.client;
  return lost ? nullptr : lease;
}

std::optional<Answer> LockTable::State::execute(const OpId& op, const AdoptLease& body,
                                                Applied& out) {
  Lease* lease = leases.find(body.lease);
  if (lease == nullptr) return lease_not_found(body.lease);
  base::LeaseRow& row = lease->row;
  if (row.secret != body.secret) {
    return base::Error{base::ErrorCode::kPermissionDenied,
                       "this is not the secret of lease " + base::lease_text(row.id),
                       {{"lease", base::lease_text(row.id)}}};
  }
  // Whoever waited for these answers is taken to be gone.
  const Answer gone = lease_not_found(row.id);
  while (!lease->waits.empty()) {
    end_wait(*lease->waits.front(), "adopted", &gone, out);
  }
  for (Claim* hold = lease->holds.front(); hold != nullptr; hold = ClaimsOfLease::next(hold)) {
    claims.set_holder(*hold, hold->holder, base::kNoAgent);
  }
  if (row.client != op.client) {
    clients.lease_ended(row.client, meta.cell_time_ms);
    clients.lease_opened(op.client);
  }
  set_owner(*lease, body.owner);
  leases.adopt(*lease, op.client);
  log_event(EventType::kLeaseOpen, advance(), *lease, "adopted");
  return LeaseOpened{row.id, row.ttl_ms, row.secret, row.drop_on_disconnect};
}

// Quotas count by owners.
void LockTable::State::set_owner(Lease& lease, const base::Owner& owner) {
  const auto count = [&](int change) {
    policies.count(lease, change);
    for (Claim* hold = lease.holds.front(); hold != nullptr; hold = ClaimsOfLease::next(hold)) {
      policies.count(*hold, change);
    }
    for (Key* key = lease.keys.front(); key != nullptr; key = KeysOfLease::next(key)) {
      policies.count(*key, change);
    }
  };
  count(-1);
  leases.set_owner(lease, owner);
  count(1);
}

std::optional<Answer> LockTable::State::execute(const OpId& op, const CloseLease& body,
                                                Applied& out) {
  Lease* lease = lease_for(op, body.lease);
  if (lease == nullptr) return lease_not_found(body.lease);
  const base::Revision revision = meta.revision.next();  // of the lease-close event
  end_leases({lease}, EventType::kLeaseClose, out);
  return Done{revision};
}

void LockTable::State::expire_leases(const ExpireLeases& body, Applied& out) {
  // P13. A leader decides to expire leases by what it knows of their renewals. If this comes to be
  // applied under a later leader, that one may have renewed them meanwhile: then it must do
  // nothing.
  if (body.decided != meta.leader && !HF_MUTANT(late_decision_counts)) return;
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

void LockTable::State::checkpoint_leases(const CheckpointLeases& body) {
  // P13, as above: what a later leader gave the lease must not be taken from it.
  if (body.decided != meta.leader) return;
  for (const CheckpointLeases::Remainder& remainder : body.leases) {
    Lease* lease = leases.find(remainder.lease);
    if (lease != nullptr) leases.set_left(*lease, std::min(remainder.left_ms, lease->row.ttl_ms));
  }
}

void LockTable::State::end_leases(const std::vector<Lease*>& ending, EventType type, Applied& out) {
  const bool expired = type == EventType::kLeaseExpire;
  const char* cause = expired ? "expired" : "closed";
  // All waits end before the first hold does. Else a hold of one of these leases could pass to
  // another that ends in the same command: a grant to the dead.
  for (Lease* lease : ending) {
    log_event(type, advance(), *lease, cause);
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
    while (!lease->keys.empty()) {
      const Key& key = *lease->keys.front();
      if (HF_MUTANT(keys_outlive_their_lease)) {
        keys.put(*key.name, key.value, nullptr, advance());
      } else {
        delete_key(key, cause);
      }
    }
    out.ended.push_back(lease->row.id);
    clients.lease_ended(lease->row.client, meta.cell_time_ms);
    leases.remove(*lease);
  }
}

// -- revisions and events -------------------------------------------------------------------------

base::Revision LockTable::State::advance() {
  meta.revision = meta.revision.next();
  return meta.revision;
}

// P9. What was decided while another configuration held does nothing: two changes that were
// decided beside each other, by two leaders, must not add up to one that skips a quorum.
void LockTable::State::reconfigure(const Reconfigure& body) {
  constexpr base::ConfigVersion kAsFounded{1};
  const base::ConfigVersion current = std::max(meta.config_version, kAsFounded);
  if (body.config.version != current.next()) return;
  config = body.config;
  config.cell = {};
  meta.config_version = config.version;
  config_changed = true;
  base::EventRow& event = events.add();
  event.revision = advance();
  event.type = EventType::kMember;
  event.cause = "changed";
  event.at_wall_ms = meta.wall_ms;
  event.at_cell_ms = meta.cell_time_ms;
  event.note = body.note;
}

base::EventRow& LockTable::State::log_event(EventType type, base::Revision revision,
                                            const Lease& lease, const char* cause) {
  base::EventRow& event = events.add();
  event.revision = revision;
  event.type = type;
  event.lease = lease.row.id;
  event.owner = lease.row.owner;
  event.cause = cause;
  event.at_wall_ms = meta.wall_ms;
  event.at_cell_ms = meta.cell_time_ms;
  return event;
}

base::EventRow& LockTable::State::log_event(EventType type, base::Revision revision,
                                            const Claim& claim, const char* cause) {
  base::EventRow& event = log_event(type, revision, *claim.lease, cause);
  event.name = claim.lock->first;
  if (claim.held) event.token = claim.id;
  event.mode = claim.mode;
  event.permits = claim.permits;
  return event;
}

}  // namespace holdfast::locks
