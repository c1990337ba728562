// Oracle over messages and answers: who may ask to lead (P7), and who may say "I lead" (P8).
//
// It knows the true time of everything. A renewal or a read is answered rightly if a quorum took a
// message of the leader's ballot, with no higher promise, after the request had arrived: it finds
// out from messages which echo answers which message, and doesn't look at counters drawn.
#pragma once

#include <map>
#include <set>
#include <string>
#include <tuple>

#include "lockcore/base/time.h"
#include "lockcore/paxos/message.h"
#include "tests/sim/checkers/log_checker.h"
#include "tests/sim/world.h"

namespace holdfast::sim {

class LeaderChecker {
 public:
  LeaderChecker(World& world, const LogChecker& log, base::Duration election)
      : world_(world), log_(log), election_(election) {}

  void on_started(base::NodeId node);
  void on_said(base::NodeId node, const paxos::Message& message);
  // `to` has taken the message; this is how it stands now.
  struct Taken {
    base::Ballot promised;
    base::NodeId follows;
    base::Ballot ballot;  // in which that one leads
    base::Instant own_clock;
  };
  void on_taken(base::NodeId to, base::NodeId from, const paxos::Message& message,
                const Taken& after);
  void on_link_lost(base::NodeId node, base::NodeId peer);
  // The node has applied a membership change: if it led, it may go on in a ballot of its own.
  // What it had applied before: a single voter leads without a word to anybody.
  void on_reconfigured(base::NodeId node, base::Slot before);
  // The leader of `ballot` answered a renewal or a linearizable read that arrived at `asked_at`.
  void on_confirmed_answer(base::NodeId leader, base::Ballot ballot, int64_t asked_at);
  // A node answered a read that arrived at `asked_at`, leading in `ballot` or by a leader's word.
  void on_answer_here(base::NodeId node, base::Ballot ballot, int64_t asked_at);
  // True time of a quorum's newest word for this leader in this ballot; 0: none yet.
  int64_t quorum_heard_at(base::NodeId leader, base::Ballot ballot) const;

 private:
  struct Heard {
    base::NodeId leader;
    base::Instant at;  // by its own clock
  };
  const base::Config& config_of(const base::Ballot& ballot) const;

  World& world_;
  const LogChecker& log_;
  const base::Duration election_;
  std::map<base::NodeId, std::pair<base::Ballot, std::set<base::NodeId>>> probes_;  // who said yes
  std::map<base::NodeId, Heard> heard_;
  // The ballot in which a node last spoke as leader, and the highest of a leader that it has heard.
  std::map<base::NodeId, base::Ballot> leads_, followed_;
  // Who may ask for promises without a probe (P7), by leave given in this ballot.
  std::map<base::NodeId, base::Ballot> leave_;
  std::map<base::Ballot, base::Slot> from_;  // phase 1 asked from there: whose quorum counts (P9)
  // How many probes of this ballot came when this node heard nobody lead, and aren't answered yes.
  std::map<std::pair<base::NodeId, base::Ballot>, uint32_t> may_say_yes_;
  // When a voter took the message of this ballot and counter, and the newest such moment that the
  // leader was told of.
  std::map<std::tuple<base::NodeId, base::Ballot, base::Confirm>, int64_t> taken_at_;
  std::map<std::tuple<base::NodeId, base::Ballot, base::NodeId>, int64_t> echoed_at_;
  // Read indexes, by node, the asking process, and the number: when it asked first; when a leader
  // took that question. And, by who asks, when it asked the newest one that it has the answer to.
  using Question = std::tuple<base::NodeId, uint64_t, uint64_t>;
  std::map<Question, int64_t> index_asked_at_;
  std::map<Question, int64_t> index_taken_at_;
  std::map<base::NodeId, int64_t> index_known_;
};

}  // namespace holdfast::sim
