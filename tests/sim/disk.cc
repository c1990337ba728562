#include "tests/sim/disk.h"

#include "lockcore/base/assert.h"

namespace holdfast::sim {
namespace {

template <class Map, class Row, class Key, class KeyOf>
void apply_changes(Map& table, const base::Changes<Row, Key>& changes, KeyOf key_of) {
  for (const Key& key : changes.erase) table.erase(key);
  for (const Row& row : changes.put) table[key_of(row)] = row;
}

template <class Map, class Row>
void copy_rows(const Map& table, std::vector<Row>& rows) {
  for (const auto& [key, row] : table) rows.push_back(row);
}

}  // namespace

Disk::Disk(base::NodeId self, base::Incarnation incarnation, OnDurable on_durable)
    : on_durable_(std::move(on_durable)) {
  log_.self = self;
  log_.incarnation = incarnation;
}

void Disk::apply(const base::LogWrite& write) {
  if (write.promised) log_.promised = *write.promised;
  if (write.config) log_.config = *write.config;
  if (write.founding) log_.founding = *write.founding;
  if (write.disk_lost) log_.disk_lost = *write.disk_lost;
  for (const base::PeerMark& mark : write.peers) {
    std::erase_if(log_.peers, [&](const base::PeerMark& old) { return old.node == mark.node; });
    log_.peers.push_back(mark);
  }
  for (const base::Entry& entry : write.entries) {
    entries_[entry.slot] = entry;
    on_durable_(entry);
  }
}

void Disk::apply(const base::StateWrite& write) {
  meta_ = write.meta;
  apply_changes(leases_, write.leases, [](const base::LeaseRow& r) { return r.id; });
  apply_changes(locks_, write.locks, [](const base::LockRow& r) { return r.name; });
  apply_changes(holds_, write.holds, [](const base::HoldRow& r) { return r.token; });
  apply_changes(waiters_, write.waiters, [](const base::WaiterRow& r) { return r.queued; });
  apply_changes(clients_, write.clients, [](const base::ClientRow& r) { return r.id; });
  apply_changes(answers_, write.answers, [](const base::AnswerRow& r) { return r.key; });
  apply_changes(keys_, write.keys, [](const base::KeyRow& r) { return r.key; });
  apply_changes(sequences_, write.sequences, [](const base::SequenceRow& r) { return r.prefix; });
  apply_changes(policies_, write.policies, [](const base::PolicyRow& r) { return r.key; });
}

base::WriteId Disk::complete_log() {
  HF_ASSERT(!pending_log_.empty());
  apply(pending_log_.front());
  const base::WriteId id = pending_log_.front().id;
  pending_log_.pop_front();
  return id;
}

base::Slot Disk::complete_state() {
  HF_ASSERT(!pending_state_.empty());
  apply(pending_state_.front());
  const base::Slot slot = pending_state_.front().meta.applied;
  pending_state_.pop_front();
  return slot;
}

bool Disk::holds(base::Slot slot, const base::Ballot& ballot) const {
  const auto row = entries_.find(slot);
  return row != entries_.end() && row->second.ballot >= ballot;
}

std::vector<base::Entry> Disk::read_log(base::Slot from, base::Slot to, size_t max_bytes) const {
  std::vector<base::Entry> entries;
  size_t bytes = 0;
  for (auto it = entries_.lower_bound(from); it != entries_.end() && it->first <= to; ++it) {
    bytes += it->second.bytes();
    if (!entries.empty() && bytes > max_bytes) break;
    entries.push_back(it->second);
  }
  return entries;
}

void Disk::crash(base::Random& random) {
  for (uint64_t keep = random.below(pending_log_.size() + 1); keep > 0; --keep) complete_log();
  for (uint64_t keep = random.below(pending_state_.size() + 1); keep > 0; --keep) complete_state();
  pending_log_.clear();
  pending_state_.clear();
}

std::unique_ptr<Disk> Disk::durable_copy() const {
  auto copy = std::make_unique<Disk>(*this);
  copy->on_durable_ = [](const base::Entry&) {};  // told of already
  copy->pending_log_.clear();
  copy->pending_state_.clear();
  return copy;
}

uint64_t Disk::known_start_count(base::NodeId node) const {
  for (const base::PeerMark& mark : log_.peers) {
    if (mark.node == node) return mark.start_count;
  }
  return 0;
}

base::RecoveredLog Disk::recover_log() {
  ++log_.start_count;
  base::RecoveredLog log = log_;
  for (const auto& [slot, entry] : entries_) {
    if (slot > meta_.applied) log.entries.push_back(entry);
    log.last_slot = slot;
  }
  return log;
}

base::StateRows Disk::recover_state() const {
  base::StateRows rows;
  rows.meta = meta_;
  copy_rows(leases_, rows.leases);
  copy_rows(locks_, rows.locks);
  copy_rows(holds_, rows.holds);
  copy_rows(waiters_, rows.waiters);
  copy_rows(clients_, rows.clients);
  copy_rows(answers_, rows.answers);
  copy_rows(keys_, rows.keys);
  copy_rows(sequences_, rows.sequences);
  copy_rows(policies_, rows.policies);
  return rows;
}

}  // namespace holdfast::sim
