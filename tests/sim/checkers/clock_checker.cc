#include "tests/sim/checkers/clock_checker.h"

#include <algorithm>

namespace holdfast::sim {
namespace {

constexpr double kDrift = 0.01;
// Two clocks further apart than this are beyond ε by more than an estimate may be wrong.
constexpr double kSurely = (1 + kDrift) / (1 - kDrift) * 1.02;
// In election timeouts. Older readings than this play no part any more, whatever came of them.
constexpr int64_t kForgotten = 300;
constexpr int64_t kStandsBack = 18;

std::string name(base::NodeId node) {
  return "node " + std::to_string(node.value);
}

// Questions and answers, and handing over, get through within the times that are meant for them.
bool is_fast_enough(const Options& o, double rate) {
  const double round_trip_ms = static_cast<double>(2 * o.max_delay_us + 1'000) / 1e3;
  return round_trip_ms * rate < static_cast<double>(o.election_ms) &&
         6 * (o.max_delay_us + o.max_fsync_us) < o.election_ms * 1'000;
}

}  // namespace

int64_t patience_with_clocks_ms(const Options& options, double rate) {
  // Two readings, a round trip each in doubt, bound a rate to within 1 % when they are this far
  // apart; they are 20 election timeouts apart at least.
  const int64_t span_ms = std::max(22 * options.election_ms, 400 * options.max_delay_us / 1'000);
  const double turns = 4 + 8 / std::min(rate, 1.0);  // of asking and judging, and of handing over
  return span_ms + static_cast<int64_t>(turns * static_cast<double>(options.election_ms));
}

// -- what happens ---------------------------------------------------------------------------------

void ClockChecker::on_rate(base::NodeId id, double rate) {
  const auto is_wild = [](double r) { return r < 1 - kDrift || r > 1 + kDrift; };
  Node& node = nodes_[id];
  if (is_wild(node.rate)) node.wild_until = world_.now();
  node.rate = rate;
  node.rate_since = world_.now();
  if (is_wild(rate)) node.wild_until = INT64_MAX;
}

void ClockChecker::on_started(base::NodeId id) {
  Node& node = nodes_[id];
  node.up = true;
  node.odd = false;
  node.role = paxos::Role::kFollower;
  on_resumed();
}

void ClockChecker::on_ended(base::NodeId id) {
  nodes_[id].up = false;
  on_resumed();
}

void ClockChecker::on_disturbed(bool begins) {
  disturbances_ += begins ? 1 : -1;
  on_resumed();
}

void ClockChecker::on_faults_end() {
  disturbances_ = 0;
  on_resumed();
}

// -- what must be so ------------------------------------------------------------------------------

bool ClockChecker::is_good(const Node& node) const {
  const int64_t window = kForgotten * options_.election_ms * kMs;
  return node.wild_until < 0 || (node.wild_until < world_.now() - window);
}

bool ClockChecker::must_know(const Node& self, const base::Config& config) const {
  const int64_t since = std::max(calm_since_, self.rate_since);
  if (disturbances_ > 0 || !is_fast_enough(options_, self.rate)) return false;
  const int64_t patience = patience_with_clocks_ms(options_, self.rate) * kMs;
  if (world_.now() - since < patience) return false;
  size_t against = 0;
  for (const base::Member& member : config.members) {
    const auto other = nodes_.find(member.id);
    if (!member.voter || other == nodes_.end() || !other->second.up) continue;
    if (!is_good(other->second)) continue;
    const double ratio = other->second.rate / self.rate;
    against += std::max(ratio, 1 / ratio) > kSurely;
  }
  return against >= config.voters() / 2 + 1;
}

void ClockChecker::check_accusation(base::NodeId id, const paxos::Replica::ClockView& clock,
                                    const base::Config& config) {
  size_t good = 0, members = 0;
  for (const base::Member& member : config.members) {
    good += member.voter && is_good(nodes_[member.id]);
    members += member.voter;
  }
  // Those that were removed as well: not everybody knows it yet.
  const bool all_good =
      std::ranges::all_of(nodes_, [this](const auto& each) { return is_good(each.second); });
  if (all_good && !clock.trouble.empty()) {
    world_.fail(name(id) + " complains of clocks that all run well: " + clock.trouble);
  }
  const bool majority = good >= members / 2 + 1;
  if (clock.verdict == paxos::ClockVerdict::kOdd && majority && is_good(nodes_[id])) {
    world_.fail(name(id) + " takes its clock for a wrong one, which runs as a majority's do");
  }
}

// It has known for long enough that its clock is wrong, and others had no time yet to lead.
void ClockChecker::check_asking(base::NodeId id, Node& node, const paxos::Replica& replica,
                                bool odd, base::Instant own_clock) {
  const auto asks = [](paxos::Role role) {
    return role == paxos::Role::kProbing || role == paxos::Role::kCandidate;
  };
  const bool begins = asks(replica.role()) && node.role == paxos::Role::kFollower;
  const base::Duration time = own_clock - std::max(node.odd_since, node.had_leader_at);
  const base::Duration least = base::Duration::from_ms(options_.election_ms) * kStandsBack;
  if (begins && odd && node.odd && time < least) {
    world_.fail(name(id) + " asks to lead although its clock runs wrong");
  }
  if (odd && !node.odd) node.odd_since = own_clock;
  if (replica.leader()) node.had_leader_at = own_clock;
  node.odd = odd;
  node.role = replica.role();
}

void ClockChecker::on_turn(base::NodeId id, const paxos::Replica& replica,
                           base::Instant own_clock) {
  Node& node = nodes_[id];
  const paxos::Replica::ClockView clock = replica.clock();
  const bool odd = clock.verdict == paxos::ClockVerdict::kOdd;
  if (odd || !clock.trouble.empty()) check_accusation(id, clock, replica.config());
  check_asking(id, node, replica, odd, own_clock);
  if (!must_know(node, replica.config())) return;
  if (!odd) world_.fail(name(id) + " doesn't notice that its clock runs wrong");
  if (replica.role() == paxos::Role::kLeader) {
    world_.fail(name(id) + " leads on although its clock runs wrong");
  }
}

}  // namespace holdfast::sim
