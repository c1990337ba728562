#include "lockcore/locks/deadlock.h"

#include <algorithm>
#include <deque>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "lockcore/base/lease_text.h"
#include "lockcore/base/limits.h"

namespace holdfast::locks {
namespace {

struct Agent {
  const Lease* lease = nullptr;
  base::AgentId id;
  bool operator==(const Agent&) const = default;
};
// Looked into, never iterated: addresses differ from node to node, and the answer must not.
struct HashAgent {
  size_t operator()(const Agent& agent) const noexcept {
    const uint64_t mixed = (reinterpret_cast<uintptr_t>(agent.lease) >> 4) * 0x9E3779B97F4A7C15ULL ^
                           agent.id.value * 0xC2B2AE3D27D4EB4FULL;
    return static_cast<size_t>(mixed ^ (mixed >> 31));
  }
};
using Agents = std::unordered_set<Agent, HashAgent>;

Agent agent_of(const Claim& claim) {
  return {claim.lease, claim.agent};
}

// How far a lock was looked through for one mode.
struct LockAndMode {
  const Lock* lock;
  base::Mode mode;
  bool operator==(const LockAndMode&) const = default;
};
struct HashLockAndMode {
  size_t operator()(const LockAndMode& key) const noexcept {
    return (reinterpret_cast<uintptr_t>(key.lock) >> 4) * 8 + static_cast<size_t>(key.mode);
  }
};
template <class Value>
using ByLockAndMode = std::unordered_map<LockAndMode, Value, HashLockAndMode>;

// Who is waited for by an agent, who those wait for, and so on.
class Forwards {
 public:
  // `only`: agents that are looked at; null: all.
  explicit Forwards(const Agent& root, const Agents* only = nullptr) : root_(root), only_(only) {
    scans_.push_back({root, root.lease->waits.front()});
  }

  // Looks at one claim. False: there is nothing left to see.
  bool step() {
    if (!walks_.empty()) {
      Walk& walk = walks_.front();
      const Claim* claim = walk.at;
      if (claim == nullptr || claim == walk.waiter) {
        walks_.pop_front();
        return true;
      }
      walk.at = next_claim(*claim);
      if (stands_in_the_way(*claim, *walk.waiter)) reach(*claim, agent_of(*walk.waiter));
      return true;
    }
    if (scans_.empty()) return false;
    Scan& scan = scans_.front();
    const Claim* wait = scan.at;
    if (wait == nullptr) {
      scans_.pop_front();
      return true;
    }
    scan.at = ClaimsOfLease::next(wait);
    if (wait->agent == scan.agent.id) begin_walk(*wait);
    return true;
  }

  // Once back at the agent: what stands in its way, one behind the other.
  const std::vector<const Claim*>& cycle() const { return cycle_; }
  // In the order in which they were reached, without the first one.
  const std::vector<Agent>& reached() const { return reached_; }

 private:
  struct Walk {
    const Claim* waiter;
    const Claim* at;
  };
  struct Scan {
    Agent agent;
    const Claim* at;
  };
  struct Reached {
    const Claim* by;  // the claim through which it was reached
    Agent from;
  };

  void begin_walk(const Claim& waiter) {
    const Lock& lock = waiter.lock->second;
    const Claim* at = first_claim(lock);
    // Of two that want the same the later one has all in its way that the earlier one has: a long
    // queue is walked once, however many of those in it are reached. Not so conversions, of which
    // each has another hold that isn't in its way; they are few.
    if (!waiter.converts) {
      const auto [walked, is_new] = walked_.try_emplace({&lock, waiter.mode}, &waiter);
      if (!is_new) {
        if (waiter.id <= walked->second->id) return;
        at = std::exchange(walked->second, &waiter);
      }
    }
    walks_.push_back({&waiter, at});
  }

  void reach(const Claim& claim, const Agent& from) {
    const Agent agent = agent_of(claim);
    if (!agent.id || (only_ != nullptr && !only_->contains(agent))) return;
    if (agent == root_) {
      if (cycle_.empty()) trace_back(claim, from);
      return;
    }
    if (!parents_.try_emplace(agent, Reached{&claim, from}).second) return;
    reached_.push_back(agent);
    scans_.push_back({agent, agent.lease->waits.front()});
  }

  void trace_back(const Claim& last, Agent from) {
    cycle_.push_back(&last);
    while (from != root_) {
      const Reached& reached = parents_.at(from);
      cycle_.push_back(reached.by);
      from = reached.from;
    }
    std::reverse(cycle_.begin(), cycle_.end());
  }

  const Agent root_;
  const Agents* only_;
  std::deque<Walk> walks_;
  std::deque<Scan> scans_;
  ByLockAndMode<const Claim*> walked_;  // up to this waiter
  std::unordered_map<Agent, Reached, HashAgent> parents_;
  std::vector<Agent> reached_;
  std::vector<const Claim*> cycle_;
};

// Who waits for an agent, who waits for those, and so on.
class Backwards {
 public:
  explicit Backwards(const Agent& root) : root_(root) { begin_scan(root); }

  // Looks at one claim. False: there is nothing left to see.
  bool step() {
    if (!scans_.empty()) {
      Scan& scan = scans_.front();
      const Claim* claim = scan.at;
      if (claim == nullptr) {
        scans_.pop_front();
        return true;
      }
      scan.at = ClaimsOfLease::next(claim);
      if (scan.at == nullptr && claim->held) scan.at = scan.agent.lease->waits.front();
      if (claim->agent == scan.agent.id) begin_walks(*claim);
      return true;
    }
    if (walks_.empty()) return false;
    Walk& walk = walks_.front();
    const Claim* waiter = walk.at;
    if (waiter == nullptr || waiter == walk.end) {
      walks_.pop_front();
      return true;
    }
    walk.at = ClaimsOfLock::next(waiter);
    if (stands_in_the_way(*walk.blocker, *waiter)) reach(*waiter, *walk.blocker);
    return true;
  }

  const std::vector<const Claim*>& cycle() const { return cycle_; }

 private:
  struct Scan {
    Agent agent;
    const Claim* at;
  };
  struct Walk {
    const Claim* blocker;
    const Claim* at;
    const Claim* end;
  };

  void begin_scan(const Agent& agent) {
    const Claim* hold = agent.lease->holds.front();
    scans_.push_back({agent, hold != nullptr ? hold : agent.lease->waits.front()});
  }

  // Through those whom `claim` may stand in the way of.
  void begin_walks(const Claim& claim) {
    const Lock& lock = claim.lock->second;
    if (lock.queue == nullptr) return;
    const bool before_waiters = claim.held || claim.converts;
    // Conversions are few, and each has another hold that isn't in its way.
    if (before_waiters) walks_.push_back({&claim, lock.queue->conversions.front(), nullptr});
    const Claim* from = before_waiters ? lock.queue->waiters.front() : ClaimsOfLock::next(&claim);
    if (from == nullptr) return;
    // Of two that have the same mode the earlier one is in the way of all that the later one is.
    const auto [walked, is_new] = walked_.try_emplace({&lock, claim.mode}, from);
    if (is_new) {
      walks_.push_back({&claim, from, nullptr});
    } else if (from->id < walked->second->id) {
      walks_.push_back({&claim, from, std::exchange(walked->second, from)});
    }
  }

  void reach(const Claim& waiter, const Claim& blocker) {
    const Agent agent = agent_of(waiter);
    if (!agent.id) return;
    if (agent == root_) {
      if (cycle_.empty()) trace_back(blocker);
      return;
    }
    if (waits_for_.try_emplace(agent, &blocker).second) begin_scan(agent);
  }

  void trace_back(const Claim& first) {
    cycle_.push_back(&first);
    while (agent_of(*cycle_.back()) != root_) {
      cycle_.push_back(waits_for_.at(agent_of(*cycle_.back())));
    }
  }

  const Agent root_;
  std::deque<Scan> scans_;
  std::deque<Walk> walks_;
  ByLockAndMode<const Claim*> walked_;  // from this waiter on
  std::unordered_map<Agent, const Claim*, HashAgent> waits_for_;
  std::vector<const Claim*> cycle_;
};

// -- semaphores -----------------------------------------------------------------------------------

// Which of the agents that one waits for will never be served: all those that can't be shown to be,
// one after the other.
class Reduction {
 public:
  explicit Reduction(const Agent& root) {
    Forwards forwards(root);
    while (forwards.step()) {
      if (!spend()) return;
    }
    agents_ = forwards.reached();
    agents_.push_back(root);
    stuck_.insert(agents_.begin(), agents_.end());
    while (!gave_up() && free_some()) {
    }
  }

  bool gave_up() const { return steps_ > base::kMaxReductionSteps; }
  const Agents& stuck() const { return stuck_; }

 private:
  bool spend() { return ++steps_ <= base::kMaxReductionSteps; }

  // The later ones were reached through the earlier ones, so they mostly go first.
  bool free_some() {
    const size_t before = stuck_.size();
    for (auto agent = agents_.rbegin(); agent != agents_.rend(); ++agent) {
      if (stuck_.contains(*agent) && is_served(*agent)) stuck_.erase(*agent);
    }
    return stuck_.size() < before;
  }

  bool is_served(const Agent& agent) {
    for (const Claim* wait = agent.lease->waits.front(); wait != nullptr && spend();
         wait = ClaimsOfLease::next(wait)) {
      if (wait->agent == agent.id && !is_served(*wait)) return false;
    }
    return !gave_up();
  }

  bool is_served(const Claim& waiter) {
    const Lock& lock = waiter.lock->second;
    uint64_t stuck_permits = 0;
    for (const Claim* c = first_claim(lock); c != nullptr && c != &waiter && spend();
         c = next_claim(*c)) {
      if (!stuck_.contains(agent_of(*c)) || !stands_in_the_way(*c, waiter)) continue;
      if (!lock.counts_permits() || !c->held) return false;
      stuck_permits += c->permits;
    }
    return !lock.counts_permits() || stuck_permits + waiter.permits <= lock.capacity;
  }

  std::vector<Agent> agents_;
  Agents stuck_;
  uint64_t steps_ = 0;
};

std::vector<const Claim*> cycle_among(const Agent& root, const Agents& agents) {
  Forwards forwards(root, &agents);
  while (forwards.cycle().empty() && forwards.step()) {
  }
  return forwards.cycle();
}

std::vector<const Claim*> possible_cycle(const Agent& root) {
  Forwards forwards(root);
  Backwards backwards(root);
  for (;;) {
    if (!forwards.step() || !forwards.cycle().empty()) return forwards.cycle();
    if (!backwards.step() || !backwards.cycle().empty()) return backwards.cycle();
  }
}

}  // namespace

std::vector<const Claim*> find_cycle(const Claim& waiter) {
  const Agent root = agent_of(waiter);
  if (!root.id) return {};
  std::vector<const Claim*> cycle = possible_cycle(root);
  const auto counts_permits = [](const Claim* claim) {
    return claim->lock->second.counts_permits();
  };
  if (std::none_of(cycle.begin(), cycle.end(), counts_permits)) return cycle;
  const Reduction reduction(root);
  if (reduction.gave_up() || !reduction.stuck().contains(root)) return {};
  return cycle_among(root, reduction.stuck());
}

// -- telling it -----------------------------------------------------------------------------------

namespace {

std::string owner_text(const base::Owner& owner) {
  if (owner.program.empty()) return "";
  return owner.program + ", pid " + std::to_string(owner.pid) + " on " + owner.host;
}

std::string step_text(const Claim& claim) {
  const std::string owner = owner_text(*claim.lease->row.owner);
  std::string text =
      "lock \"" + claim.lock->first + "\", which lease " + base::lease_text(claim.lease->row.id);
  if (!owner.empty()) text += " (" + owner + ")";
  return text + (claim.held ? " holds with token " + std::to_string(claim.id.value)
                            : " waits for ahead of it");
}

base::Error would_wait_for_itself(const Claim& own) {
  std::string message = "whoever asks for lock \"" + own.lock->first + "\" ";
  message += own.held ? "holds it already" : "waits for it already";
  message += ", under lease " + base::lease_text(own.lease->row.id);
  if (own.held) message += " with token " + std::to_string(own.id.value);
  return {base::ErrorCode::kDeadlock, message + ", and would wait for itself", {}};
}

}  // namespace

base::Error deadlock(const std::vector<const Claim*>& cycle) {
  base::Error error;
  if (cycle.size() == 1) {
    error = would_wait_for_itself(*cycle.front());
  } else {
    error.code = base::ErrorCode::kDeadlock;
    error.message = "the wait would never end";
  }
  for (size_t i = 0; i < std::min(cycle.size(), base::kMaxCycleSteps); ++i) {
    const Claim& claim = *cycle[i];
    if (cycle.size() > 1) {
      error.message += i == 0 ? ": it would wait for " : "; who waits for ";
      error.message += step_text(claim);
    }
    error.detail.emplace_back("lock", claim.lock->first);
    error.detail.emplace_back("lease", base::lease_text(claim.lease->row.id));
    error.detail.emplace_back("token", std::to_string(claim.held ? claim.id.value : 0));
    error.detail.emplace_back("owner", owner_text(*claim.lease->row.owner));
  }
  if (cycle.size() > base::kMaxCycleSteps) {
    error.message +=
        "; and " + std::to_string(cycle.size() - base::kMaxCycleSteps) + " more in between";
  } else if (cycle.size() > 1) {
    error.message += ": that is who asks";
  }
  return error;
}

}  // namespace holdfast::locks
