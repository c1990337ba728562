// A scripted life of a node on the real store: what it was told is durable, and the check that a
// restart finds just that.
//
// The script is a list of steps; what else the store learns to do (trim, snapshot) gets a step of
// its own in script(), and its effect on what must be found in Expected.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lockcore/base/log_row.h"
#include "lockcore/store/log_db.h"
#include "lockcore/store/state_db.h"
#include "lockcore/store/state_keeper.h"
#include "tests/store/fault_disk.h"

namespace holdfast::store_test {

// What log.db must say.
struct ExpectedLog {
  base::Ballot promised;
  base::Config config;
  base::FoundingState founding = base::FoundingState::kEmpty;
  std::map<base::NodeId, base::PeerMark> peers;
  std::map<base::Slot, base::Entry> entries;
  base::Slot first_retained{1};

  base::Slot last_slot() const;
  void apply(const base::LogWrite& write);
};

// A transaction that was handed over and not acknowledged may be there whole, or not at all.
struct Expected {
  ExpectedLog log;          // as acknowledged
  ExpectedLog log_at_most;  // with the transaction under way
  base::Slot recorded;      // of state.db, as acknowledged
  base::Slot recorded_at_most;
  // Once bits flipped, state.db may lack its last writes: the log has what they were made of.
  bool may_state_lag = false;
  uint64_t starts = 0;  // that were over
  uint64_t starts_at_most = 0;
};

// The node of the script. Every step may throw StoreError, after which the process is over.
class ScriptedNode {
 public:
  ScriptedNode(FaultDisk& disk, Expected& expected) : disk_(disk), expected_(expected) {}

  void start();
  void stop();
  void promise(uint64_t round);
  void found();
  void accept(uint64_t slots, size_t bytes_each);  // the next slots, in one transaction
  void accept_again(uint64_t slot, size_t bytes);  // another value, in the ballot of the promise
  void hear_of_peers(uint64_t start_count);
  void record(uint64_t slot);
  void checkpoint_log();
  void checkpoint_state();
  void trim_below(uint64_t slot);  // what is recorded
  void give_snapshot();            // to a node that must find in it what was recorded
  // Another node's snapshot comes in, by the part; is checked; counts; is gone on from.
  void take_snapshot(uint64_t slot);
  void check_snapshot();
  void install_snapshot();
  void switch_state();

 private:
  void write(const base::LogWrite& write);
  FaultDisk& disk_;
  Expected& expected_;
  std::unique_ptr<store::LogDb> log_;
  std::unique_ptr<store::StateKeeper> state_;
  base::SnapshotPart taken_;  // the last part of the snapshot that came in
  std::string taken_file_;    // its name, once it is checked
};

// Where the script leaves the record.
constexpr const char* kStateFile = "/node/state-15.db";

struct Step {
  const char* name;
  std::function<void(ScriptedNode&)> run;
};

// What a node does after a restart, in which rows go everywhere, both WALs come over the main files
// and the history is pruned.
const std::vector<Step>& sequel();

// From the first start on an empty disk to the third, with both WALs written over.
const std::vector<Step>& script();

// Runs steps until one throws; returns what it threw.
struct Ended {
  bool has_failed = false;
  bool is_damage = false;
  std::string step;
  std::string message;
};
Ended live(FaultDisk& disk, const std::vector<Step>& steps, Expected& expected);

// Starts the node on this disk, which has no faults, and compares what it finds. Throws StoreError
// if it refuses to start; returns what is wrong, empty if nothing is. What it found is from then on
// expected: a node may have told it.
std::string check_restart(FaultDisk& disk, Expected& expected);

}  // namespace holdfast::store_test
