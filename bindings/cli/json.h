// Results as JSON, one object on one line each. The fields are those of output.capnp.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "holdfast/holdfast.h"

namespace holdfast::store {
struct BackupInfo;
struct NewCell;
}  // namespace holdfast::store

namespace holdfast::cli {

struct BenchResult;    // bench_result.h
struct TopView;        // top_view.h
struct TortureResult;  // torture_result.h

enum class LockQuestion { free, held, valid };

// What `check` found.
struct CheckResult {
  struct Node {
    uint64_t id = 0;
    std::string name;
    std::string verdict;  // ok, differs, damaged, unreachable, not compared
    uint64_t digest = 0;  // 0: none
    std::string damage;
  };
  uint64_t slot = 0;
  bool agrees = true;    // all that answered
  bool complete = true;  // everybody was compared
  bool deep = false;
  std::vector<Node> nodes;
};
std::string to_json(const CheckResult& result);
std::string hex_digits(uint64_t number);  // 16 of them

// What `acquire` prints.
struct Acquired {
  std::string lock;
  std::string lease;
  uint64_t token = 0;
  int64_t deadline_ms = 0;  // unix time
};

std::string to_json(const Acquired& acquired);
std::string to_json(const OpenedLease& lease);
std::string to_json(const LockInfo& lock);
std::string to_json(const LeaseInfo& lease);
std::string to_json(const CellStatus& status);
std::string to_json(const BenchResult& result);
std::string backup_to_json(const std::string& file, const store::BackupInfo& info);
// A directory that was made for a node of the new cell.
std::string restored_to_json(uint64_t node, const std::string& dir, const store::NewCell& cell);
std::string to_json(const Membership& membership);
// Of `members`: the same as of `status`, seen as membership.
std::string members_to_json(const CellStatus& status);
std::string leader_to_json(uint64_t leader, const std::string& address);
std::string to_json(const TortureResult& result);
std::string to_json(const TopView& view);
std::string to_json(const Event& event);
std::string to_json(const Why& why);
std::string to_json(const std::string& election, const std::optional<Leader>& leader);
// A row of `sql`.
std::string to_json(const std::vector<std::string>& columns, const std::vector<SqlValue>& row);
std::string renewed_to_json(const std::string& lease, int64_t deadline_ms);
// {"lock":…,"free":true} or {"lock":…,"held":true}
std::string answer_to_json(const std::string& lock, LockQuestion question, bool answer);
std::string error_to_json(const std::string& code, const std::string& message,
                          const std::vector<std::pair<std::string, std::string>>& detail);

// The active leader's id, 0 if there is none.
uint64_t leader_of(const CellStatus& status);

}  // namespace holdfast::cli
