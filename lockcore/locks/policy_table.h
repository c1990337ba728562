// What admins allow: drains, under which nothing is granted, and quotas, with what is used of them.
//
// A quota counts as things come and go. Its use is not part of the record: it follows from the
// other tables, and is counted anew when a quota is set or the state restored.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lockcore/base/error.h"
#include "lockcore/base/state_rows.h"
#include "lockcore/locks/dirty_rows.h"

namespace holdfast::locks {

struct Claim;
struct Key;
struct Lease;

struct Policy {
  base::PolicyRow row;
  base::QuotaLimits used;  // of a quota; what it doesn't limit is counted too
  RowMark mark;
};

// What an operation of a transaction makes of a key. Owners: of the leases that it ends with; null:
// nobody's.
struct KeyChange {
  std::string_view name;
  int64_t bytes_before = 0;
  const base::Owner* owner_before = nullptr;
  int64_t bytes_after = 0;
  const base::Owner* owner_after = nullptr;
};

class PolicyTable {
 public:
  using PolicyMap = std::map<base::PolicyKey, Policy>;

  const PolicyMap& policies() const { return policies_; }
  const Policy* find(const base::PolicyKey& key) const;
  // Makes it, or replaces it. A quota's use is to be counted after.
  Policy& set(base::PolicyRow row);
  void end(const base::PolicyKey& key);

  // The drain that keeps this lock from being granted; null: none.
  const base::PolicyRow* drain_of(std::string_view lock) const;

  // What speaks against so much more.
  std::optional<base::Error> refuse_lease(const base::Owner& owner) const;
  std::optional<base::Error> refuse_claims(const std::vector<std::string_view>& locks,
                                           const base::Owner& owner, bool waiting) const;
  std::optional<base::Error> refuse_keys(const std::vector<KeyChange>& changes) const;

  // Something came (1) or goes (-1).
  void count(const Lease& lease, int change);
  void count(const Claim& claim, int change);
  void count(const Key& key, int change);

  void take_changes(base::Changes<base::PolicyRow, base::PolicyKey>& out);
  void mark_recorded();

 private:
  template <class Visit>
  void visit_quotas(std::string_view name, const base::Owner* owner, Visit visit);

  PolicyMap policies_;
  size_t drains_ = 0;  // of policies_
  size_t quotas_ = 0;
  DirtyRows<PolicyMap::value_type> dirty_;
  std::vector<base::PolicyKey> erased_;
};

}  // namespace holdfast::locks
