#include "tests/sim/disk.h"

#include <algorithm>

#include "lockcore/base/assert.h"
#include "lockcore/base/checksum.h"

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

constexpr uint64_t kAcceptedStep = 20;  // less than log.db's, so that gaps are filled sooner

constexpr const char* kFirstStateFile = "state.db";

// The bytes of a snapshot are nothing but a function of its id.
std::string snapshot_bytes(base::SnapshotId id, uint64_t from, uint64_t to) {
  std::string bytes;
  for (uint64_t at = from; at < to; ++at) {
    bytes += static_cast<char>(base::Random(id + at / 8).next() >> (at % 8 * 8));
  }
  return bytes;
}

uint64_t size_of(const StateImage& image) {
  const size_t rows = image.leases.size() + image.locks.size() + image.holds.size() +
                      image.waiters.size() + image.clients.size() + image.answers.size();
  return 500 + 50 * rows;
}

}  // namespace

Disk::Disk(base::NodeId self, base::Incarnation incarnation, std::shared_ptr<SnapshotImages> images,
           OnDurable on_durable, OnMended on_mended)
    : on_durable_(std::move(on_durable)),
      on_mended_(std::move(on_mended)),
      images_(std::move(images)) {
  states_[kFirstStateFile];
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
    on_durable_(entry);
    if (entry.slot < log_.first_retained) continue;
    const bool is_lost = entry.slot <= lost_through_ && doubted_.contains(lost_through_);
    entries_[entry.slot] = entry;
    damaged_.erase(entry.slot);
    if (doubted_.erase(entry.slot) != 0 || is_lost) on_mended_(entry);
    if (entry.slot > accepted_limit_) accepted_limit_ = {entry.slot.value + kAcceptedStep - 1};
  }
  if (write.first_retained) trim_below(*write.first_retained);
  if (!write.state_file) return;
  state_file_ = *write.state_file;
  // DESIGN 8: the write that names it deletes the rows at or below its slot.
  HF_ASSERT(entries_.empty() || entries_.begin()->first > state().meta.applied);
}

void Disk::trim_below(base::Slot first) {
  log_.first_retained = first;
  entries_.erase(entries_.begin(), entries_.lower_bound(first));
  for (std::set<base::Slot>* slots : {&damaged_, &doubted_}) {
    slots->erase(slots->begin(), slots->lower_bound(first));
  }
}

void StateImage::apply(const base::StateWrite& write) {
  meta = write.meta;
  apply_changes(leases, write.leases, [](const base::LeaseRow& r) { return r.id; });
  apply_changes(locks, write.locks, [](const base::LockRow& r) { return r.name; });
  apply_changes(holds, write.holds, [](const base::HoldRow& r) { return r.token; });
  apply_changes(waiters, write.waiters, [](const base::WaiterRow& r) { return r.queued; });
  apply_changes(clients, write.clients, [](const base::ClientRow& r) { return r.id; });
  apply_changes(answers, write.answers, [](const base::AnswerRow& r) { return r.key; });
  apply_changes(keys, write.keys, [](const base::KeyRow& r) { return r.key; });
  apply_changes(sequences, write.sequences, [](const base::SequenceRow& r) { return r.prefix; });
  apply_changes(policies, write.policies, [](const base::PolicyRow& r) { return r.key; });
  if (write.config) config = *write.config;
}

base::StateRows StateImage::rows() const {
  base::StateRows out;
  out.meta = meta;
  copy_rows(leases, out.leases);
  copy_rows(locks, out.locks);
  copy_rows(holds, out.holds);
  copy_rows(waiters, out.waiters);
  copy_rows(clients, out.clients);
  copy_rows(answers, out.answers);
  copy_rows(keys, out.keys);
  copy_rows(sequences, out.sequences);
  copy_rows(policies, out.policies);
  out.config = config;
  return out;
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
  states_.at(open_state_).apply(pending_state_.front());
  const base::Slot slot = pending_state_.front().meta.applied;
  pending_state_.pop_front();
  return slot;
}

bool Disk::holds(base::Slot slot, const base::Ballot& ballot) const {
  if (slot < log_.first_retained) return true;  // its effect is in the state: see contradiction()
  const auto row = entries_.find(slot);
  // What flipped while the process ran is in its memory, whole.
  return row != entries_.end() && row->second.ballot >= ballot && !doubted_.contains(slot);
}

std::vector<base::Entry> Disk::read_log(base::Slot from, base::Slot to, size_t max_bytes) const {
  std::vector<base::Entry> entries;
  size_t bytes = 0;
  for (auto it = entries_.lower_bound(from); it != entries_.end() && it->first <= to; ++it) {
    bytes += it->second.bytes();
    if (!entries.empty() && bytes > max_bytes) break;
    if (damaged_.contains(it->first)) break;
    entries.push_back(it->second);
  }
  return entries;
}

void Disk::crash(base::Random& random) {
  for (uint64_t keep = random.below(pending_log_.size() + 1); keep > 0; --keep) complete_log();
  for (uint64_t keep = random.below(pending_state_.size() + 1); keep > 0; --keep) complete_state();
  pending_log_.clear();
  pending_state_.clear();
  given_ = taken_ = {};
  // As a start removes what an interrupted installation left.
  open_state_ = state_file_;
  std::erase_if(states_, [this](const auto& state) { return state.first != state_file_; });
}

void Disk::damage_rows(base::Random& random) {
  if (entries_.empty()) return;
  // Those that are recorded as well, but mostly the last ones.
  for (uint64_t rows = random.chance(0.7) ? 1 : random.between(2, 4); rows > 0; --rows) {
    const uint64_t last = entries_.size() - 1;
    const bool near_end = random.chance(0.7);
    const uint64_t back = random.below(near_end ? std::min<uint64_t>(last, 8) + 1 : last + 1);
    damaged_.insert(std::next(entries_.begin(), static_cast<ptrdiff_t>(last - back))->first);
  }
}

void Disk::lose_rows() {
  entries_.clear();
  lost_through_ = accepted_limit_;
  damaged_.clear();
  if (lost_through_ >= log_.first_retained) damaged_.insert(lost_through_);
}

void Disk::damage_state() {
  states_[state_file_] = {};
  is_state_damaged_ = true;
}

bool Disk::is_in_doubt() const {
  return !doubted_.empty() || state().meta.applied.next() < log_.first_retained;
}

// -- snapshots ------------------------------------------------------------------------------------

base::SnapshotPart Disk::read_snapshot(base::Random& random, base::SnapshotId asked,
                                       uint64_t offset, size_t max_bytes) {
  const StateImage& image = states_.at(open_state_);
  if (asked == 0 && image.meta.applied && (given_.id == 0 || random.chance(0.3))) {
    given_.slot = image.meta.applied;
    given_.total_bytes = size_of(image);
    const uint64_t fields[] = {log_.incarnation.value, given_.slot.value};
    given_.id = base::checksum(fields, sizeof fields, base::checksum(open_state_)) | 1;
    images_->try_emplace(given_.id, std::make_shared<const StateImage>(image));
  }
  if (random.chance(0.003)) given_ = {};  // it was read for too long
  base::SnapshotPart part = given_;
  if (part.id == 0 || (asked != 0 && asked != part.id) || offset >= part.total_bytes) return {};
  part.offset = offset;
  const uint64_t end = std::min<uint64_t>(part.total_bytes, offset + max_bytes);
  part.bytes = std::make_shared<const std::string>(snapshot_bytes(part.id, offset, end));
  part.checksum = base::checksum_of(part);
  return part;
}

std::optional<uint64_t> Disk::write_snapshot(const base::SnapshotPart& part) {
  if (part.offset == 0) {
    taken_ = part;
    taken_bytes_.clear();
  }
  if (part.id != taken_.id || part.offset != taken_bytes_.size()) return std::nullopt;
  taken_bytes_ += *part.bytes;
  return part.end();
}

Disk::CheckedImage Disk::check_snapshot(base::SnapshotId id) {
  if (taken_.id != id || taken_bytes_.size() != taken_.total_bytes) return {};
  CheckedImage checked;
  checked.file = "state-" + std::to_string(taken_.slot.value) + ".db";
  checked.is_damaged = taken_bytes_ != snapshot_bytes(id, 0, taken_.total_bytes);
  states_[checked.file] = *images_->at(id);
  checked.rows = states_[checked.file].rows();
  return checked;
}

void Disk::switch_state() {
  HF_ASSERT(pending_state_.empty());
  open_state_ = state_file_;
  given_ = {};
  std::erase_if(states_, [this](const auto& state) { return state.first != state_file_; });
}

std::unique_ptr<Disk> Disk::durable_copy() const {
  auto copy = std::make_unique<Disk>(*this);
  copy->on_durable_ = [](const base::Entry&) {};  // told of already
  copy->on_mended_ = [](const base::Entry&) {};
  base::Random nothing_under_way_survives(0);
  copy->pending_log_.clear();
  copy->pending_state_.clear();
  copy->crash(nothing_under_way_survives);
  return copy;
}

uint64_t Disk::known_start_count(base::NodeId node) const {
  for (const base::PeerMark& mark : log_.peers) {
    if (mark.node == node) return mark.start_count;
  }
  return 0;
}

std::optional<std::string> Disk::contradiction() const {
  if (!states_.contains(state_file_)) return "log.db names " + state_file_ + ", which isn't there";
  const base::Slot applied = state().meta.applied;
  const std::string ends = state_file_ + " ends at slot " + std::to_string(applied.value);
  if (applied.next() < log_.first_retained && !is_state_damaged_) {
    return ends + ", but the log begins at slot " + std::to_string(log_.first_retained.value);
  }
  if (applied > lost_through_ && applied >= log_.first_retained && !entries_.contains(applied)) {
    return ends + ", which the log doesn't have";
  }
  return std::nullopt;
}

base::RecoveredLog Disk::recover_log() {
  ++log_.start_count;
  const base::Slot applied = state().meta.applied;
  // What a damaged row did is recorded: the log begins behind it.
  const auto in_doubt = damaged_.upper_bound(applied);
  if (in_doubt != damaged_.begin()) trim_below(std::prev(in_doubt)->next());
  if (applied >= log_.first_retained && !entries_.contains(applied)) trim_below(applied.next());
  doubted_ = damaged_;
  base::RecoveredLog log = log_;
  log.damaged.assign(damaged_.begin(), damaged_.end());
  log.last_slot = std::max(base::Slot{log_.first_retained.value - 1}, lost_through_);
  for (const auto& [slot, entry] : entries_) {
    log.last_slot = std::max(log.last_slot, slot);
    if (damaged_.contains(slot)) continue;
    if (slot > applied) {
      log.entries.push_back(entry);
    } else {
      log.pieces.push_back({slot, 1, entry.bytes()});
    }
  }
  if (is_in_doubt()) log.damage = "the disk is damaged";
  return log;
}

base::StateRows Disk::recover_state() const {
  return state().rows();
}

}  // namespace holdfast::sim
