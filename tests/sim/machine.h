// Machine: one simulated computer. Its process is a real Node, driven as the daemon's driver does
// it, on a clock and a disk of its own.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "lockcore/node/node.h"
#include "tests/sim/clock.h"
#include "tests/sim/disk.h"
#include "tests/sim/network.h"
#include "tests/sim/options.h"
#include "tests/sim/oracles.h"
#include "tests/sim/world.h"

namespace holdfast::sim {

class Links;

// What a client's call gets back. `unreachable`: the process died before it answered.
struct CallResult {
  bool unreachable = false;
  std::optional<locks::Answer> answer;  // of a command
  std::optional<node::RenewReply> renewal;
  std::optional<node::ReadReply> read;
  std::optional<node::AdminReply> admin;
  base::Revision revision;  // of the state that a read saw
};
using CallDone = std::function<void(const CallResult&)>;

// Something that happens in the process's loop.
using Event = std::function<void(node::Node&, base::Instant now, node::Effects&)>;
using Ask = std::function<void(node::Node&, node::ClientRef, base::Instant, node::Effects&)>;

class Machine {
 public:
  Machine(World& world, const Options& options, Oracles& oracles, Network& network, Links& links,
          std::shared_ptr<SnapshotImages> images, base::NodeId id);

  base::NodeId id() const { return id_; }
  std::string name() const { return "node " + std::to_string(id_.value); }
  bool up() const { return node_ != nullptr; }
  bool stands_still() const { return still_ > 0; }
  bool deaf() const { return deaf_; }            // suspended: what is sent to it is lost
  uint64_t process() const { return process_; }  // counts starts
  node::Node* node() { return node_.get(); }
  const node::Node* node() const { return node_.get(); }
  Disk& disk() { return *disk_; }
  const Disk& disk() const { return *disk_; }
  base::Instant now() const { return clock_.read(world_.now()); }

  // Runs `what` as an event of the process's loop, if that is still the same process; after the
  // standstill if it stands still.
  void deliver(uint64_t process, Event what);
  // A client's call, as such an event. `key` is that of a command. `done` runs at the end of the
  // turn that answers it, while the node is as the answer says.
  node::ClientRef call(base::AnswerKey key, const Ask& ask, CallDone done, bool here = false);
  // Nobody waits for it any more.
  void drop(node::ClientRef call);
  // Told when a process has ended.
  void set_on_end(std::function<void()> on_end) { on_end_ = std::move(on_end); }

  // -- what happens to it -------------------------------------------------------------------------
  void start();  // unless its disk is full
  void crash();
  // In its next turn that has effects the process dies after so many of them.
  void crash_within_turn(uint32_t effects) { dies_after_ = effects; }
  void stand_still(bool deaf);
  void go_on();  // one reason less; after the last, what came meanwhile is delivered
  void set_clock_factor(double factor);
  void jump_wall_clock(int64_t ms) { wall_ms_ += ms; }
  void stall_disk(int64_t until) { disk_stalled_until_ = until; }
  void slow_disk(int64_t ms) { disk_slower_ms_ = ms; }  // each operation; 0: no longer
  void fill_disk(bool full) { disk_full_ = full; }
  void wipe_disk();     // while it is down
  void damage_log();    // a row or a few; while it runs they are found after a while
  void lose_rows();     // all of them, while it is down
  void damage_state();  // while it is down
  // An older copy of its directory, while it is down. It starts while the others would notice.
  void put_back(std::unique_ptr<Disk> copy, std::function<bool(const Disk&)> is_noticed);
  void end_disk_faults();

  // Calls that wait since before `since` (true time).
  bool has_call_since(int64_t since) const;

 private:
  struct Call {
    CallDone done;
    int64_t since;  // true time
    base::AnswerKey key;
    bool here;  // a read that whichever node answers
  };

  node::Options node_options();
  void forget(const char* how);
  void check_remainders();
  void plan_turn();
  void finish_turn();
  void carry_out();
  void tell_peers_and_disk();
  void answer_calls(node::Effects& fx);
  void answer(node::ClientRef ref, const CallResult& result);
  void follow_members();
  void check_confirmed(node::ClientRef ref, bool is_error);
  void check_leader();
  void end_refused(const std::string& reason);
  bool dies_here();  // in the middle of a turn's effects
  void plan_tick();
  int64_t disk_delay();
  void write_log();
  void finish_log_write(uint64_t process);
  void write_state(bool compare);
  void compare_state();
  void read_log(paxos::LogRead read);
  void verify_log(uint64_t process);
  void carry_out_snapshots(node::Effects& fx);
  void check_snapshot(base::SnapshotId id, node::Node& node, base::Instant now, node::Effects& fx);
  void do_state_tasks();
  void after_disk(Event what);

  World& world_;
  const Options& options_;
  Oracles& oracles_;
  Network& network_;
  Links& links_;
  const base::NodeId id_;
  base::Random random_;
  base::Random barriers_;
  SkewedClock clock_;
  const std::shared_ptr<SnapshotImages> images_;
  std::unique_ptr<Disk> disk_;
  std::function<bool(const Disk&)> is_noticed_;  // of a disk that was put back
  int64_t wall_ms_ = 0;                          // by how much its wall clock is wrong
  bool wild_clock_ = false;                      // it ran beyond ε at some time

  // -- the process. Nothing of it outlives a crash.
  std::unique_ptr<node::Node> node_;  // null: down
  uint64_t process_ = 0;
  int still_ = 0;  // for so many reasons
  bool deaf_ = false;
  std::vector<Event> backlog_;  // what came while it stood still
  node::Effects fx_;
  bool turn_planned_ = false;
  int64_t tick_planned_at_ = -1;  // true time of the earliest planned tick; -1: none
  bool log_busy_ = false, state_busy_ = false;
  std::deque<Event> state_tasks_;  // of snapshots
  bool doing_state_task_ = false;
  std::optional<uint32_t> dies_after_;
  bool dying_ = false;
  node::ClientRef next_ref_ = 1;
  std::map<node::ClientRef, Call> calls_;
  std::function<void()> on_end_;

  // -- for the oracles. All by true time.
  int64_t resumed_at_ = 0;  // of its start, or the end of its last standstill
  int64_t leads_since_ = 0;
  base::Ballot leads_in_;
  int restarts_refused_ = 0;
  base::ConfigVersion linked_;  // the membership by which its links were last looked at
  int64_t looked_at_ = 0;       // its invariants and its state
  base::Slot looked_applied_;   // as it was then
  base::Slot told_applied_;     // the oracles know of what is applied through here

  int64_t disk_stalled_until_ = 0;
  int64_t disk_slower_ms_ = 0;
  bool disk_full_ = false;
};

}  // namespace holdfast::sim
