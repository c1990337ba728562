#include "tests/sim/checkers/leader_checker.h"

#include <algorithm>
#include <functional>
#include <vector>

namespace holdfast::sim {
namespace {

std::string name(base::NodeId node) {
  return "node " + std::to_string(node.value);
}

}  // namespace

void LeaderChecker::on_started(base::NodeId node) {
  probes_.erase(node);
  heard_.erase(node);
}

void LeaderChecker::on_link_lost(base::NodeId node, base::NodeId peer) {
  const auto heard = heard_.find(node);
  if (heard != heard_.end() && heard->second.leader == peer) heard_.erase(heard);
}

void LeaderChecker::on_said(base::NodeId node, const paxos::Message& message) {
  if (const auto* probe = std::get_if<paxos::Probe>(&message)) {
    heard_.erase(node);  // its own patience is at an end
    auto& [ballot, yes] = probes_[node];
    if (ballot != probe->ballot) yes.clear();
    ballot = probe->ballot;
  } else if (std::holds_alternative<paxos::Promise>(message)) {
    heard_.erase(node);  // somebody else deserves patience now
  } else if (std::holds_alternative<paxos::Prepare>(message)) {
    if (probes_[node].second.size() + 1 < quorum_) {
      world_.fail(name(node) + " asks for promises although no quorum would give them (P7)");
    }
  } else if (const auto* reply = std::get_if<paxos::ProbeReply>(&message); reply && reply->yes) {
    if (may_say_yes_[{node, reply->ballot}]-- == 0) {
      world_.fail(name(node) + " would promise another ballot although it hears a leader (P7)");
    }
  }
}

void LeaderChecker::on_taken(base::NodeId to, base::NodeId from, const paxos::Message& message,
                             const Taken& after) {
  const auto leads = [&](const base::Ballot& ballot, base::Confirm confirm) {
    if (after.promised <= ballot) taken_at_.try_emplace({to, ballot, confirm}, world_.now());
    // A late word of the ballot in which it led before is none of the present one.
    if (after.follows == from && after.ballot == ballot) heard_[to] = {from, after.own_clock};
  };
  const auto echoes = [&](const base::Ballot& ballot, base::Confirm confirm) {
    const auto taken = taken_at_.find({from, ballot, confirm});
    if (taken == taken_at_.end()) return;  // its promise was higher
    int64_t& newest = echoed_at_[{to, ballot, from}];
    newest = std::max(newest, taken->second);
  };
  if (const auto* accept = std::get_if<paxos::Accept>(&message)) {
    leads(accept->ballot, accept->confirm);
  } else if (const auto* heartbeat = std::get_if<paxos::Heartbeat>(&message)) {
    leads(heartbeat->ballot, heartbeat->confirm);
  } else if (const auto* accepted = std::get_if<paxos::Accepted>(&message)) {
    echoes(accepted->ballot, accepted->confirm);
  } else if (const auto* alive = std::get_if<paxos::HeartbeatReply>(&message)) {
    echoes(alive->ballot, alive->confirm);
  } else if (const auto* probe = std::get_if<paxos::Probe>(&message)) {
    // What it says is decided now; what else it takes in this turn comes later.
    const auto heard = heard_.find(to);
    const bool hears = heard != heard_.end() && after.follows == heard->second.leader &&
                       after.own_clock - heard->second.at < election_;
    if (!hears) ++may_say_yes_[{to, probe->ballot}];
  } else if (const auto* reply = std::get_if<paxos::ProbeReply>(&message); reply && reply->yes) {
    auto& [ballot, yes] = probes_[to];
    if (ballot == reply->ballot) yes.insert(from);
  }
}

int64_t LeaderChecker::quorum_heard_at(base::NodeId leader, base::Ballot ballot) const {
  std::vector<int64_t> times;
  for (auto it = echoed_at_.lower_bound({leader, ballot, base::NodeId{}}); it != echoed_at_.end();
       ++it) {
    const auto& [to, in, from] = it->first;
    if (to != leader || in != ballot) break;
    times.push_back(it->second);
  }
  if (quorum_ == 1) return world_.now();
  if (times.size() + 1 < quorum_) return 0;
  std::sort(times.begin(), times.end(), std::greater<>());
  return times[quorum_ - 2];  // and its own word
}

void LeaderChecker::on_confirmed_answer(base::NodeId leader, base::Ballot ballot,
                                        int64_t asked_at) {
  if (quorum_heard_at(leader, ballot) >= asked_at) return;
  world_.fail(name(leader) +
              " answered a renewal or a read although no quorum had heard it lead since it was "
              "asked (P8)");
}

}  // namespace holdfast::sim
