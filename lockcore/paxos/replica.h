// Replica: one node's part in Multi-Paxos. Events in, effects out (DESIGN 4, 5).
//
// Contract between the replica and whoever drives it:
//  1. Every on_<event> appends to Effects; finish_turn() after the events of one turn gathers what
//     is to be sent. The driver carries the effects out before it waits for the next event.
//  2. `writes` go to log.db in order. on_written(id) is called when that write, and so every write
//     with a smaller id, is durable. The replica itself keeps back what may only be said after a
//     write (P2), so nothing in `messages` ever has to wait.
//  3. Messages may be lost, delayed, repeated and reordered; they come from admitted peers only:
//     on_hello() is called first on every new link, and a refused peer's messages are dropped.
//  4. Entries become known chosen in order; next_chosen() hands them out once each, in slot order.
//  5. `now` never goes backwards. All state but what `writes` carried is volatile.
// Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lockcore/base/error.h"
#include "lockcore/base/limits.h"
#include "lockcore/base/log_row.h"
#include "lockcore/base/time.h"
#include "lockcore/paxos/message.h"

namespace holdfast::paxos {

enum class Role : uint8_t {
  kFounding,  // the cell isn't founded yet: says nothing, promises nothing
  kFollower,
  kProbing,    // asks whether a quorum would promise (P7)
  kCandidate,  // phase 1
  kLeader,     // phase 1 done; active once its NewLeader is applied, which Node watches
};
const char* role_name(Role role);

// What the other nodes' clocks say of this one's (clock_watch.h).
enum class ClockVerdict : uint8_t {
  kUnknown,   // too little is known
  kFine,      // a majority, with it, agrees
  kDisputed,  // somebody's runs otherwise, and no majority says whose is wrong
  kOdd,       // a majority agrees against it: this node doesn't lead
};

struct Options {
  base::NodeId self;
  std::string address;                // what peers are told
  std::vector<base::Member> cluster;  // --cluster: ids and addresses, for founding only
  base::Duration heartbeat = base::Duration::from_ms(50);
  base::Duration election = base::Duration::from_ms(500);
  // How long voters that a commit doesn't need may lag behind those that it does; zero: every
  // message goes to everybody at once.
  base::Duration rest_delay = base::Duration::from_ms(5);
  // Of the log behind what is recorded, see trim.h.
  uint64_t log_slots = base::kDefaultLogSlots;
  uint64_t log_bytes = base::kDefaultLogBytes;
  size_t snapshot_part_bytes = base::kSnapshotPartBytes;
  uint64_t random_seed = 0;
  uint64_t process_nonce = 0;  // random per process start
  base::CellId new_cell;       // random: the cell's id, should this node propose founding
  bool join = false;           // --join: with an empty disk it waits to be told of a living cell
};

// Reads rows of log.db that are no longer in memory; answered by on_log_read(id, ...).
struct LogRead {
  uint64_t id = 0;
  base::Slot from;
  base::Slot to;         // inclusive
  size_t max_bytes = 0;  // at least one entry is returned if there is one
};

// Reads a part of a snapshot of state.db; answered by on_snapshot_read(), also if there is none.
struct SnapshotRead {
  base::NodeId peer;        // for whom
  base::SnapshotId id = 0;  // 0: one that is being read already, or else a new one
  uint64_t offset = 0;
  size_t max_bytes = 0;
};

// All parts of this snapshot are stored: it is to be checked, synced and loaded. What comes of it
// is told by on_snapshot_checked().
struct SnapshotCheck {
  base::SnapshotId id = 0;
  base::Slot slot;
};

// Things that people should be told; the driver logs them. Never one per request.
struct Notice {
  enum class Level : uint8_t { kInfo, kWarning, kError } level = Level::kInfo;
  std::string text;
};

struct Effects {
  std::vector<Outgoing> messages;
  std::vector<base::LogWrite> writes;
  std::vector<LogRead> reads;
  std::vector<SnapshotRead> snapshot_reads;
  std::vector<base::SnapshotPart> snapshot_writes;  // in order; each one on_snapshot_stored()
  std::optional<SnapshotCheck> snapshot_check;
  std::vector<Notice> notices;
  bool role_changed = false;         // role(), leader() or ballot() changed
  std::optional<std::string> fatal;  // the process must end with this reason (P10, exit 78)
  void clear();
};

// Why a peer's hello was refused: told to the peer, which must not count on this node.
struct Refusal {
  std::string reason;
  bool disk_lost = false;  // the peer must never vote again with this directory (P10)
  // P9: the peer was a member, and by this configuration, which the refuser has recorded, it isn't
  // one any more. 0: that is not why.
  base::ConfigVersion removed_by;
};

class Replica {
 public:
  // `applied`: the slot through which state.db is recorded; everything through it is chosen.
  Replica(Options options, base::RecoveredLog recovered, base::Slot applied, base::Instant now);
  ~Replica();
  Replica(Replica&&) noexcept;

  // -- links -------------------------------------------------------------------------------------
  Hello hello() const;  // to be said on every new link
  // A peer's hello. nullopt: admitted; its messages may come.
  std::optional<Refusal> on_hello(const Hello& peer, base::Instant now, Effects& fx);
  // A peer refused us: fatal if the disk is lost, else a notice (once per reason).
  void on_refused(base::NodeId by, const Refusal& refusal, base::Instant now, Effects& fx);
  // The last link with this peer closed; if it led, "heard from the leader" is cleared (P7).
  void on_peer_lost(base::NodeId peer, base::Instant now, Effects& fx);

  // -- events ------------------------------------------------------------------------------------
  void on_message(base::NodeId from, Message message, base::Instant now, Effects& fx);
  void on_tick(base::Instant now, Effects& fx);
  void on_written(base::WriteId id, base::Instant now, Effects& fx);
  void on_log_read(uint64_t read_id, std::vector<base::Entry> entries, base::Instant now,
                   Effects& fx);
  // A row of log.db fails its checksum (P11), as a reading or a verification found: a reading ends
  // before it.
  void on_log_damaged(base::Slot slot, base::Instant now, Effects& fx);
  // -- snapshots, see snapshot.h -----------------------------------------------------------------
  void on_snapshot_read(base::NodeId peer, base::SnapshotId asked, base::SnapshotPart part,
                        base::Instant now, Effects& fx);
  void on_snapshot_stored(base::SnapshotId id, uint64_t upto, base::Instant now, Effects& fx);
  // It can't be used, for this reason.
  void on_snapshot_refused(base::SnapshotId id, const std::string& why, base::Instant now,
                           Effects& fx);
  // It is checked and on the disk under this name: makes it the current one, in one write to
  // log.db. False: it is no longer wanted. Nothing may be applied until installed() is its slot.
  bool install_snapshot(base::SnapshotId id, const std::string& state_file, base::Instant now,
                        Effects& fx);
  // The newest snapshot that was installed, durably, in this process.
  base::Slot installed() const;

  // Sends what this turn gathered: accepts, a confirm round if one is wanted, fetches.
  void finish_turn(base::Instant now, Effects& fx);
  // When on_tick should be called at the latest.
  base::Instant next_tick() const;
  // When a leader's word last came: what this node knows was all there was then, or soon before.
  base::Instant followed_at() const;

  // -- the leader's use --------------------------------------------------------------------------
  // Proposes a value; role() must be kLeader and can_propose() true. The first proposal of a ballot
  // must be kNewLeader (P3). The ballot and the slot are the replica's to choose.
  base::Slot propose(base::EntryKind kind, std::string value, base::Instant now, Effects& fx);
  // The log of a voter may end above all that is proposed; if it lost rows to damage, it needs
  // something chosen there (P11). How many slots are to be filled, with whatever does nothing.
  uint64_t slots_to_fill() const;
  bool can_propose() const;  // leader, and fewer than kMaxSlotsInFlight slots under way
  bool writer_idle() const;  // no write of this node is under way: time to seal a batch (P12)
  // P8: draws (or joins) a round whose counter is newer than everything sent so far, and so newer
  // than whatever arrived before this call. Compare with confirmed().
  base::Confirm want_confirm();
  base::Confirm confirmed() const;  // a quorum echoed this counter in the present ballot

  // -- handing over (P7) -------------------------------------------------------------------------
  // Leave for this voter to take over; 0: for the one that is furthest. Nothing more is proposed
  // until another node leads, or, without that, for an election timeout. Or why not.
  std::optional<base::Error> hand_over(base::NodeId to, base::Instant now, Effects& fx);
  std::optional<base::NodeId> handing_over() const;  // to whom

  // -- membership (P9, P10) ----------------------------------------------------------------------
  // The entry at `slot`, a Reconfigure, is applied, and this is what holds behind it: the old
  // configuration if the entry came too late. A leader wins a new ballot before it proposes again.
  void on_reconfigured(base::Slot slot, const base::Config& config, base::Instant now, Effects& fx);
  // A living cell, whose configuration this is, has made this empty node a learner.
  void on_joined(const base::Config& config, base::Instant now, Effects& fx);

  // -- what is known -----------------------------------------------------------------------------
  // The next entry known chosen and not yet handed out, in slot order.
  std::optional<base::Entry> next_chosen();
  // Node tells what it has applied and recorded: bounds memory, answers peers' questions.
  void set_progress(base::Slot applied, base::Slot recorded);

  Role role() const;
  base::Ballot ballot() const;  // led, or of the leader followed; else the promise
  base::Ballot promised() const;
  base::NodeId leader() const;  // 0: unknown
  // Nobody is known to lead, but somebody, perhaps this node, is about to: asks for promises, with
  // our leave or our promise.
  bool expects_leader() const;
  base::Slot chosen_upto() const;
  base::Slot first_retained() const;  // below it the log is trimmed
  base::Slot durable_upto() const;    // every slot through here is durable in this node's own log
  // P11: damage cost this node rows or its record; it neither promises nor accepts before the
  // others have told it what was chosen, through this slot. nullopt: it is whole.
  std::optional<base::Slot> mending() const;
  const base::Config& config() const;
  // Whom to keep links with: the members, and, if this node lags, those of a newer configuration
  // that introduced themselves. contacts_version() changes whenever they may have.
  std::vector<base::Member> contacts() const;
  uint64_t contacts_version() const;
  base::FoundingState founding() const;
  std::string waiting_for() const;  // while founding: whom it waits for, in words; else empty

  struct PeerView {
    base::NodeId node;
    bool connected = false;
    base::Instant heard_at;  // when it last answered this leader; kNever: not in this ballot
    base::Slot accepted, chosen, applied, recorded;  // as last heard
  };
  std::vector<PeerView> peers() const;
  // Of the snapshot that this node receives; nothing: none. From 0: nobody has sent any of it yet.
  struct SnapshotView {
    base::NodeId from;
    base::Slot slot;
    uint64_t bytes = 0;  // received
    uint64_t total_bytes = 0;
  };
  std::optional<SnapshotView> snapshot() const;

  // This node's clock, by those of the others.
  struct ClockView {
    ClockVerdict verdict = ClockVerdict::kUnknown;
    std::string trouble;  // whom it disagrees with, in words; empty: nobody
    // How fast it runs, as a multiple of the leader's: between these. Nothing: it isn't known.
    std::optional<std::pair<double, double>> against_leader;
  };
  ClockView clock() const;

  // -- reads where this node doesn't lead, see read_index.h --------------------------------------
  // Asks the leader for the slot from which on a read that came before this call may be answered,
  // and says under which number. Once read_index().number isn't below that, .slot is the answer.
  uint64_t want_read_index();
  struct ReadIndex {
    uint64_t number = 0;
    base::Slot slot;
  };
  ReadIndex read_index() const;

  // Checks the invariants and aborts with the broken one. For tests and the simulator.
  void check_invariants() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace holdfast::paxos
