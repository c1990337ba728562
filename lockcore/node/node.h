// Node: Replica + LockTable + lease clock + batching. Events in, effects out (DESIGN 4).
//
// The driver (the daemon's, or the simulator's) calls on_<event> for all that happened in one turn
// of its loop, then finish_turn(), then carries out the effects. `now` is CLOCK_BOOTTIME, read
// after the read() that brought the event. Not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "lockcore/locks/lock_table.h"
#include "lockcore/node/effects.h"
#include "lockcore/paxos/replica.h"

namespace holdfast::node {

struct Options {
  paxos::Options paxos;
  base::Duration record_interval = base::Duration::from_ms(200);  // between writes to state.db
  // Of which leases remainders are kept through the log, and how often (DESIGN 6).
  base::Duration checkpoint_min_ttl = base::Duration::from_ms(base::kMinCheckpointTtlMs);
  base::Duration checkpoint_longest_step = base::Duration::from_ms(base::kMaxCheckpointStepMs);
};

// A value that the driver brings along: the time for people, put into batches.
struct WallClock {
  uint64_t ms = 0;  // unix ms
};

// A snapshot that is on the disk, synced and checked, and what it says.
struct CheckedSnapshot {
  base::SnapshotId id = 0;
  std::string state_file;  // its name in the data directory
  locks::LockTable table;
};

class Node {
 public:
  Node(Options options, base::RecoveredLog log, locks::LockTable table, base::Instant now);
  ~Node();
  Node(Node&&) noexcept;

  // -- links and peers: as in paxos::Replica ------------------------------------------------------
  paxos::Hello hello() const;
  std::optional<paxos::Refusal> on_hello(const paxos::Hello& peer, base::Instant now, Effects& fx);
  void on_refused(base::NodeId by, const paxos::Refusal& refusal, base::Instant now, Effects& fx);
  void on_peer_lost(base::NodeId peer, base::Instant now, Effects& fx);
  void on_message(base::NodeId from, paxos::Message message, base::Instant now, Effects& fx);

  // -- clients ------------------------------------------------------------------------------------
  // A mutation. Answered exactly once by a CommandReply, unless dropped before.
  void on_command(ClientRef ref, locks::Command command, base::Instant now, Effects& fx);
  // One RenewReply, in the order asked.
  void on_renew(ClientRef ref, RenewRequest request, base::Instant now, Effects& fx);
  // This connection has ended: so will, soon, the leases that were to, unless they are renewed.
  void on_disconnected(uint64_t via, base::Instant now, Effects& fx);
  // A linearizable read: one ReadReply; then the driver reads table() before the next event.
  void on_read(ClientRef ref, base::Instant now, Effects& fx);
  // The same on whichever node: one that follows asks the leader (paxos/read_index.h). What only a
  // leader's clock knows, such as remaining_ms(), isn't to be had then.
  void on_read_here(ClientRef ref, base::Instant now, Effects& fx);
  // An operator's request: one AdminReply. A change of the membership is answered when it is
  // applied, a transfer when the next leader is heard.
  void on_admin(ClientRef ref, AdminRequest request, base::Instant now, Effects& fx);
  // Nobody waits for this call any more. Ends the notification, never the operation (DESIGN 7a).
  void on_dropped(ClientRef ref);

  // A living cell has made this empty node a learner (paxos::Options::join).
  void on_joined(const base::Config& config, base::Instant now, Effects& fx);

  // -- disk and time ------------------------------------------------------------------------------
  void on_written(base::WriteId id, base::Instant now, Effects& fx);
  void on_recorded(base::Slot through, base::Instant now, Effects& fx);
  void on_log_read(uint64_t read_id, std::vector<base::Entry> entries, base::Instant now,
                   Effects& fx);
  // A row of log.db fails its checksum, as a reading or a verification found.
  void on_log_damaged(base::Slot slot, base::Instant now, Effects& fx);
  // A backup is wanted: records everything through here, without waiting for the interval.
  void record_soon(base::Slot through);
  // Snapshots (paxos/snapshot.h): what the driver read, stored, and checked or refused.
  void on_snapshot_read(base::NodeId peer, base::SnapshotId asked, base::SnapshotPart part,
                        base::Instant now, Effects& fx);
  void on_snapshot_stored(base::SnapshotId id, uint64_t upto, base::Instant now, Effects& fx);
  void on_snapshot_checked(CheckedSnapshot snapshot, base::Instant now, Effects& fx);
  void on_snapshot_refused(base::SnapshotId id, const std::string& why, base::Instant now,
                           Effects& fx);
  // For comparing nodes (`lockctl check`): proposes a no-op. Every node that applies it records it
  // by itself, and tells so in Effects::compare: the state at that slot can be compared. The slot,
  // or why there is none.
  std::variant<base::Slot, base::Error> propose_barrier(base::Instant now, Effects& fx);
  void on_tick(base::Instant now, Effects& fx);
  // Ends the turn: applies what is chosen, seals a batch, starts a confirm round, expires, records.
  // `tell_now`, if given, may be called before that is done: fx.paxos.messages and .writes are
  // complete, and the driver may take them, so that the others go on while this node applies.
  void finish_turn(base::Instant now, WallClock wall, Effects& fx,
                   const std::function<void()>& tell_now = nullptr);
  base::Instant next_tick() const;

  // -- what is known ------------------------------------------------------------------------------
  const locks::LockTable& table() const;
  const paxos::Replica& replica() const;
  bool active() const;  // leads, and its NewLeader is applied
  base::Slot recorded() const;
  // Milliseconds left by this leader's clock, nullopt: not the active leader, or no such lease.
  std::optional<int64_t> remaining_ms(base::LeaseId lease, base::Instant now) const;
  // Of a lock-delay that lasts until this cell time; by the clock of the active leader, elsewhere
  // as of the last applied slot.
  uint64_t delay_remaining_ms(uint64_t until_ms, base::Instant now) const;
  // How long ago this node last heard from a leader, which may be how far its state lags behind; 0
  // on the active leader.
  uint64_t state_age_ms(base::Instant now) const;
  // A renewal of this lease has arrived, and has moved its deadline, but isn't answered yet.
  bool renewal_under_way(base::LeaseId lease) const;
  // How long ago this cell time was, by the same clock.
  uint64_t age_ms(uint64_t since_ms, base::Instant now) const;
  uint64_t renewals_total() const;

  void check_invariants() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace holdfast::node
