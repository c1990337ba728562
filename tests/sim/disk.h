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
#include <string>
#include <vector>

#include "lockcore/base/log_row.h"
#include "lockcore/base/random.h"
#include "lockcore/base/state_rows.h"

namespace holdfast::sim {

class Disk {
 public:
  using OnDurable = std::function<void(const base::Entry&)>;
  Disk(base::NodeId self, base::Incarnation incarnation, OnDurable on_durable);

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

  void crash(base::Random& random);
  // What a copy of the directory has in it now: what is durable.
  std::unique_ptr<Disk> durable_copy() const;
  uint64_t start_count() const { return log_.start_count; }
  bool is_lost() const { return !log_.disk_lost.empty(); }  // it knows so itself (P10)
  // The highest start number of `node` that this directory knows of.
  uint64_t known_start_count(base::NodeId node) const;
  // As log_db and state_db do at start; raises the start count.
  base::RecoveredLog recover_log();
  base::StateRows recover_state() const;

 private:
  void apply(const base::LogWrite& write);
  void apply(const base::StateWrite& write);

  OnDurable on_durable_;
  base::RecoveredLog log_;  // but its entries
  std::map<base::Slot, base::Entry> entries_;
  std::deque<base::LogWrite> pending_log_;

  base::MetaRow meta_;
  std::map<base::LeaseId, base::LeaseRow> leases_;
  std::map<std::string, base::LockRow> locks_;
  std::map<base::Token, base::HoldRow> holds_;
  std::map<base::Revision, base::WaiterRow> waiters_;
  std::map<base::ClientId, base::ClientRow> clients_;
  std::map<base::AnswerKey, base::AnswerRow> answers_;
  std::map<std::string, base::KeyRow> keys_;
  std::map<std::string, base::SequenceRow> sequences_;
  std::map<base::PolicyKey, base::PolicyRow> policies_;
  std::deque<base::StateWrite> pending_state_;
};

}  // namespace holdfast::sim
