#include "lockcore/locks/key_table.h"

#include <algorithm>

#include "lockcore/base/assert.h"
#include "lockcore/base/limits.h"
#include "lockcore/base/mutant.h"
#include "lockcore/locks/policy_table.h"

namespace holdfast::locks {

base::KeyRow key_row(const Key& key) {
  return {*key.name,    key.value,   key.create,
          key.revision, key.version, key.lease == nullptr ? base::LeaseId() : key.lease->row.id};
}

// -- keys -----------------------------------------------------------------------------------------

const Key* KeyTable::find(std::string_view name) const {
  const auto found = keys_.find(name);
  return found == keys_.end() ? nullptr : &found->second;
}

KeyMap::iterator KeyTable::find_or_add(const std::string& name) {
  const auto [entry, added] = keys_.try_emplace(name);
  if (!added) return entry;
  entry->second.name = &entry->first;
  bytes_ += name.size();
  // New here, but perhaps still on the disk under this name: then a put replaces that row.
  if (!erased_keys_.empty()) entry->second.mark.recorded = erased_keys_.erase(name) != 0;
  return entry;
}

// At the end of the lease's keys: they are in the order of their last changes.
void KeyTable::bind(Key& key, Lease* lease) {
  if (key.lease != nullptr) key.lease->keys.remove(&key);
  key.lease = lease;
  if (lease != nullptr) lease->keys.push_back(&key);
}

const Key& KeyTable::put(const std::string& name, std::string value, Lease* lease,
                         base::Revision revision) {
  const auto entry = find_or_add(name);
  Key& key = entry->second;
  if (key.version != 0) policies_.count(key, -1);
  bytes_ += value.size();
  bytes_ -= key.value.size();
  key.value = std::move(value);
  if (key.version == 0) key.create = revision;
  key.revision = revision;
  ++key.version;
  if (!HF_MUTANT(put_keeps_the_lease)) bind(key, lease);
  policies_.count(key, 1);
  dirty_keys_.add(*entry);
  return key;
}

void KeyTable::remove(const Key& gone) {
  const auto entry = keys_.find(*gone.name);
  Key& key = entry->second;
  policies_.count(key, -1);
  bind(key, nullptr);
  bytes_ -= entry->first.size() + key.value.size();
  dirty_keys_.forget(*entry);
  if (key.mark.recorded) erased_keys_.insert(entry->first);
  keys_.erase(entry);
}

// -- sequences ------------------------------------------------------------------------------------

uint64_t KeyTable::last_number(std::string_view prefix) const {
  const auto found = sequences_.find(prefix);
  return found == sequences_.end() ? floor_ : found->second.last;
}

std::string KeyTable::next_name(const std::string& prefix, base::Revision revision) {
  Sequence& sequence = use_sequence(prefix, revision);
  std::string name;
  do {
    ++sequence.last;
    HF_ASSERT(sequence.last <= base::kMaxSequence);
    std::string digits = std::to_string(sequence.last);
    name = prefix + std::string(base::kSequenceDigits - digits.size(), '0') + digits;
  } while (keys_.contains(name));  // made by hand
  if (HF_MUTANT(sequence_begins_anew) && keys_.lower_bound(prefix) == keys_.end()) {
    sequence.last = 0;
  }
  return name;
}

KeyTable::Sequence& KeyTable::use_sequence(const std::string& prefix, base::Revision revision) {
  const auto [entry, added] = sequences_.try_emplace(prefix);
  Sequence& sequence = entry->second;
  if (added) {
    sequence.last = floor_;
    if (!erased_sequences_.empty()) sequence.mark.recorded = erased_sequences_.erase(prefix) != 0;
  } else {
    by_use_.erase(sequence.revision);
  }
  sequence.revision = revision;
  const bool alone = by_use_.emplace(revision, entry).second;
  HF_ASSERT(alone);
  dirty_sequences_.add(*entry);
  if (sequences_.size() > base::kMaxSequences) drop_oldest_sequence();
  return sequence;
}

void KeyTable::drop_oldest_sequence() {
  const auto entry = by_use_.begin()->second;
  by_use_.erase(by_use_.begin());
  floor_ = std::max(floor_, entry->second.last);
  dirty_sequences_.forget(*entry);
  if (entry->second.mark.recorded) erased_sequences_.insert(entry->first);
  sequences_.erase(entry);
}

// -- the record -----------------------------------------------------------------------------------

bool KeyTable::load(const base::KeyRow& row, Lease* lease) {
  if (keys_.contains(row.key)) return false;
  const auto entry = find_or_add(row.key);
  Key& key = entry->second;
  key.value = row.value;
  bytes_ += row.value.size();
  key.create = row.create;
  key.revision = row.revision;
  key.version = row.version;
  bind(key, lease);
  policies_.count(key, 1);
  dirty_keys_.add(*entry);
  return true;
}

bool KeyTable::load(const base::SequenceRow& row) {
  const auto [entry, added] = sequences_.try_emplace(row.prefix);
  if (!added) return false;
  entry->second.last = row.last;
  entry->second.revision = row.revision;
  dirty_sequences_.add(*entry);
  return by_use_.emplace(row.revision, entry).second;
}

void KeyTable::take_changes(base::StateWrite& out) {
  dirty_keys_.take(
      [&](const KeyMap::value_type& entry) { out.keys.put.push_back(key_row(entry.second)); });
  dirty_sequences_.take([&](const SequenceMap::value_type& entry) {
    out.sequences.put.push_back(sequence_row(entry));
  });
  out.keys.erase.assign(erased_keys_.begin(), erased_keys_.end());
  out.sequences.erase.assign(erased_sequences_.begin(), erased_sequences_.end());
  erased_keys_.clear();
  erased_sequences_.clear();
}

void KeyTable::mark_recorded() {
  dirty_keys_.take([](const KeyMap::value_type&) {});
  dirty_sequences_.take([](const SequenceMap::value_type&) {});
}

}  // namespace holdfast::locks
