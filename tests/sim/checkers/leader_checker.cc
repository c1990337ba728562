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
  leads_.erase(node);
  followed_.erase(node);
  leave_.erase(node);
}

void LeaderChecker::on_link_lost(base::NodeId node, base::NodeId peer) {
  const auto heard = heard_.find(node);
  if (heard != heard_.end() && heard->second.leader == peer) heard_.erase(heard);
}

void LeaderChecker::on_reconfigured(base::NodeId node, base::Slot before) {
  const auto leads = leads_.find(node);
  if (leads != leads_.end()) {
    leave_[node] = leads->second;
  } else if (is_quorum(log_.config_of(before.next()), {node})) {
    leave_[node] = followed_[node];
  }
}

// P9: that of the first slot which its leader didn't know chosen. A single voter asks nobody.
const base::Config& LeaderChecker::config_of(const base::Ballot& ballot) const {
  const auto from = from_.find(ballot);
  return from == from_.end() ? log_.config() : log_.config_of(from->second);
}

void LeaderChecker::on_said(base::NodeId node, const paxos::Message& message) {
  if (const auto* probe = std::get_if<paxos::Probe>(&message)) {
    heard_.erase(node);  // its own patience is at an end
    leads_.erase(node);
    auto& [ballot, yes] = probes_[node];
    if (ballot != probe->ballot) yes.clear();
    ballot = probe->ballot;
  } else if (const auto* promise = std::get_if<paxos::Promise>(&message)) {
    heard_.erase(node);  // somebody else deserves patience now
    leads_.erase(node);
    // One that waited for a slow disk may be older than the leave.
    if (leave_.contains(node) && leave_[node] < promise->ballot) leave_.erase(node);
    followed_[node] = std::max(followed_[node], promise->ballot);
  } else if (const auto* prepare = std::get_if<paxos::Prepare>(&message)) {
    from_.try_emplace(prepare->ballot, prepare->from);
    auto yes = probes_[node].second;
    yes.insert(node);
    // Leave is for one ballot, in which it may ask again and again.
    const bool has_leave = leave_.contains(node) || leads_[node] == prepare->ballot;
    leave_.erase(node);
    leads_[node] = prepare->ballot;
    if (!has_leave && !is_quorum(config_of(prepare->ballot), yes)) {
      world_.fail(name(node) + " asks for promises although no quorum would give them (P7)");
    }
  } else if (const auto* beat = std::get_if<paxos::Heartbeat>(&message)) {
    leads_[node] = beat->ballot;
  } else if (const auto* question = std::get_if<paxos::ReadIndexQuery>(&message)) {
    index_asked_at_.try_emplace({node, question->process, question->number}, world_.now());
  } else if (const auto* index = std::get_if<paxos::ReadIndexReply>(&message)) {
    const int64_t taken_at = index_taken_at_[{node, index->process, index->number}];
    if (quorum_heard_at(node, index->ballot) < taken_at) {
      world_.fail(name(node) +
                  " named a slot to read from although no quorum had heard it lead since it was "
                  "asked (P8)");
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
    followed_[to] = std::max(followed_[to], ballot);
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
  } else if (const auto* leave = std::get_if<paxos::TakeOver>(&message)) {
    // That of an older ballot than one that it has heard of is void.
    if (leave->ballot >= followed_[to]) leave_[to] = leave->ballot;
  } else if (const auto* accepted = std::get_if<paxos::Accepted>(&message)) {
    echoes(accepted->ballot, accepted->confirm);
  } else if (const auto* alive = std::get_if<paxos::HeartbeatReply>(&message)) {
    echoes(alive->ballot, alive->confirm);
  } else if (const auto* question = std::get_if<paxos::ReadIndexQuery>(&message)) {
    index_taken_at_.try_emplace({to, question->process, question->number}, world_.now());
  } else if (const auto* index = std::get_if<paxos::ReadIndexReply>(&message)) {
    const auto asked = index_asked_at_.find({to, index->process, index->number});
    if (asked != index_asked_at_.end()) {
      index_known_[to] = std::max(index_known_[to], asked->second);
    }
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
  const base::Config& config = config_of(ballot);
  const auto is_voter = [&config](base::NodeId node) {
    const base::Member* member = config.find(node);
    return member != nullptr && member->voter;
  };
  const size_t quorum = config.voters() / 2 + 1;
  std::vector<int64_t> times;
  for (auto it = echoed_at_.lower_bound({leader, ballot, base::NodeId{}}); it != echoed_at_.end();
       ++it) {
    const auto& [to, in, from] = it->first;
    if (to != leader || in != ballot) break;
    if (is_voter(from)) times.push_back(it->second);
  }
  if (is_voter(leader)) times.push_back(world_.now());  // its own word
  if (times.size() < quorum) return 0;
  std::sort(times.begin(), times.end(), std::greater<>());
  return times[quorum - 1];
}

void LeaderChecker::on_confirmed_answer(base::NodeId leader, base::Ballot ballot,
                                        int64_t asked_at) {
  if (quorum_heard_at(leader, ballot) >= asked_at) return;
  world_.fail(name(leader) +
              " answered a renewal or a read although no quorum had heard it lead since it was "
              "asked (P8)");
}

void LeaderChecker::on_answer_here(base::NodeId node, base::Ballot ballot, int64_t asked_at) {
  if (index_known_[node] >= asked_at || quorum_heard_at(node, ballot) >= asked_at) return;
  world_.fail(name(node) +
              " answered a read although no leader had been asked since it came (2.8)");
}

}  // namespace holdfast::sim
