// Node's inside, shared by its source files. Nobody else includes this.
//
//   node.cc          events and the order of a turn
//   admin.cc         membership changes and transfers
//   leadership.cc    becoming active, stepping down, proposing, expiring
//   clients.cc       commands, renewals and reads of clients
//   interregnum.cc   calls between two leaders
//   apply.cc         applying chosen slots, recording them
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include "lockcore/base/random.h"
#include "lockcore/locks/lock_table.h"
#include "lockcore/node/batcher.h"
#include "lockcore/node/lease_clock.h"
#include "lockcore/node/node.h"
#include "lockcore/node/waiting.h"

namespace holdfast::node {

struct Node::State {
  State(Options options, base::RecoveredLog log, locks::LockTable table, base::Instant now);

  // -- leadership.cc -----------------------------------------------------------------------------
  bool is_active() const;
  // Compares what the replica is with what this node acts as. Called whenever an event may have
  // changed the role, before anything else is done in a role.
  void follow_role(Effects& fx);
  void become_active(base::Instant now, Effects& fx);
  void step_down(Effects& fx);
  void propose_new_leader(base::Instant now, WallClock wall, Effects& fx);
  void expire(base::Instant now);
  void advance_time(base::Instant now);
  void checkpoint(base::Instant now);
  base::Instant next_delay_end() const;  // for which nothing was proposed yet; kNever: none
  void seal_batches(base::Instant now, WallClock wall, Effects& fx);
  void fill_slots(base::Instant now, WallClock wall, Effects& fx);
  uint64_t cell_time_ms(base::Instant now) const;
  // The same; of a node that doesn't lead, as of the last applied slot.
  uint64_t known_cell_time_ms(base::Instant now) const;
  base::Error not_leader() const;

  // -- clients.cc --------------------------------------------------------------------------------
  void take_command(ClientRef ref, locks::Command command, Effects& fx);
  void take_renewal(ClientRef ref, RenewRequest request, base::Instant now, Effects& fx);
  void take_read(ClientRef ref, Effects& fx);
  void answer_reads(Effects& fx);
  void answer_reads_here(base::Instant now, Effects& fx);
  void answer_lookup(LookupCall& call, Effects& fx);
  void propose_command(ClientRef ref, locks::Command command, Effects& fx);
  void answer_confirmed(base::Instant now, Effects& fx);
  void answer_renewal(RenewCall call, Effects& fx);
  void answer_held_renewals(Effects& fx);
  bool must_end_checkpoint(base::LeaseId lease);
  // Queues a call for the next confirm round. False: too many wait already.
  bool wait_for_confirm(decltype(ConfirmWait::call) call);

  // -- interregnum.cc ----------------------------------------------------------------------------
  struct CommandArrival {
    ClientRef ref = 0;
    locks::Command command;
  };
  struct RenewArrival {
    ClientRef ref = 0;
    RenewRequest request;
  };
  using Arrival = std::variant<CommandArrival, RenewArrival, ReadCall>;
  base::Duration patience() const;
  bool keep_arrival(Arrival arrival);
  void let_in(base::Instant now, Effects& fx);
  void answer_owed(base::Instant now, Effects& fx);
  void pay_owed(Effects& fx);

  // -- admin.cc ----------------------------------------------------------------------------------
  // `leaves`: so that this node can be removed.
  void begin_transfer(ClientRef ref, base::NodeId to, bool leaves, base::Instant now, Effects& fx);
  void answer_transfer(base::Instant now, Effects& fx);
  void decide_change(const AdminCall& call, base::Instant now, Effects& fx);
  void propose_change(base::Instant now, WallClock wall, Effects& fx);
  void on_reconfigured(base::Slot slot, base::Instant now, Effects& fx);

  // -- apply.cc ----------------------------------------------------------------------------------
  void apply_chosen(base::Instant now, Effects& fx);
  void apply_entry(const base::Entry& entry, base::Instant now, Effects& fx);
  void tell_applied(const locks::Batch* own, base::Instant now, Effects& fx);
  void finish_endings(const locks::Batch& batch);
  void finish_checkpoints(const locks::Batch& batch);
  bool can_record() const;
  void record(base::Instant now, Effects& fx);
  // Once nothing is being recorded, names the snapshot that waits the current state.
  void install_snapshot(base::Instant now, Effects& fx);
  // And once that is durable, goes on from it.
  void adopt_snapshot(base::Instant now, Effects& fx);

  const Options options;
  paxos::Replica replica;
  locks::LockTable table;
  base::Random random;
  bool halted = false;  // met a value that it can't read: applies nothing any more

  // -- recording. recorded <= table.meta().applied; recorded <= replica.durable_upto().
  base::Slot recorded;
  base::Slot recording;  // handed to the driver, not yet confirmed; 0: none
  base::Instant last_record;
  // A barrier that was applied, to be recorded before anything behind it is applied; 0: none.
  base::Slot barrier;
  base::Slot record_soon;  // through here somebody waits for it

  // -- a snapshot that is checked, not yet in use. While it is being installed nothing is applied
  // or recorded.
  std::optional<CheckedSnapshot> snapshot;
  bool installing = false;  // handed to log.db

  // -- leading. Ballots are 0 when this node doesn't lead.
  base::Ballot led;            // the ballot whose NewLeader was proposed here
  base::Slot led_slot;         // where; one that stands elsewhere is somebody else's word
  base::Ballot active_ballot;  // the ballot whose NewLeader was applied while leading; led or 0
  base::Instant active_since;
  uint64_t active_cell_ms = 0;  // cell time when it became active

  // -- the active leader's. All of it is empty otherwise.
  Batcher batcher;
  OperationWaits operations;
  std::deque<ConfirmWait> confirms;  // `needed` ascends
  LeaseClock clock{{options.checkpoint_min_ttl, options.checkpoint_longest_step}};
  struct ExpiryRound {
    base::Confirm needed;
    base::Instant as_of;
  };
  std::optional<ExpiryRound> expiry_round;
  uint64_t delay_end_proposed_ms =
      0;  // an AdvanceTime to this cell time is queued, or was proposed
  // Leases with a Close or an Expire queued or proposed, and how many: a renewal isn't answered
  // until that is applied (DESIGN 6).
  std::unordered_map<base::LeaseId, uint32_t> ending;
  // Leases with a CheckpointLeases queued or proposed, which may be one that ends a checkpoint.
  // They count as checkpointed (DESIGN 6).
  struct CheckpointsUnderWay {
    uint32_t count = 0;
    bool ends = false;  // the last one of them ends the checkpoint
  };
  std::unordered_map<base::LeaseId, CheckpointsUnderWay> checkpoints;
  // The leases that end with a connection, by the connections on which they were renewed.
  std::unordered_map<uint64_t, std::unordered_set<base::LeaseId>> dropping;
  std::deque<ReadCall> confirmed_reads;  // `chosen` isn't applied yet; that ascends
  std::vector<RenewCall> held_renewals;  // confirmed, but the fate of a lease in them is open
  size_t renewing_leases = 0;            // named by all renewals that wait

  // The membership change that is decided; proposed at `slot`, unless that is 0.
  struct PendingChange {
    ClientRef ref = 0;
    locks::Reconfigure body;
    base::Slot slot;
  };
  std::optional<PendingChange> change;

  // Not the active leader's: the transfer is over when another one leads.
  struct PendingTransfer {
    ClientRef ref = 0;
    base::NodeId to;
    bool leaves = false;  // so that this node can be removed: the next leader is to be asked
    base::Instant until;
  };
  std::optional<PendingTransfer> transfer;

  // Reads that are answered here while another node leads, or nobody. First they wait for its word,
  // then for the slot that it named. Numbers, times and slots ascend.
  struct ReadHere {
    ClientRef ref = 0;
    uint64_t number = 0;
    base::Instant until;
  };
  std::deque<ReadHere> asked_reads;
  std::deque<ReadCall> indexed_reads;

  // Calls that came to a leader that isn't active yet; empty unless the replica leads.
  std::vector<Arrival> arrivals;
  base::Instant arrivals_until = base::kNever;  // kNever: not looked at yet
  // Calls that are told notLeader as soon as it is known who leads instead.
  struct Owed {
    std::vector<ClientRef> commands, renewals, reads, admin;
    base::Instant until = base::kNever;  // kNever: not looked at yet

    bool empty() const {
      return commands.empty() && renewals.empty() && reads.empty() && admin.empty();
    }
  };
  Owed owed;

  uint64_t renewals_total = 0;
  locks::Applied applied_scratch;
};

}  // namespace holdfast::node
