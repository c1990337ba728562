// The leases, the claims under each, and the owners that they share.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "lockcore/base/state_rows.h"
#include "lockcore/locks/dirty_rows.h"
#include "lockcore/locks/intrusive_list.h"

namespace holdfast::locks {

struct Claim;
struct Key;
class PolicyTable;
// Which of Claim::links is which.
constexpr size_t kLinkInLock = 0;
constexpr size_t kLinkInLease = 1;

using KeysOfLease = IntrusiveList<Key, 0>;

struct Lease {
  base::LeaseRow row;
  IntrusiveList<Claim, kLinkInLease> holds;  // in grant order
  IntrusiveList<Claim, kLinkInLease> waits;  // in queue order
  KeysOfLease keys;                          // in the order of their last changes
  uint32_t hold_count = 0;
  uint32_t wait_count = 0;
  uint32_t orphan_count = 0;  // holds of before it was adopted that nobody has taken up
  RowMark mark;
  bool ending = false;  // the command at hand ends it
};

// One copy of each owner, however many leases name it: a process may have thousands of leases.
class OwnerPool {
 public:
  std::shared_ptr<const base::Owner> share(base::Owner owner);
  // One lease less names `owner`. Others may go on reading it: events do, on their way to the disk.
  void drop(const base::Owner& owner);

 private:
  struct Entry {
    std::shared_ptr<const base::Owner> owner;
    uint64_t leases = 0;
  };
  struct Hash {
    size_t operator()(const base::Owner* owner) const { return base::hash_of(*owner); }
  };
  struct SameAs {
    bool operator()(const base::Owner* a, const base::Owner* b) const { return *a == *b; }
  };
  // Keys point at the owners in the entries.
  std::unordered_map<const base::Owner*, Entry, Hash, SameAs> entries_;
};

inline bool is_bound(const base::LeaseRow& row) {
  return row.former || row.drop_on_disconnect;
}

class LeaseTable {
 public:
  explicit LeaseTable(PolicyTable& policies) : policies_(policies) {}

  Lease* find(base::LeaseId id);
  const Lease* find(base::LeaseId id) const;
  size_t size() const { return leases_.size(); }

  // `row.owner` is replaced by the shared copy. Ids come in ascending order.
  Lease& add(base::LeaseRow row, base::Owner owner);
  // It has no claims and no keys any more.
  void remove(Lease& lease);
  // How many are renewed by their clients alone: those that were adopted, so that whoever had them
  // hears that they are gone, and those that end with a connection, their client's.
  size_t bound() const { return bound_; }
  // Another client's from now on. Its next leader gives it its whole TTL.
  void adopt(Lease& lease, base::ClientId by);
  void set_owner(Lease& lease, base::Owner owner);
  // What is left of it, by a checkpoint; 0: all.
  void set_left(Lease& lease, uint64_t left_ms);

  // Calls visit(lease) in ascending order of ids above `after`, while it returns true.
  template <class Visit>
  void visit_above(base::LeaseId after, Visit visit) const;

  void take_changes(base::Changes<base::LeaseRow, base::LeaseId>& out);
  // As if all had been taken: what was just restored is on the disk.
  void mark_recorded();

 private:
  size_t first_above(base::LeaseId after) const;
  void compact();

  PolicyTable& policies_;
  std::unordered_map<base::LeaseId, Lease> leases_;
  // Ascending; ids of leases that ended stay in it until they are the greater part.
  std::vector<base::LeaseId> order_;
  size_t bound_ = 0;
  OwnerPool owners_;
  DirtyRows<Lease> dirty_;
  std::vector<base::LeaseId> erased_;
};

template <class Visit>
void LeaseTable::visit_above(base::LeaseId after, Visit visit) const {
  for (size_t i = first_above(after); i < order_.size(); ++i) {
    const Lease* lease = find(order_[i]);
    if (lease != nullptr && !visit(*lease)) return;
  }
}

}  // namespace holdfast::locks
