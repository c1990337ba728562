// LockTable: the replicated state machine: clients, leases, locks, holds, queues, events.
//
// Contract. apply() is a pure function of the state and the batch: same result on every node and
// at every replay (DESIGN 7). It knows no time but the batch's, no randomness, no I/O. Lease
// deadlines are not here: they are the active leader's (node/lease_clock.h). All queries are const
// and see the state as of the last applied slot. Not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lockcore/base/limits.h"
#include "lockcore/base/state_rows.h"
#include "lockcore/locks/command.h"
#include "lockcore/locks/explain.h"

namespace holdfast::locks {

// How much the table admits. A refusal is part of the replicated answers, so all nodes of a cell
// have the same limits; only tests have smaller ones.
struct TableLimits {
  size_t leases = base::kMaxLeases;
  size_t holds = base::kMaxHolds;
  size_t holds_per_lease = base::kMaxHoldsPerLease;
  size_t waiters_per_lock = base::kMaxWaitersPerLock;
  size_t clients = base::kMaxClients;
  size_t answers = base::kMaxAnswers;
  size_t keys = base::kMaxKeys;
  size_t key_bytes = base::kMaxKeyBytes;
};

// An answer for whoever waits for this operation on this node. A RegisterClient comes without a
// client: its reply has client 0 and the number that its command had.
struct Reply {
  base::ClientId client;
  uint64_t number = 0;
  Answer answer;
};

// What one apply() brought about. Cleared and reused by the caller.
struct Applied {
  std::vector<Reply> replies;         // in the order in which they came about
  std::vector<base::LeaseId> opened;  // leases that now live, with full TTL from now on
  std::vector<base::LeaseId> ended;   // leases that are gone
  void clear();
};

struct HolderInfo {
  base::LeaseId lease;
  base::HolderId holder;
  base::Mode mode = base::Mode::kExclusive;
  uint32_t permits = 1;
  base::Token token;
  uint64_t acquired_wall_ms = 0;
  std::string reason;
  std::string value;
  std::shared_ptr<const base::Owner> owner;
};
struct WaiterInfo {
  base::LeaseId lease;
  base::HolderId holder;
  base::Mode mode = base::Mode::kExclusive;
  uint32_t permits = 1;
  uint64_t position = 0;  // from 1
  uint64_t since_wall_ms = 0;
  std::string reason;
  base::Token converts;  // the hold whose mode it is to change; none: a new hold
  std::shared_ptr<const base::Owner> owner;
};
struct LockInfo {
  std::string name;
  base::LockKind kind = base::LockKind::kLock;
  base::Mode mode = base::Mode::kNull;  // of the holders; kNull when free
  uint32_t capacity = 0;
  base::Revision revision;
  std::vector<HolderInfo> holders;  // in grant order
  std::vector<WaiterInfo> waiters;  // in queue order, conversions first
  uint64_t delay_until_ms = 0;      // cell time until which a lock-delay keeps it closed; 0: none
  std::string drain;                // why an admin lets nobody have it now; empty: no drain
};
struct PolicyInfo {
  base::PolicyRow row;
  base::QuotaLimits used;  // of a quota
};
struct LeaseInfo {
  base::LeaseId lease;
  uint64_t ttl_ms = 0;
  uint64_t lock_delay_ms = 0;
  uint64_t opened_wall_ms = 0;
  std::shared_ptr<const base::Owner> owner;
  std::vector<std::pair<std::string, base::Token>> holds;  // in grant order
  uint64_t waits = 0;
};

// How an operation stands (DESIGN 7a).
enum class OpState : uint8_t {
  kUnknownClient,  // the client was never registered, or is gone: refuse
  kNew,            // not seen: propose it
  kWaiting,        // an acquire in a queue: attach to it
  kAnswered,       // its answer is recorded: see recorded_answer
  kSettled,        // the client said that it was answered: a late copy, does nothing
};

class LockTable {
 public:
  explicit LockTable(const TableLimits& limits = {});
  ~LockTable();
  LockTable(LockTable&&) noexcept;
  LockTable& operator=(LockTable&&) noexcept;

  // Replaces everything by what state.db recorded. nullopt on success, else what contradicts what.
  std::optional<std::string> restore(base::StateRows rows);

  // Applies the value of the next slot (meta().applied + 1). `batch` null: a no-op.
  // Aborts on a broken invariant; unknown commands are refused in decode_batch before.
  void apply(base::Slot slot, const Batch* batch, Applied& out);

  const base::MetaRow& meta() const;
  // Who belongs to the cell, as of the last applied slot; version 0: whoever founded it.
  const base::Config& config() const;

  // -- exactly once ------------------------------------------------------------------------------
  OpState op_state(base::ClientId client, uint64_t number) const;
  std::optional<Answer> recorded_answer(base::ClientId client, uint64_t number) const;

  // -- queries -----------------------------------------------------------------------------------
  const base::LeaseRow* lease(base::LeaseId id) const;  // null: not there
  // By this client, or by whoever knows its id (0)? Some leases only their own client renews.
  bool may_renew(base::LeaseId id, base::ClientId client) const;
  bool drops_on_disconnect(base::LeaseId id) const;
  LockInfo describe(std::string_view name) const;  // a free lock: no holders, no waiters
  std::optional<LeaseInfo> describe_lease(base::LeaseId id) const;
  // Who is in the way of who would ask for this lock now, exclusively; of all that the lease waits
  // for. At most `limit`, the nearest.
  Explanation explain_lock(std::string_view name, size_t limit) const;
  Explanation explain_lease(base::LeaseId id, size_t limit) const;
  bool is_held(std::string_view name) const;
  // Would a try of one permit in this mode be granted now?
  bool could_acquire(std::string_view name, base::Mode mode) const;
  bool is_current(std::string_view name, base::Token token) const;
  // The cell time at which the next lock-delay ends.
  std::optional<uint64_t> next_delay_end() const;
  // Names with `prefix`, ascending, above `after`, at most `limit`.
  std::vector<std::string> lock_names(std::string_view prefix, std::string_view after,
                                      size_t limit) const;
  std::vector<base::LeaseId> lease_ids(base::LeaseId after, size_t limit) const;
  std::optional<base::KeyRow> key(std::string_view name) const;
  // Keys with `prefix`, ascending, above `after`, while `take` returns true.
  void for_each_key(std::string_view prefix, std::string_view after,
                    const std::function<bool(const base::KeyRow&)>& take) const;
  std::vector<PolicyInfo> policies() const;
  // Calls `visit` for every lease.
  void for_each_lease(void (*visit)(void* context, const base::LeaseRow&), void* context) const;

  struct Counts {
    uint64_t leases = 0, locks = 0, holds = 0, waiters = 0, clients = 0;
    uint64_t keys = 0, key_bytes = 0;
    uint64_t grants_total = 0, expirations_total = 0;  // since this process started
  };
  Counts counts() const;

  // -- recording ---------------------------------------------------------------------------------
  // All that changed since the last take_changes(), as rows. What came and went costs nothing.
  base::StateWrite take_changes();
  // How full the memory for events is that were applied but not yet taken, in percent; at 100
  // nothing more should be applied.
  unsigned unrecorded_percent() const;

  // -- events ------------------------------------------------------------------------------------
  // Every event above this revision is in memory; those at or below it are in state.db.
  base::Revision events_floor() const;
  // Calls visit(event) for each above `after`, ascending, while it returns true. `after` must not
  // be below events_floor().
  void visit_events(base::Revision after,
                    const std::function<bool(const base::EventRow&)>& visit) const;
  bool has_changes() const;

  // The whole state in canonical order, and a digest of it: equal on all nodes at equal slots.
  base::StateRows rows() const;
  uint64_t digest() const;

  // Checks the state's invariants and aborts with the broken one. For tests and the simulator.
  void check_invariants() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace holdfast::locks
