// A node's disk: what is durable, and what is on its way. The twin of store/ in memory.
//
// Writes become durable in order, each whole or not at all, as SQLite's transactions do. A crash
// keeps a prefix of those under way: nobody was told of them, and they may be there all the same.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lockcore/base/log_row.h"
#include "lockcore/base/random.h"
#include "lockcore/base/snapshot.h"
#include "lockcore/base/state_rows.h"

namespace holdfast::sim {

// What a state.db says.
struct StateImage {
  base::MetaRow meta;
  std::map<base::LeaseId, base::LeaseRow> leases;
  std::map<std::string, base::LockRow> locks;
  std::map<base::Token, base::HoldRow> holds;
  std::map<base::Revision, base::WaiterRow> waiters;
  std::map<base::ClientId, base::ClientRow> clients;
  std::map<base::AnswerKey, base::AnswerRow> answers;
  std::map<std::string, base::KeyRow> keys;
  std::map<std::string, base::SequenceRow> sequences;
  std::map<base::PolicyKey, base::PolicyRow> policies;
  base::Config config;

  void apply(const base::StateWrite& write);
  base::StateRows rows() const;
};

// Every snapshot that any disk of a run gave out. What travels are bytes that follow from the id;
// whoever got all of them, and right, gets the image.
using SnapshotImages = std::map<base::SnapshotId, std::shared_ptr<const StateImage>>;

class Disk {
 public:
  using OnDurable = std::function<void(const base::Entry&)>;
  // P11: this row took the place of a damaged one.
  using OnMended = std::function<void(const base::Entry&)>;
  Disk(base::NodeId self, base::Incarnation incarnation, std::shared_ptr<SnapshotImages> images,
       OnDurable on_durable, OnMended on_mended);

  void queue(base::LogWrite write) { pending_log_.push_back(std::move(write)); }
  void queue(base::StateWrite write) { pending_state_.push_back(std::move(write)); }
  bool log_busy() const { return !pending_log_.empty(); }
  // Makes the oldest write durable and says which it was.
  base::WriteId complete_log();
  base::Slot complete_state();

  base::Ballot promised() const { return log_.promised; }
  // This row, or one of a higher ballot that replaced it.
  bool holds(base::Slot slot, const base::Ballot& ballot) const;
  std::vector<base::Entry> read_log(base::Slot from, base::Slot to, size_t max_bytes) const;

  // -- snapshots, as store/state_keeper.h has them
  base::SnapshotPart read_snapshot(base::Random& random, base::SnapshotId asked, uint64_t offset,
                                   size_t max_bytes);
  std::optional<uint64_t> write_snapshot(const base::SnapshotPart& part);
  struct CheckedImage {
    std::string file;
    std::optional<base::StateRows> rows;  // none: not all of it was stored
    bool is_damaged = false;
  };
  CheckedImage check_snapshot(base::SnapshotId id);
  void switch_state();

  void crash(base::Random& random);
  // -- bits that flip
  void damage_rows(base::Random& random);  // one or a few of the log, if there are any
  void lose_rows();                        // all of them, with their tree, while it is down
  void damage_state();                     // while it is down: a start finds that, and begins anew
  const std::set<base::Slot>& damaged_rows() const { return damaged_; }
  // The process that runs found, at its start, a row whose value it can't know, or slots of which
  // neither its log nor its state tell.
  bool is_in_doubt() const;
  bool is_damaged() const { return !damaged_.empty() || is_in_doubt(); }
  // What a copy of the directory has in it now: what is durable.
  std::unique_ptr<Disk> durable_copy() const;
  uint64_t start_count() const { return log_.start_count; }
  bool is_lost() const { return !log_.disk_lost.empty(); }  // it knows so itself (P10)
  // The highest start number of `node` that this directory knows of.
  uint64_t known_start_count(base::NodeId node) const;
  // Why the store would not open it; nothing: it would.
  std::optional<std::string> contradiction() const;
  // As log_db and state_db do at start; raises the start count.
  base::RecoveredLog recover_log();
  base::StateRows recover_state() const;

 private:
  void apply(const base::LogWrite& write);
  void trim_below(base::Slot first);
  const StateImage& state() const { return states_.at(state_file_); }

  OnDurable on_durable_;
  OnMended on_mended_;
  base::RecoveredLog log_;  // but its entries
  std::map<base::Slot, base::Entry> entries_;
  std::set<base::Slot> damaged_;  // of entries_ those that fail their checksum
  base::Slot accepted_limit_;     // as log.db keeps it: no row is above
  base::Slot lost_through_;       // when all rows were lost; 0: they never were
  std::set<base::Slot> doubted_;  // of damaged_ those that the present process never knew
  bool is_state_damaged_ = false;
  std::deque<base::LogWrite> pending_log_;

  std::string state_file_ = "state.db";  // as log.db names it
  std::map<std::string, StateImage> states_;
  std::string open_state_ = "state.db";  // what the process writes into
  std::deque<base::StateWrite> pending_state_;

  std::shared_ptr<SnapshotImages> images_;
  base::SnapshotPart given_;  // the snapshot that is read; no id: none
  base::SnapshotPart taken_;  // the one that comes in
  std::string taken_bytes_;
};

}  // namespace holdfast::sim
