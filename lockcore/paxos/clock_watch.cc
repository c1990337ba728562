#include "lockcore/paxos/clock_watch.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "lockcore/base/limits.h"
#include "lockcore/base/mutant.h"
#include "lockcore/paxos/transfer.h"

namespace holdfast::paxos::clock_watch {

namespace {

// In election timeouts. The others are asked once in one. A rate is of this time at least: a clock
// that was stopped for a moment (a virtual machine that moves) isn't one that runs wrong.
constexpr int64_t kLeastSpan = 20;
constexpr int64_t kMostSpan = 120;
constexpr int64_t kFresh = 20;      // older than this the last reading says nothing about now
constexpr int64_t kStandBack = 20;  // an odd node leaves others so much time to lead
constexpr int64_t kHandOverAgain = 10;
constexpr size_t kEndings = 4;  // of the last readings the quickest one ends the span

constexpr double kDrift = static_cast<double>(base::kDriftPerMille) / 1000;
constexpr double kLimit = (1 + kDrift) / (1 - kDrift);
constexpr double kPrecise = kDrift;  // bounds that lie closer need no longer span

base::Duration delay_of(const ClockReading& reading) {
  return reading.received - reading.sent;
}

// As long as either clock says that it was: a slow one must not need longer to find that out.
base::Duration span_of(const ClockReading& first, const ClockReading& last) {
  return std::max(last.sent - first.received, last.theirs - first.theirs);
}

ClockRate rate_between(const ClockReading& first, const ClockReading& last) {
  const auto at_least_1 = [](base::Duration d) {
    return static_cast<double>(std::max<int64_t>(d.ns, 1));
  };
  const double theirs = at_least_1(last.theirs - first.theirs);
  if (HF_MUTANT(clock_delays_ignored)) {
    const double rate = theirs / at_least_1(last.received - first.received);
    return {rate, rate};
  }
  return {theirs / at_least_1(last.received - first.sent),
          theirs / at_least_1(last.sent - first.received)};
}

double width(const ClockRate& rate) {
  return (rate.high - rate.low) / rate.middle();
}

// By the shortest span that bounds it closely, or else by the one that bounds it best.
std::optional<ClockRate> rate_of(const std::deque<ClockReading>& readings, base::Duration unit,
                                 base::Instant now) {
  if (readings.empty() || now - readings.back().received > unit * kFresh) return std::nullopt;
  const auto newest = readings.rbegin();
  const auto endings = static_cast<std::ptrdiff_t>(std::min(kEndings, readings.size()));
  const auto last = std::ranges::min_element(newest, newest + endings, {}, delay_of);
  std::optional<ClockRate> best;
  for (auto first = last + 1; first != readings.rend(); ++first) {
    if (span_of(*first, *last) < unit * kLeastSpan) continue;
    const ClockRate rate = rate_between(*first, *last);
    if (!best || width(rate) < width(*best)) best = rate;
    if (width(*best) <= kPrecise) break;
  }
  return best;
}

// Surely not both within 1±ε, if ours runs at 1.
bool differs(const ClockRate& rate) {
  return rate.low > kLimit || rate.high < 1 / kLimit;
}

struct Voter {
  base::NodeId id;
  double middle;
};

// The most of these that may all be good: each two of them, and `with`, if that is given, are no
// further apart than good clocks can be. Whoever surely differs from one of them is not among them,
// since a rate's middle lies within its bounds.
std::vector<base::NodeId> most_that_agree(std::vector<Voter> voters, std::optional<double> with) {
  std::ranges::sort(voters, {}, &Voter::middle);
  size_t best_from = 0, best = 0;
  for (size_t from = 0, to = 0; from < voters.size(); ++from) {
    const double low = std::min(voters[from].middle, with.value_or(voters[from].middle));
    to = std::max(to, from);
    while (to < voters.size() && std::max(voters[to].middle, with.value_or(0)) <= low * kLimit) {
      ++to;
    }
    if (to - from > best) std::tie(best_from, best) = std::pair(from, to - from);
  }
  std::vector<base::NodeId> agreeing;
  for (size_t i = best_from; i < best_from + best; ++i) agreeing.push_back(voters[i].id);
  return agreeing;
}

ClockVerdict judge(const ReplicaState& s, std::vector<base::NodeId>& against) {
  std::vector<Voter> all, different;
  for (const Peer& peer : s.peers) {
    if (!peer.clock_rate || !s.electorate.is_voter(peer.id)) continue;
    const Voter voter{peer.id, peer.clock_rate->middle()};
    all.push_back(voter);
    if (differs(*peer.clock_rate)) different.push_back(voter);
  }
  const bool any_differs = !different.empty();
  if (most_that_agree(all, 1.0).size() + (s.is_voter() ? 1 : 0) >= s.electorate.quorum()) {
    return ClockVerdict::kFine;
  }
  if (!any_differs) return ClockVerdict::kUnknown;
  against = most_that_agree(std::move(different), std::nullopt);
  if (against.size() >= (HF_MUTANT(one_clock_decides) ? 1 : s.electorate.quorum())) {
    return ClockVerdict::kOdd;
  }
  against.clear();
  return ClockVerdict::kDisputed;
}

// "node 2's runs 4.8 % faster, node 3's runs 5.1 % faster"
std::string trouble_text(const ReplicaState& s) {
  std::string text;
  for (const Peer& peer : s.peers) {
    if (!peer.clock_rate || !differs(*peer.clock_rate)) continue;
    const double percent = (peer.clock_rate->middle() - 1) * 100;
    char number[32];
    std::snprintf(number, sizeof number, "%.1f", std::abs(percent));
    if (!text.empty()) text += ", ";
    text += "node " + std::to_string(peer.id.value) + "'s runs " + number + " % " +
            (percent > 0 ? "faster" : "slower");
  }
  return text;
}

void tell_verdict(const ReplicaState& s, ClockVerdict before, bool differed, Effects& fx) {
  const ClockState& clocks = s.clocks;
  if (clocks.verdict == ClockVerdict::kOdd && before != ClockVerdict::kOdd) {
    s.tell(Notice::Level::kWarning,
           "this node's clock doesn't run as a majority's do: " + clocks.trouble +
               "; it doesn't lead as long as that is so",
           fx);
  } else if (before == ClockVerdict::kOdd && clocks.verdict != ClockVerdict::kOdd) {
    s.tell(Notice::Level::kInfo, "this node's clock is no longer known to run wrong", fx);
  } else if (!clocks.trouble.empty() && !differed) {
    s.tell(Notice::Level::kWarning,
           std::string("a clock runs wrong, ") +
               (clocks.verdict == ClockVerdict::kFine ? "not this node's: "
                                                      : "nobody knows whose: against this one ") +
               clocks.trouble,
           fx);
  }
}

void judge_and_tell(ReplicaState& s, base::Instant now, Effects& fx) {
  const base::Duration unit = s.options.election;
  bool differed = false;
  for (Peer& peer : s.peers) {
    differed |= peer.clock_differs;
    std::deque<ClockReading>& readings = peer.clock_readings;
    while (!readings.empty() && now - readings.front().received > unit * kMostSpan) {
      readings.pop_front();
    }
    peer.clock_rate = rate_of(readings, unit, now);
    peer.clock_differs = peer.clock_rate && differs(*peer.clock_rate);
  }
  ClockState& clocks = s.clocks;
  std::vector<base::NodeId> against;
  const ClockVerdict verdict = judge(s, against);
  const ClockVerdict before = clocks.verdict;
  // Of a node that is cut off nothing new is known, and nothing better.
  const bool keeps = verdict == ClockVerdict::kUnknown && before == ClockVerdict::kOdd &&
                     now - clocks.judged_at < unit * kMostSpan;
  if (keeps) return;
  clocks.verdict = verdict;
  clocks.judged_at = now;
  clocks.agreeing = std::move(against);
  clocks.trouble = trouble_text(s);
  if (verdict == ClockVerdict::kOdd && before != ClockVerdict::kOdd) {
    clocks.hand_over_at = now;
    clocks.stands_back_until = now + unit * kStandBack;
  }
  tell_verdict(s, before, differed, fx);
}

void ask(ReplicaState& s, base::Instant now, Effects& fx) {
  for (Peer& peer : s.peers) {
    if (!peer.connected) continue;
    // An answer to an older question counts no more: so each reading's moments lie between those of
    // its neighbours.
    peer.clock_asked = now;
    s.send(peer.id, ClockQuery{now}, fx);
  }
}

void hand_over(ReplicaState& s, base::Instant now, Effects& fx) {
  if (s.role != Role::kLeader || s.lead.hand_over || now < s.clocks.hand_over_at) return;
  if (HF_MUTANT(odd_leader_leads_on)) return;
  s.clocks.hand_over_at = now + s.options.election * kHandOverAgain;
  // If nobody can take over it leads on: that is said by `status`, and tried again.
  transfer::start(s, {}, now, fx);
}

}  // namespace

void start(ReplicaState& s, base::Instant now) {
  s.clocks.ask_at = now + s.options.election;
}

void on_hello(Peer& known, const Hello& hello) {
  // Its machine may have started anew, and its clock with it.
  if (known.hello && known.hello->process_nonce == hello.process_nonce) return;
  known.clock_readings.clear();
  known.clock_asked = base::kNever;
}

void on_query(const ReplicaState& s, const Peer& from, const ClockQuery& message, base::Instant now,
              Effects& fx) {
  s.send(from.id, ClockReply{message.sent, now}, fx);
}

void on_reply(Peer& from, const ClockReply& message, base::Instant now) {
  if (from.clock_asked == base::kNever || message.asked != from.clock_asked) return;
  from.clock_asked = base::kNever;
  std::deque<ClockReading>& readings = from.clock_readings;
  // BOOTTIME never turns back, and isn't negative.
  if (message.clock.ns < 0) return;
  if (!readings.empty() && message.clock < readings.back().theirs) return;
  readings.push_back({message.asked, now, message.clock});
}

void on_tick(ReplicaState& s, base::Instant now, Effects& fx) {
  ClockState& clocks = s.clocks;
  if (now >= clocks.ask_at) {
    clocks.ask_at = now + s.options.election;
    judge_and_tell(s, now, fx);
    ask(s, now, fx);
  }
  if (clocks.verdict != ClockVerdict::kOdd) return;
  if (s.leader) clocks.stands_back_until = now + s.options.election * kStandBack;
  hand_over(s, now, fx);
}

bool stands_back(const ReplicaState& s, base::Instant now) {
  return s.clocks.verdict == ClockVerdict::kOdd && now < s.clocks.stands_back_until &&
         !HF_MUTANT(odd_node_asks);
}

bool is_unfit(const ReplicaState& s, const Peer& peer) {
  if (s.clocks.verdict == ClockVerdict::kOdd) {
    return std::ranges::find(s.clocks.agreeing, peer.id) == s.clocks.agreeing.end();
  }
  return s.clocks.verdict == ClockVerdict::kFine && peer.clock_differs;
}

Replica::ClockView view(const ReplicaState& s) {
  Replica::ClockView view{s.clocks.verdict, s.clocks.trouble, std::nullopt};
  if (s.leader == s.self) {
    view.against_leader = {1.0, 1.0};
  } else if (const Peer* leader = s.find_peer(s.leader); leader && leader->clock_rate) {
    view.against_leader = {1 / leader->clock_rate->high, 1 / leader->clock_rate->low};
  }
  return view;
}

base::Instant next_tick(const ReplicaState& s) {
  return s.clocks.ask_at;
}

}  // namespace holdfast::paxos::clock_watch
