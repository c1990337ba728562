// What LockTable is made of, for the files that implement it. Nobody else includes this.
#pragma once

#include <optional>
#include <vector>

#include "lockcore/locks/claim_table.h"
#include "lockcore/locks/dedup.h"
#include "lockcore/locks/event_log.h"
#include "lockcore/locks/key_table.h"
#include "lockcore/locks/lease_table.h"
#include "lockcore/locks/lock_table.h"
#include "lockcore/locks/policy_table.h"

namespace holdfast::locks {

struct LockTable::State {
  TableLimits limits;
  base::MetaRow meta;
  base::Config config;  // version == meta.config_version; 0: as founded, and nothing else is known
  bool config_changed = false;  // since it was taken
  PolicyTable policies;         // counts what is in the other tables
  LeaseTable leases{policies};
  ClaimTable claims{policies};
  KeyTable keys{policies};
  ClientTable clients;
  EventLog events;
  base::Slot taken;  // meta.applied at the last take_changes()
  uint64_t grants_total = 0;
  uint64_t expirations_total = 0;

  // -- commands (lock_table.cc) ------------------------------------------------------------------
  void apply(const Command& command, Applied& out);
  // Those whose time has come, as the batch at hand says what time it is.
  void end_delays(Applied& out);

  // -- the record (lock_table_rows.cc) -----------------------------------------------------------
  // Fills an empty state. Returns what contradicts what.
  std::optional<std::string> load(base::StateRows rows);
  base::StateRows rows() const;

  // -- invariants.cc -----------------------------------------------------------------------------
  // What is wrong with this state by the rules of locking; nullopt: nothing.
  std::optional<std::string> contradiction() const;
  // Aborts if counts and indexes don't agree with what they count and index.
  void check_indexes() const;
  void check_key_indexes() const;

 private:
  // Each of these carries out one command; nullopt: the answer comes later.
  std::optional<Answer> execute(const OpId& op, const OpenLease& body, Applied& out);
  std::optional<Answer> execute(const OpId& op, const CloseLease& body, Applied& out);
  std::optional<Answer> execute(const OpId& op, const Acquire& body, Applied& out);
  std::optional<Answer> execute(const OpId& op, const Release& body, Applied& out);
  std::optional<Answer> execute(const OpId& op, const Convert& body, Applied& out);
  std::optional<Answer> execute(const OpId& op, const SetHoldValue& body, Applied& out);
  std::optional<Answer> execute(const OpId& op, const ForceRelease& body, Applied& out);
  std::optional<Answer> execute(const OpId& op, const CancelWait& body, Applied& out);
  std::optional<Answer> execute(const OpId& op, const ForgetClient& body, Applied& out);
  std::optional<Answer> execute(const OpId& op, const Txn& body, Applied& out);
  std::optional<Answer> execute(const OpId& op, const SetPolicy& body, Applied& out);
  std::optional<Answer> execute(const OpId& op, const AdoptLease& body, Applied& out);

  // The lease, for its present client and for strangers who know its id; null for the client from
  // whom it was adopted, to whom it has ended.
  Lease* lease_for(const OpId& op, base::LeaseId id);
  void set_owner(Lease& lease, const base::Owner& owner);

  // Commands without an operation's number.
  Answer register_client(const RegisterClient& body);
  void expire_leases(const ExpireLeases& body, Applied& out);
  void reconfigure(const Reconfigure& body);
  void checkpoint_leases(const CheckpointLeases& body);
  void apply_unnumbered(const Command& command, Applied& out);
  std::optional<base::Error> refuse_answer(const Client& client) const;
  void apply_new(Client& client, const Command& command, Applied& out);

  base::Revision advance();
  // Tells what came about. The caller may add to the event before it makes the next one.
  base::EventRow& log_event(base::EventType type, base::Revision revision, const Lease& lease,
                            const char* cause);
  base::EventRow& log_event(base::EventType type, base::Revision revision, const Claim& claim,
                            const char* cause);

  // -- txn.cc ------------------------------------------------------------------------------------
  bool holds(const Compare& compare) const;
  struct BranchSize;
  std::optional<base::Error> refuse_branch(const OpId& op, const std::vector<TxnOp>& ops);
  OpResult carry_out(const TxnOp& op);
  base::KeyRow put_key(const TxnOp& op);
  void delete_key(const Key& key, const char* cause);
  void log_key_event(base::EventType type, const Key& key, base::Revision revision,
                     const char* cause);

  // -- policy.cc ---------------------------------------------------------------------------------
  void mark_drained(const std::string& prefix);
  void count_use(Policy& policy);

  // -- lock_commands.cc --------------------------------------------------------------------------
  // What speaks against an acquire, whether it waits or not; and against waiting.
  std::optional<base::Error> refuse_acquire(const Lease& lease, const Acquire& body);
  std::optional<base::Error> refuse_claims(const Lease& lease, size_t count) const;  // so many more
  std::optional<base::Error> refuse_waiter(const std::string& name) const;
  std::optional<base::Error> refuse_quota(const Lease& lease, const Acquire& body,
                                          bool waiting) const;
  std::optional<base::Error> refuse_deadlock(Claim& waiter);
  base::Error refused_for(const std::vector<const Claim*>& cycle, const Lease& lease);
  const LockRequest* first_busy(const Acquire& body);
  LockRef lock_for(const LockRequest& request);
  // Of an adopted lease: gives the holder what the lease has held since before. nullopt: nothing.
  std::optional<Answer> take_up(Lease& lease, const OpId& op, const Acquire& body);
  Claim make_claim(LockRef lock, Lease& lease, const OpId& op, const Acquire& body,
                   const LockRequest& request) const;
  Granted grant_at_once(Lease& lease, const OpId& op, const Acquire& body);
  std::optional<Answer> queue_up(Lease& lease, const OpId& op, const Acquire& body,
                                 const LockRequest& busy);

  Claim* find_hold(base::LeaseId lease, const std::string& lock, base::Token token);  // null: none
  base::Error refuse_not_held(base::LeaseId lease, const std::string& lock, base::Token token);
  base::Revision proclaim(Claim& hold, const std::string& value);
  std::optional<Answer> queue_conversion(Claim& hold, const OpId& op, const Convert& body);
  base::Token downgrade(Claim& hold, base::Mode mode);
  base::Token upgrade(Claim& hold, base::Mode mode, uint64_t number, const char* cause,
                      uint64_t waited_ms);

  // The request that this waiter belongs to, in all its locks.
  void grant_waiter(Claim& waiter, Applied& out);
  void grant_request(Claim& first, Granted& granted);
  // Its conversion, if one waits, has ended.
  void end_hold(Claim& hold, base::EventType type, const char* cause, const std::string& note = {});
  // How long it has been held, or has waited, by cell time.
  uint64_t age_ms(const Claim& claim) const { return meta.cell_time_ms - claim.since_cell_ms; }
  void end_conversion_of(Claim& hold, const char* cause, const std::string& why, Applied& out);
  base::Error refuse_busy(const LockRequest& request);
  // The request that this waiter belongs to, in all its locks. `answer` goes to the pending
  // operation; null: its number needs none any more.
  void end_wait(Claim& waiter, const char* cause, const Answer* answer, Applied& out);
  // Ends a wait whose client wants no answer to be kept.
  void give_up(Claim& waiter, const char* cause, const char* why, Applied& out);
  void end_leases(const std::vector<Lease*>& ending, base::EventType type, Applied& out);

  // A lock lost a holder or a waiter: serve_touched() will see who is next.
  void touch(LockRef lock, base::Revision revision);
  void serve_touched(Applied& out);

  std::vector<LockRef> touched_;  // empty between commands
  std::vector<Claim*> given_up_;  // empty between commands
};

}  // namespace holdfast::locks
