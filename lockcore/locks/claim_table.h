// All locks with their holders and queues, found by name, by token, and by who claims.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "lockcore/base/state_rows.h"
#include "lockcore/locks/dirty_rows.h"
#include "lockcore/locks/wait_queue.h"

namespace holdfast::locks {

class ClaimTable {
 public:
  explicit ClaimTable(PolicyTable& policies) : policies_(policies) {}
  // Claims hold iterators of locks_: moving a map keeps them valid, copying wouldn't.
  ClaimTable(const ClaimTable&) = delete;
  ClaimTable& operator=(const ClaimTable&) = delete;

  const LockMap& locks() const { return locks_; }
  // end(): no such lock, so it is free.
  LockRef find(std::string_view name) { return locks_.find(name); }
  LockRef end() { return locks_.end(); }
  LockRef lower_bound(std::string_view name) { return locks_.lower_bound(name); }
  LockRef find_or_add(const std::string& name);
  // By token, or by the revision at which it queued.
  Claim* find(base::Revision id);
  const Claim* find(base::Revision id) const;
  // The hold of this lock with this token; null: there is none.
  Claim* find_hold(std::string_view lock, base::Token token);
  const Claim* find_hold(std::string_view lock, base::Token token) const;
  // What `holder` of `lease` holds of this lock or waits for; null: nothing.
  Claim* find(LockRef lock, const Lease* lease, base::HolderId holder);

  size_t size() const { return claims_.size(); }
  uint64_t hold_count() const { return hold_count_; }
  uint64_t waiter_count() const { return claims_.size() - hold_count_; }

  // Puts a claim at the end of the holders, the waiters or the conversions, as it says itself.
  // `claim` has everything but links; its id is above those of all others in that list. A waiter
  // that is not alone in its request joins the ring of `request`, its last claim so far.
  Claim& add(Claim claim, Claim* request = nullptr);
  // A waiter becomes a holder, with this token, and leaves its ring.
  void grant(Claim& waiter, base::Token token, const base::MetaRow& now);
  // A hold gets another mode. With another token it goes to the end of the holders.
  void convert(Claim& hold, base::Mode mode, base::Token token);
  void set_holder(Claim& hold, base::HolderId holder, base::AgentId agent);
  void set_value(Claim& hold, const std::string& value);
  // Leaves the lock standing, even if unused: see drop_if_unused(). A waiter leaves its ring; a
  // hold must have no conversion any more.
  void remove(Claim& claim);
  void drop_if_unused(LockRef lock);
  // The lock's row changed, at this revision.
  void change(LockRef lock, base::Revision revision);

  // -- lock-delays -------------------------------------------------------------------------------
  // Adds what this hold, which is being lost, may still be doing.
  void delay(const Claim& lost, uint64_t until_ms);
  void set_delay(LockRef lock, Delay delay);
  void end_delay(LockRef lock);
  // Ends first; end(): there is none.
  LockRef first_delayed();
  std::optional<uint64_t> next_delay_end() const;

  template <class Visit>
  void visit_claims(Visit visit) const {
    for (const auto& [id, claim] : claims_) visit(claim);
  }

  void take_changes(base::StateWrite& out);
  // As if all had been taken: what was just restored is on the disk.
  void mark_recorded();

 private:
  struct Identity {
    const Lock* lock;
    const Lease* lease;
    base::HolderId holder;
    bool operator==(const Identity&) const = default;
  };
  static Identity identity_of(const Claim* claim) {
    return {&claim->lock->second, claim->lease, claim->holder};
  }
  static Identity identity_of(const Identity& identity) { return identity; }
  // Looked into, never iterated: addresses differ from node to node.
  struct HashIdentity {
    using is_transparent = void;
    template <class Key>
    size_t operator()(const Key& key) const noexcept;
  };
  struct SameIdentity {
    using is_transparent = void;
    template <class A, class B>
    bool operator()(const A& a, const B& b) const noexcept {
      return identity_of(a) == identity_of(b);
    }
  };

  void link(Claim& claim);
  void unlink(Claim& claim);
  static void leave_ring(Claim& waiter);
  void set_id(Claim& claim, base::Revision id);
  void erase_row(Claim& claim);
  // Calls visit(claim) for the holders and then the waiters, while it returns true.
  template <class Visit>
  static void visit_claims_of(const Lock& lock, Visit visit);
  void index_identity(Claim& claim);
  void unindex_identity(Claim& claim);

  PolicyTable& policies_;
  LockMap locks_;
  std::unordered_map<base::Revision, Claim> claims_;
  std::unordered_set<Claim*, HashIdentity, SameIdentity> by_identity_;  // of crowded locks
  uint64_t hold_count_ = 0;

  DirtyRows<Claim> dirty_claims_;
  DirtyRows<LockMap::value_type> dirty_locks_;
  std::unordered_set<std::string> erased_locks_;  // on the disk; a lock may come back before a take
  std::vector<base::Token> erased_holds_;
  std::vector<base::Revision> erased_waiters_;
  std::set<std::pair<uint64_t, std::string>> delays_;  // by their end
};

base::HoldRow hold_row(const Claim& claim);
base::WaiterRow waiter_row(const Claim& claim);
base::LockRow lock_row(const LockMap::value_type& lock);

}  // namespace holdfast::locks
