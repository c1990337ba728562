// The state as rows, and back: what changed, everything in canonical order, and restoring it.
#include <algorithm>
#include <map>
#include <utility>

#include "lockcore/base/assert.h"
#include "lockcore/base/limits.h"
#include "lockcore/locks/digest.h"
#include "lockcore/locks/lock_table.h"
#include "lockcore/locks/lock_table_state.h"

namespace holdfast::locks {

base::StateWrite LockTable::take_changes() {
  State& state = *state_;
  base::StateWrite out;
  out.meta = state.meta;
  state.leases.take_changes(out.leases);
  state.claims.take_changes(out);
  state.clients.take_changes(out);
  if (std::exchange(state.config_changed, false)) out.config = state.config;
  state.keys.take_changes(out);
  state.policies.take_changes(out.policies);
  out.events = state.events.take();
  state.taken = state.meta.applied;
  return out;
}

unsigned LockTable::unrecorded_percent() const {
  return state_->events.unrecorded_percent();
}

base::Revision LockTable::events_floor() const {
  return state_->events.floor();
}

void LockTable::visit_events(base::Revision after,
                             const std::function<bool(const base::EventRow&)>& visit) const {
  state_->events.visit_above(after, visit);
}

// The state changes with a slot, and in no other way.
bool LockTable::has_changes() const {
  return state_->taken != state_->meta.applied;
}

base::StateRows LockTable::rows() const {
  return state_->rows();
}

uint64_t LockTable::digest() const {
  return digest_of(state_->rows());
}

std::optional<std::string> LockTable::restore(base::StateRows rows) {
  auto restored = std::make_unique<State>();
  restored->limits = state_->limits;
  if (auto problem = restored->load(std::move(rows))) return problem;
  if (auto problem = restored->contradiction()) return problem;
  state_ = std::move(restored);
  return std::nullopt;
}

// -- canonical order ------------------------------------------------------------------------------

namespace {

template <class Row, class Key>
void sort_by(std::vector<Row>& rows, Key Row::*key) {
  std::sort(rows.begin(), rows.end(),
            [key](const Row& a, const Row& b) { return a.*key < b.*key; });
}

void sort_rows(base::StateRows& rows) {
  sort_by(rows.leases, &base::LeaseRow::id);
  sort_by(rows.locks, &base::LockRow::name);
  sort_by(rows.holds, &base::HoldRow::token);
  sort_by(rows.waiters, &base::WaiterRow::queued);
  sort_by(rows.clients, &base::ClientRow::id);
  sort_by(rows.answers, &base::AnswerRow::key);
  sort_by(rows.keys, &base::KeyRow::key);
  sort_by(rows.sequences, &base::SequenceRow::prefix);
  sort_by(rows.policies, &base::PolicyRow::key);
}

}  // namespace

base::StateRows LockTable::State::rows() const {
  base::StateRows out;
  out.meta = meta;
  leases.visit_above({}, [&](const Lease& lease) {
    out.leases.push_back(lease.row);
    return true;
  });
  for (const auto& lock : claims.locks()) out.locks.push_back(lock_row(lock));
  claims.visit_claims([&](const Claim& claim) {
    if (claim.held) {
      out.holds.push_back(hold_row(claim));
    } else {
      out.waiters.push_back(waiter_row(claim));
    }
  });
  clients.visit_clients([&](const Client& client) {
    out.clients.push_back(client.row);
    for (const auto& [number, record] : client.ops) {
      if (record.waiting == nullptr) out.answers.push_back(answer_row(record));
    }
  });
  out.config = config;
  for (const auto& [name, key] : keys.keys()) out.keys.push_back(key_row(key));
  keys.visit_sequences([&](base::SequenceRow row) { out.sequences.push_back(std::move(row)); });
  for (const auto& [key, policy] : policies.policies()) out.policies.push_back(policy.row);
  sort_rows(out);
  return out;
}

// -- restoring ------------------------------------------------------------------------------------

namespace {

// Rows as they were found on a disk: every reference between them is looked at before it is used.
class Loader {
 public:
  Loader(const base::MetaRow& meta, PolicyTable& policies, LeaseTable& leases, ClaimTable& claims,
         KeyTable& keys, ClientTable& clients)
      : meta_(meta),
        policies_(policies),
        leases_(leases),
        claims_(claims),
        keys_(keys),
        clients_(clients) {}

  std::optional<std::string> load(base::StateRows& rows) {
    // First: they count what comes after them, and close the locks under drains.
    for (base::PolicyRow& row : rows.policies) load_policy(std::move(row));
    for (base::ClientRow& row : rows.clients) load_client(std::move(row));
    for (base::LeaseRow& row : rows.leases) load_lease(std::move(row));
    for (const base::LockRow& row : rows.locks) load_lock(row);
    for (base::HoldRow& row : rows.holds) load_hold(row);
    for (base::WaiterRow& row : rows.waiters) load_waiter(row);
    for (const base::AnswerRow& row : rows.answers) load_answer(row);
    load_keys(rows.keys);
    keys_.set_sequence_floor(meta_.sequence_floor);
    for (const base::SequenceRow& row : rows.sequences) load_sequence(row);
    return problem_;
  }

 private:
  // The first problem is told: those after it may only follow from it.
  bool require(bool sound, const std::string& what) {
    if (!sound && !problem_) problem_ = what;
    return sound;
  }
  // Revisions of ids and rows: no two alike, none from the future, ascending after sorting.
  bool check_id(base::Revision id, base::Revision& last, const std::string& what) {
    const bool sound = require(last < id, what + " is there twice, or has no id") &&
                       require(id <= meta_.revision, what + " is above the state's own revision " +
                                                         std::to_string(meta_.revision.value));
    last = id;
    return sound;
  }

  void load_policy(base::PolicyRow row) {
    const std::string what =
        std::string(base::policy_name(row.key.kind)) + " \"" + row.key.name + "\"";
    if (!require(policies_.find(row.key) == nullptr, what + " is there twice")) return;
    policies_.set(std::move(row));
  }

  // Those of one lease are in the order of their last changes.
  void load_keys(std::vector<base::KeyRow>& rows) {
    std::vector<const base::KeyRow*> by_revision;
    for (const base::KeyRow& row : rows) by_revision.push_back(&row);
    std::sort(by_revision.begin(), by_revision.end(),
              [](const auto* a, const auto* b) { return a->revision < b->revision; });
    for (const base::KeyRow* row : by_revision) load_key(*row);
  }

  void load_key(const base::KeyRow& row) {
    const std::string what = "key \"" + row.key + "\"";
    if (!check_id(row.revision, last_key_, what)) return;
    require(row.version != 0 && row.create && row.create <= row.revision,
            what + " has a version, a creation and a change that contradict each other");
    Lease* lease = leases_.find(row.lease);
    if (!require(
            !row.lease || lease != nullptr,
            what + " names lease " + std::to_string(row.lease.value) + ", which isn't there")) {
      return;
    }
    require(keys_.load(row, lease), what + " is there twice");
  }

  void load_sequence(const base::SequenceRow& row) {
    const std::string what = "the sequence of \"" + row.prefix + "\"";
    require(row.revision <= meta_.revision && row.last <= base::kMaxSequence,
            what + " is above what there can be");
    require(keys_.load(row), what + " is there twice, or was used together with another");
  }

  void load_client(base::ClientRow row) {
    const std::string what = "client " + std::to_string(row.id.value);
    if (!check_id({row.id.value}, last_client_, what)) return;
    uint64_t above = row.lowest_unanswered;
    for (const auto& [first, last] : row.acked) {
      if (!require(first > above && first <= last, what + " has ranges that overlap")) return;
      above = last + 1;
    }
    clients_.add(std::move(row));
  }

  void load_lease(base::LeaseRow row) {
    const std::string what = "lease " + std::to_string(row.id.value);
    if (!check_id({row.id.value}, last_lease_, what)) return;
    base::Owner owner = row.owner == nullptr ? base::Owner() : *row.owner;
    clients_.lease_opened(row.client);
    leases_.add(std::move(row), std::move(owner));
  }

  void load_lock(const base::LockRow& row) {
    const std::string what = "lock \"" + row.name + "\"";
    if (!require(claims_.find(row.name) == claims_.end(), what + " is there twice")) return;
    require(row.revision <= meta_.revision, what + " is above the state's own revision");
    require((row.kind == base::LockKind::kSemaphore) == (row.capacity != 0),
            what + " has a kind and a capacity that contradict each other");
    const LockRef lock = claims_.find_or_add(row.name);
    lock->second.kind = row.kind;
    lock->second.capacity = row.capacity;
    require(row.delay_blocks <= kAllModes, what + " has a delay for modes that there aren't");
    if (row.delay_until_ms != 0) {
      claims_.set_delay(
          lock, {row.delay_until_ms, static_cast<ModeSet>(row.delay_blocks), row.delay_permits});
    }
    claims_.change(lock, row.revision);
  }

  template <class Row>
  std::optional<Claim> make_claim(Row& row, const std::string& what) {
    if (!require(static_cast<size_t>(row.mode) < kModeCount, what + " has no known mode")) {
      return std::nullopt;
    }
    Claim claim;
    claim.lease = leases_.find(row.lease);
    claim.lock = claims_.find(row.lock);
    const bool sound =
        require(claim.lease != nullptr,
                what + " names lease " + std::to_string(row.lease.value) + ", which isn't there") &&
        require(claim.lock != claims_.end(),
                what + " names lock \"" + row.lock + "\", which isn't there");
    if (!sound) return std::nullopt;
    claim.holder = row.holder;
    claim.agent = row.agent;
    claim.number = row.number;
    if (!row.value.empty()) claim.value = std::make_unique<const std::string>(row.value);
    claim.mode = row.mode;
    claim.permits = row.permits;
    if (!row.reason.empty()) claim.reason = std::make_unique<const std::string>(row.reason);
    return claim;
  }

  // A new hold, or a wait for one: the only claim of this holder on the lock.
  bool require_alone(const Claim& claim, const std::string& what) {
    return require(
        claims_.find(claim.lock, claim.lease, claim.holder) == nullptr,
        what + " is the second claim of its holder on lock \"" + claim.lock->first + "\"");
  }

  void load_hold(base::HoldRow& row) {
    const std::string what = "hold " + std::to_string(row.token.value);
    if (!check_id(row.token, last_hold_, what)) return;
    auto claim = make_claim(row, what);
    if (!claim || !require_alone(*claim, what)) return;
    const Lock& lock = claim->lock->second;
    const bool fits = lock.counts_permits() ? lock.held_permits + row.permits <= lock.capacity
                                            : (lock.held_modes.conflicts() & set_of(row.mode)) == 0;
    require(fits, what + " conflicts with another hold of lock \"" + row.lock + "\"");
    claim->id = row.token;
    claim->held = true;
    claim->since_wall_ms = row.acquired_wall_ms;
    claim->since_cell_ms = row.acquired_cell_ms;
    claims_.add(std::move(*claim));
  }

  void load_waiter(base::WaiterRow& row) {
    const std::string what = "waiter " + std::to_string(row.queued.value);
    if (!check_id(row.queued, last_waiter_, what)) return;
    if (!require(claims_.find(row.queued) == nullptr, what + " has the id of a hold")) return;
    Client* client = clients_.find(row.client);
    if (!require(client != nullptr, what + " names client " + std::to_string(row.client.value) +
                                        ", which isn't there")) {
      return;
    }
    // Several rows of one operation are one request for several locks.
    Claim*& last = last_of_[{row.client, row.number}];
    if (last == nullptr && !require_new(*client, row.number, what)) return;
    auto claim = make_claim(row, what);
    if (!claim) return;
    claim->id = row.queued;
    claim->client = row.client;
    claim->since_wall_ms = row.since_wall_ms;
    claim->since_cell_ms = row.since_cell_ms;
    if (row.converts) {
      if (last != nullptr || !load_conversion(*claim, row.converts, what)) return;
    } else if (!require_alone(*claim, what) || !joins(*claim, last, what)) {
      return;
    }
    Claim& added = claims_.add(std::move(*claim), last);
    if (last == nullptr) clients_.record_waiting(*client, row.number, added);
    last = &added;
  }

  bool joins(const Claim& claim, const Claim* last, const std::string& what) {
    return last == nullptr ||
           require(last->lease == claim.lease && !last->converts,
                   what + " belongs to a request of another lease, or of another kind");
  }

  bool load_conversion(Claim& claim, base::Token token, const std::string& what) {
    Claim* hold = claims_.find(token);
    const bool sound = hold != nullptr && hold->held && hold->lock == claim.lock &&
                       hold->lease == claim.lease && hold->partner == nullptr;
    if (!require(sound, what + " is to change a hold that isn't there, or changes already")) {
      return false;
    }
    claim.converts = true;
    claim.partner = hold;
    return true;
  }

  void load_answer(const base::AnswerRow& row) {
    const std::string what = "the answer to operation " + std::to_string(row.key.number) +
                             " of client " + std::to_string(row.key.client.value);
    Client* client = clients_.find(row.key.client);
    if (!require(client != nullptr, what + " has no such client")) return;
    if (!require_new(*client, row.key.number, what)) return;
    auto answer = decode_answer(row.answer);
    if (!require(answer.has_value(), what + " can't be read")) return;
    clients_.record(*client, row.key.number, std::move(*answer));
  }

  bool require_new(const Client& client, uint64_t number, const std::string& what) {
    return require(clients_.state(client, number) == OpState::kNew,
                   what + " belongs to an operation that has another record, or is settled");
  }

  const base::MetaRow& meta_;
  PolicyTable& policies_;
  LeaseTable& leases_;
  ClaimTable& claims_;
  KeyTable& keys_;
  ClientTable& clients_;
  base::Revision last_client_, last_lease_, last_hold_, last_waiter_, last_key_;
  std::map<base::AnswerKey, Claim*> last_of_;  // of an operation that waits, its last claim so far
  std::optional<std::string> problem_;
};

}  // namespace

std::optional<std::string> LockTable::State::load(base::StateRows rows) {
  sort_rows(rows);
  meta = rows.meta;
  config = std::move(rows.config);
  if (config.version != meta.config_version) return "the members are of another configuration";
  events = EventLog(meta.revision);
  if (auto problem = Loader(meta, policies, leases, claims, keys, clients).load(rows)) {
    return problem;
  }
  taken = meta.applied;
  leases.mark_recorded();
  claims.mark_recorded();
  clients.mark_recorded();
  keys.mark_recorded();
  policies.mark_recorded();
  return std::nullopt;
}

}  // namespace holdfast::locks
