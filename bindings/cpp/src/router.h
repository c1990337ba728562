// Router: which nodes there are, which of them leads, and how to find that out quickly.
//
// With no leader known and somebody in need of one, it seeks: every 20 to 50 ms it connects to the
// nodes that it isn't connected to and asks all others for their status, all at once, until one
// says that it is the active leader. A follower's hint is followed at once, without asking first.
//
// A leader may also fall silent with its connection open (a stopped process, a cut cable). When
// something waits and nothing was heard for a while, the leader is asked for its status; if that
// goes unanswered too, seeking begins, and what lies with the silent node stays there until another
// one leads. A slow answer is thus never taken for a failure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bindings/cpp/src/messages.h"
#include "lockcore/base/random.h"
#include "lockcore/base/time.h"

namespace holdfast::client {

// Nothing was heard for this long although something waits for an answer: ask whether it lives.
constexpr base::Duration kPatience = base::Duration::from_ms(400);
// The same when only queued acquires wait, whose answers may take for ever.
constexpr base::Duration kQueuedPatience = base::Duration::from_ms(2000);
// How long the question may go unanswered.
constexpr base::Duration kPingWait = base::Duration::from_ms(200);
constexpr base::Duration kMinPingWait = base::Duration::from_ms(50);
constexpr base::Duration kMinRound = base::Duration::from_ms(20);
constexpr base::Duration kMaxRound = base::Duration::from_ms(50);
constexpr base::Duration kMinBackoff = base::Duration::from_ms(20);
constexpr base::Duration kMaxBackoff = base::Duration::from_ms(500);
constexpr base::Duration kMaxBackoffBesideLiving = base::Duration::from_ms(200);
constexpr base::Duration kConnectTimeout = base::Duration::from_ms(2000);
// A connection whose status question goes unanswered for this long is made anew.
constexpr base::Duration kDeadConnection = base::Duration::from_ms(3000);
constexpr size_t kMaxNodes = 32;
// Hints followed in a row without an answer from a leader: two confused nodes can't play ping-pong.
constexpr int kMaxHops = 2;

class Router {
 public:
  struct Node {
    enum class State : uint8_t { kIdle, kConnecting, kUp, kBackingOff };
    std::string address;
    uint64_t id = 0;  // as it said itself; 0: not yet known
    State state = State::kIdle;
    ConnectionId connection = 0;  // 0 unless connecting or up
    base::Instant since;          // of the connecting
    base::Instant retry_at;       // while backing off
    base::Duration backoff;
    bool asked = false;  // a status question is under way on `connection`
    base::Instant asked_at;
    std::string last_error;  // why it couldn't be reached; empty: it could
  };
  // What waits for the leader's answers.
  struct Load {
    bool ordinary = false;
    bool queued = false;
  };
  // Nodes to be asked for their status; the core sends the question.
  using Questions = std::vector<uint32_t>;

  Router(const std::vector<std::string>& endpoints, base::Random& random);

  // -- what is known ------------------------------------------------------------------------------
  ConnectionId leader() const;                // 0: none, or not connected yet
  const std::string& leader_address() const;  // empty: none
  ConnectionId anybody() const;               // to a node that is reached; 0: none is
  bool seeking() const { return seeking_; }
  const std::vector<Node>& nodes() const { return nodes_; }
  std::optional<uint32_t> node_of(ConnectionId connection) const;
  // "127.0.0.1:7421: connection refused; ...": what stands in the way of finding a leader.
  std::string complaint() const;

  // -- events -------------------------------------------------------------------------------------
  // Somebody needs a leader. Does nothing if there is one or one is sought.
  void seek(base::Instant now, Effects& fx, Questions& ask);
  // Nobody needs a leader any more.
  void rest() { seeking_ = false; }
  void on_connected(ConnectionId connection, base::Instant now, Questions& ask);
  void on_disconnected(ConnectionId connection, const std::string& why, base::Instant now);
  void on_asked(uint32_t node, base::Instant now);
  // False: it leads another cell than the one that was known so far, and is followed.
  bool on_status(uint32_t node, const StatusResponse& status, const Load& load, base::Instant now,
                 Effects& fx);
  void on_not_leader(ConnectionId connection, const base::Error& error, base::Instant now,
                     Effects& fx);
  // The leader has no majority, or refuses for another reason of its own: look around.
  void on_unavailable(ConnectionId connection);
  // Something was sent to the leader that should be answered, or its silence noticed, within
  // `patience`.
  void on_sent(base::Duration patience, base::Instant now);
  void on_heard(ConnectionId connection, base::Instant now);
  void on_timer(const Load& load, base::Instant now, Effects& fx, Questions& ask);
  base::Instant next_timer() const;

  // Everybody, for a survey of the cell: connects to whom it isn't connected to.
  uint32_t add_node(const std::string& address);
  void connect(uint32_t node, base::Instant now, Effects& fx);
  // Every connection is given up: the end.
  void close_all(Effects& fx);

 private:
  static constexpr uint32_t kNone = ~uint32_t{0};

  void round(base::Instant now, Effects& fx, Questions& ask);
  void fail(Node& node, const std::string& why, base::Instant now);
  void drop_silent(Node& node, const std::string& why, base::Instant now, Effects& fx);
  void take_hint(uint64_t id, const std::string& address, base::Instant now, Effects& fx);
  void follow(uint32_t node, base::Instant now);
  void lose_leader();
  uint32_t find(uint64_t id, const std::string& address);
  bool any_up() const;
  void check_leader(const Load& load, base::Instant now, Questions& ask);

  base::Random& random_;
  std::vector<Node> nodes_;
  uint32_t leader_ = kNone;
  uint64_t cell_ = 0;         // of the last active leader; 0: not yet known
  base::Ballot best_ballot_;  // the highest that an active leader named; never an older one again
  int hops_ = 0;
  bool seeking_ = false;
  base::Instant next_round_;
  base::Instant last_round_;
  ConnectionId last_connection_ = 0;

  // The watch on the leader's silence.
  base::Instant last_heard_;
  base::Instant check_at_ = base::kNever;
  base::Instant ping_until_ = base::kNever;  // kNever: not asked
  base::Duration patience_ = kPatience;      // the least of what was sent since the last check
  bool sent_since_check_ = false;
};

}  // namespace holdfast::client
