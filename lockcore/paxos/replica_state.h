// All that a Replica knows. Internal to paxos/: the rooms (acceptor, election, proposer, confirm,
// catch_up, membership, founding) are functions over this one struct.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lockcore/base/limits.h"
#include "lockcore/base/log_row.h"
#include "lockcore/base/random.h"
#include "lockcore/paxos/log_sizes.h"
#include "lockcore/paxos/log_window.h"
#include "lockcore/paxos/quorum.h"
#include "lockcore/paxos/replica.h"
#include "lockcore/paxos/write_gate.h"

namespace holdfast::paxos {

// Rounds and slots beyond this don't come from a working node: what names one is dropped unread.
constexpr uint64_t kMaxCounter = uint64_t{1} << 62;

// What one answer says of another node's clock: it showed `theirs` at some moment between these two
// of ours.
struct ClockReading {
  base::Instant sent, received;
  base::Instant theirs;
};
// How fast another clock runs, as a multiple of ours: somewhere in here. low > 0.
struct ClockRate {
  double low = 1, high = 1;
  double middle() const { return (low + high) / 2; }
};

// Another member of the cell, or of the --cluster list while there is no cell.
struct Peer {
  base::NodeId id;
  std::string address;
  bool admitted = false;   // its hello was accepted in this run: its messages count
  bool connected = false;  // and its link is up, as far as known
  // P9: we don't know it, for we lag: it is of a newer configuration of our cell. Whoever of those
  // that we do know is gone by now, it can tell us what we missed.
  bool stranger = false;
  std::optional<Hello> hello;  // the last accepted one
  base::PeerMark mark;         // what we know of its life; the durable part of it in `stored`
  base::PeerMark stored;
  std::string refused_for;                // the last reason that it gave for refusing us, told once
  std::string refusal;                    // the last reason that we gave it, told once; empty: none
  base::Instant heard_at = base::kNever;  // when it last answered in the ballot that we lead
  // As last heard, for people and for catch-up.
  base::Slot accepted, chosen, applied, recorded;

  // clock_watch: what it told of its clock, oldest first, and what follows from that.
  std::deque<ClockReading> clock_readings;
  base::Instant clock_asked = base::kNever;  // when we last asked; kNever: it has answered
  std::optional<ClockRate> clock_rate;       // nullopt: too little is known
  bool clock_differs = false;                // from ours by more than two good clocks can
};

// Following, and asking to lead (P1, P3, P7).
struct ElectionState {
  base::Instant deadline;  // follower: when to probe; probing and candidate: when to start anew
  // P7: who was last heard leading (or was last promised a ballot, which deserves as much
  // patience), and when. 0: nobody since its link closed.
  base::NodeId heard_from;
  base::Instant heard_at;
  base::Instant followed_at;   // when a leader's word last came
  uint64_t highest_round = 0;  // of any ballot seen anywhere
  uint32_t attempts = 0;       // probes in vain since the last leader
  VoterSet yes;                // probing: who would promise
  // P7: whoever leads in this ballot gave us leave to skip the probe. Void as soon as a higher
  // ballot is promised.
  base::Ballot leave;
  base::Instant leave_until;  // and then as well: its giver leads on
};

// A candidate's phase 1.
struct Phase1 {
  struct Answer {
    base::NodeId from;
    base::Slot chosen_upto;
    base::Slot first_retained;
    std::vector<bool> parts;  // which have come
    size_t missing = 0;
  };
  base::Slot from;            // asked for everything from here
  base::WriteId own_promise;  // the ballot is used only once this is durable (P1)
  bool asked = false;         // the Prepares are out
  base::Instant resend_at;
  std::vector<Answer> answers;
  std::map<base::Slot, base::Entry> best;  // per slot, the answers' value of the highest ballot
};

// The leader's phase 2 and its confirm rounds. Starts anew with every ballot.
struct LeaderState {
  struct OwnWrite {
    base::WriteId id;
    base::Slot first, last;
  };
  struct Follower {
    base::NodeId id;
    base::Slot sent_upto;  // proposals through here were sent to it, in this ballot
    base::Instant resend_at = base::kNever;
    base::Slot resend_upto;  // slots through here were already out at the last look
  };
  std::deque<base::Entry> reproposals;  // phase 1's result, not yet proposed; by slot
  base::Slot next_slot;                 // of the next new proposal
  base::Slot proposed_upto;             // through here is proposed in this ballot, < next_slot
  base::Slot announced;                 // NewLeader is proposed there (P3); 0: not yet
  base::Slot barrier;                   // P9: a Reconfigure stands here; 0: none does
  base::Slot turn_from;                 // proposed in this turn, not yet sent; 0: nothing
  std::deque<OwnWrite> own_writes;      // our own votes that are not yet durable
  std::vector<Follower> followers;      // every other voter

  struct HandOver {
    base::NodeId to;
    base::Instant say_at;  // when to say so (again)
    base::Instant until;   // then we go on ourselves
  };
  std::optional<HandOver> hand_over;

  // fan_out: whom proposals and rounds go to at once, and when the rest gets what it lacks.
  std::optional<VoterSet> front;  // a quorum with us; nullopt: everybody, until it has shown itself
  base::Slot front_from;          // which it does by choosing a slot from here on
  base::Instant rest_at = base::kNever;
  base::Slot rest_slot;        // of those that the rest waits for, the first turn's last slot,
  base::Confirm rest_confirm;  // and round: not yet chosen or confirmed at rest_at, they are late
  size_t rest_bytes = 0;       // proposed since the rest was last served

  // read_index: who asked, and which round has to be through. At most one for every peer.
  struct ReadQuestion {
    base::NodeId peer;
    uint64_t process = 0, number = 0;
    base::Confirm needed;
  };
  std::vector<ReadQuestion> read_questions;

  // P8. confirmed <= sent <= drawn; wanted <= drawn; broadcast <= sent.
  base::Confirm drawn;      // the newest counter
  base::Confirm sent;       // the newest that any message carried
  base::Confirm broadcast;  // the newest that went to a quorum at once
  base::Confirm wanted;     // the newest that somebody waits for
  base::Confirm asked;      // the newest that went out in heartbeats of its own, not with accepts
  base::Confirm confirmed;  // the newest that a quorum echoed
  std::vector<uint64_t> echoed;    // by voter
  base::Instant heartbeat_at;      // when the next one is due
  base::Instant confirm_deadline;  // without a newer confirmed round by then we step down
};

// Fetching what others know chosen, and answering those who ask.
struct CatchUpState {
  base::NodeId source;  // who said that it knows more; 0: nobody
  base::Slot target;    // how far
  bool outstanding = false;
  base::Instant retry_at = base::kNever;
  struct Reading {
    uint64_t id;
    base::NodeId peer;
    base::Slot from;
  };
  std::vector<Reading> readings;  // at most one for every peer
  uint64_t last_read = 0;
};

// What the other clocks say of ours.
struct ClockState {
  ClockVerdict verdict = ClockVerdict::kUnknown;
  base::Instant judged_at;             // when there was last enough to judge by
  base::Instant ask_at;                // when to ask the others again
  std::vector<base::NodeId> agreeing;  // kOdd: a majority whose clocks agree, against ours
  base::Instant stands_back_until;     // kOdd: then somebody must lead, be it us
  base::Instant hand_over_at;          // kOdd: when to try (again)
  std::string trouble;                 // whom it disagrees with, in words; empty: nobody
};

// Asking the leader from which slot on reads may be answered here. answered <= asked <= wanted.
struct ReadIndexState {
  uint64_t wanted = 0;    // the newest number that a read waits for
  uint64_t asked = 0;     // the newest that was sent
  uint64_t answered = 0;  // the newest that was answered, with this slot
  base::Slot slot;
  base::NodeId asked_of;
  base::Instant ask_again_at = base::kNever;
};

// What may be trimmed.
struct TrimState {
  LogSizes sizes;           // of what state.db may know: the rows through counted_upto
  base::Slot counted_upto;  // <= min(applied, durable_upto)
};

// Receiving a snapshot, and who is sent one.
struct SnapshotState {
  base::NodeId source;      // whom it comes from; 0: none is wanted
  base::SnapshotId id = 0;  // 0: it has not answered yet
  base::Slot slot;
  uint64_t total_bytes = 0;
  // stored <= received <= asked
  uint64_t asked = 0;
  uint64_t received = 0;
  uint64_t stored = 0;
  base::Instant retry_at = base::kNever;
  base::Instant give_up_at = base::kNever;  // without progress by then
  bool checking = false;                    // all of it is stored, and given to be checked
  base::WriteId install;                    // the write that installs it; 0: not handed over
  base::Slot installed;                     // of the last one
  base::NodeId refused;                     // whose last one could not be used; 0: nobody's
  struct Sending {
    base::NodeId peer;
    base::Slot slot;  // the log above it is kept for the peer
    base::Instant until;
    size_t reads = 0;  // under way
  };
  std::vector<Sending> sending;  // at most one for every peer
};

// P11: what this node lost to damage and has to get back from the others before it votes again.
struct MendingState {
  base::Slot rows_upto;    // a row through here is damaged: all through here must be known chosen
  base::Slot record_upto;  // trimmed through here, so that state.db must hold it, but it doesn't
  std::vector<base::Entry> rows;  // found above record_upto, while it isn't known chosen
  base::Slot trim_through;        // found while it ran: goes from the log once it is recorded
  base::NodeId asked;             // who was asked last, of its own accord
  base::Instant ask_at;
  bool told_end = true;

  base::Slot upto() const { return std::max(rows_upto, record_upto); }
};

// P10: until the cell is founded.
struct FoundingProgress {
  std::set<base::NodeId> acked;  // the proposer's: who has the record durably
  base::WriteId own_record;      // this node's write of the record
  base::WriteId founded_write;   // this node's write of kFounded; 0: none yet
  base::Instant resend_at;
};

struct ReplicaState {
  ReplicaState(Options options, base::RecoveredLog recovered, base::Slot applied,
               base::Instant now);

  // -- who we are
  Options options;
  base::NodeId self;
  base::Incarnation incarnation;
  uint64_t start_count = 0;
  std::vector<base::Member> cluster;  // --cluster, by id
  std::string cluster_text;           // the same in canonical form
  base::Instant now;
  base::Instant patience_until;  // after a pause, see advance_time()
  base::Random random;

  // -- who the others are
  base::FoundingState founding;  // with the writes under way; gate.facts() has the durable one
  base::Config config;           // version 0 while founding == kEmpty
  Electorate electorate;         // of config
  uint64_t contacts = 0;         // counts changes of who is in `peers`
  base::Slot config_slot;        // the last Reconfigure that is applied
  std::set<base::NodeId> removed_say;  // who said that we were removed
  std::vector<Peer> peers;             // by id, without us

  // -- acceptor
  base::Ballot promised;  // with the writes under way; >= the ballot of every row accepted here
  base::Slot first_retained;
  LogWindow log;
  WriteGate gate;

  // -- learner: recorded <= applied <= handed_upto <= chosen_upto,
  // and durable_upto <= chosen_upto.
  base::Slot chosen_upto;
  base::Slot handed_upto;  // next_chosen() gave everything through here
  base::Slot applied;
  base::Slot recorded;
  base::Slot durable_upto;

  // -- proposer
  Role role = Role::kFounding;
  base::Ballot ballot;         // ours, while probing (a guess), candidate or leader
  base::NodeId leader;         // whom we follow, or self
  base::Ballot leader_ballot;  // in which it leads
  ElectionState election;
  Phase1 phase1;
  LeaderState lead;
  CatchUpState catch_up;
  SnapshotState snapshot;
  TrimState trim;
  MendingState mending;
  ClockState clocks;
  ReadIndexState read_index;
  FoundingProgress progress;

  // -- what is still to be told
  std::vector<Notice> early_notices;  // found before there were Effects to put them into
  std::optional<std::string> early_fatal;
  std::set<base::NodeId> refused_strangers;  // told once each
  bool started = false;                      // the first turn is over
  bool ended = false;                        // a fatal reason was given: nothing is done any more
  Role told_role = Role::kFounding;
  base::NodeId told_leader;
  base::Ballot told_ballot;

  // How things stood at the last check_invariants(): they may only grow.
  mutable base::Ballot checked_promised;
  mutable base::Slot checked_chosen, checked_handed, checked_durable;
  mutable uint32_t checks = 0;

  // -- small things that every room uses
  Peer* find_peer(base::NodeId id);
  const Peer* find_peer(base::NodeId id) const;
  bool is_voter() const { return electorate.is_voter(self); }
  // P9: the configuration of the first slot not known chosen is `config` only if no Reconfigure is
  // chosen that isn't applied yet.
  bool config_is_current() const;
  // Slots beyond this are not kept in memory: what brings them counts as lost, and comes again.
  base::Slot window_end() const;
  bool founded() const { return role != Role::kFounding; }
  // P11: neither promises nor accepts, and asks nobody to.
  bool mends() const { return durable_upto < mending.rows_upto || recorded < mending.record_upto; }
  base::Ballot shown_ballot() const;

  void send(base::NodeId to, Message message, Effects& fx) const;
  void tell(Notice::Level level, std::string text, Effects& fx) const;
  void end(std::string reason, Effects& fx);  // the process must end
  // And the peers that follow from it; references to them end here.
  void set_config(base::Config new_config);
  void saw_round(const base::Ballot& seen);
  // Moves durable_upto over what is chosen and durable.
  void advance_durable();
  // Marks everything chosen that is known to be, in order, and what follows from it.
  void advance_chosen();
  base::Duration election_jitter();  // in [0, election)
  // A write has been under way for so long that this disk can't be counted on.
  bool disk_stalled(base::Instant as_of) const;
};

// An entry that came from outside is whole and of a kind that this version may accept.
bool well_formed(const base::Entry& entry);
bool well_formed(const base::Ballot& ballot);
bool same_value(const base::Entry& a, const base::Entry& b);
// "node 2 (10.0.0.2:7420)", "cell 00c0ffee00c0ffee", "ballot 7 of node 2".
std::string node_text(base::NodeId id, const std::string& address);
std::string cell_text(base::CellId cell);
std::string ballot_text(const base::Ballot& ballot);
// "1=host:port,2=host:port", by id.
std::string cluster_text(const std::vector<base::Member>& members);
// "voters 1=host:port,2=host:port; learners 4=host:port".
std::string membership_text(const base::Config& config);

}  // namespace holdfast::paxos
