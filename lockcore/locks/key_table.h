// Small keys with values, found by name and by the lease that they end with; and the numbers of
// sequential names.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>

#include "lockcore/base/state_rows.h"
#include "lockcore/locks/dirty_rows.h"
#include "lockcore/locks/intrusive_list.h"
#include "lockcore/locks/lease_table.h"

namespace holdfast::locks {

class PolicyTable;

struct Key {
  ListLink<Key> links[1];
  const std::string* name = nullptr;  // of its entry in the map
  std::string value;
  base::Revision create;
  base::Revision revision;  // of its last change
  uint64_t version = 0;     // changes since it came to be, that one included
  Lease* lease = nullptr;   // it goes with this one; null: it stays
  RowMark mark;
};

using KeyMap = std::map<std::string, Key, std::less<>>;

base::KeyRow key_row(const Key& key);

class KeyTable {
 public:
  explicit KeyTable(PolicyTable& policies) : policies_(policies) {}
  // Keys point at the names in their map: moving it keeps them valid, copying wouldn't.
  KeyTable(const KeyTable&) = delete;
  KeyTable& operator=(const KeyTable&) = delete;

  const KeyMap& keys() const { return keys_; }
  const Key* find(std::string_view name) const;
  uint64_t bytes() const { return bytes_; }  // of all names and values

  // Makes the key, or changes it. `lease` null: it is bound to none from now on.
  const Key& put(const std::string& name, std::string value, Lease* lease, base::Revision revision);
  void remove(const Key& key);

  // The last number given under this prefix: names to come have greater ones.
  uint64_t last_number(std::string_view prefix) const;
  // `prefix` with the next number whose name is free. Numbers are never given twice, not even after
  // the prefix had to be forgotten for others: then it goes on above the greatest that was.
  std::string next_name(const std::string& prefix, base::Revision revision);
  uint64_t sequence_floor() const { return floor_; }
  void set_sequence_floor(uint64_t floor) { floor_ = floor; }
  size_t sequence_count() const { return sequences_.size(); }

  // -- the record ---------------------------------------------------------------------------------
  // False: there is one of that name. Keys of one lease come in the order of their revisions.
  bool load(const base::KeyRow& row, Lease* lease);
  bool load(const base::SequenceRow& row);
  template <class Visit>
  void visit_sequences(Visit visit) const {
    for (const auto& entry : sequences_) visit(sequence_row(entry));
  }
  void take_changes(base::StateWrite& out);
  // As if all had been taken: what was just restored is on the disk.
  void mark_recorded();

 private:
  struct Sequence {
    uint64_t last = 0;
    base::Revision revision;  // of its last use
    RowMark mark;
  };
  using SequenceMap = std::map<std::string, Sequence, std::less<>>;
  static base::SequenceRow sequence_row(const SequenceMap::value_type& entry) {
    return {entry.first, entry.second.last, entry.second.revision};
  }
  KeyMap::iterator find_or_add(const std::string& name);
  void bind(Key& key, Lease* lease);
  Sequence& use_sequence(const std::string& prefix, base::Revision revision);
  void drop_oldest_sequence();

  PolicyTable& policies_;
  KeyMap keys_;
  uint64_t bytes_ = 0;
  SequenceMap sequences_;
  std::map<base::Revision, SequenceMap::iterator> by_use_;  // of sequences_, by their last use
  uint64_t floor_ = 0;  // the greatest number of a sequence that was dropped

  DirtyRows<KeyMap::value_type> dirty_keys_;
  DirtyRows<SequenceMap::value_type> dirty_sequences_;
  // On the disk; either may come back before a take.
  std::unordered_set<std::string> erased_keys_;
  std::unordered_set<std::string> erased_sequences_;
};

}  // namespace holdfast::locks
