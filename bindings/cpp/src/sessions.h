// Sessions: leases that are kept alive: when to renew which, when to worry, when to give up.
//
// Knows instants only; the Core sends the renewals and says how they went.
#pragma once

#include <unordered_map>
#include <vector>

#include "bindings/cpp/src/messages.h"
#include "bindings/cpp/src/pool.h"
#include "bindings/cpp/src/timer_heap.h"

namespace holdfast::client {

struct Session {
  uint32_t slot = 0;
  bool used = false;

  SessionId id = 0;
  base::LeaseId lease;
  base::Duration ttl;
  std::string secret;
  bool alive = false;          // neither closed nor lost
  base::Instant good_sent;     // of the newest attempt that was answered yes
  base::Instant deadline;      // local_deadline(good_sent, ttl); only moves forward
  bool jeopardy_told = false;  // since good_sent
  uint32_t ops = 0;            // operations under it that aren't over

  void reset() { *this = Session{}; }
};

class Sessions {
 public:
  // `sent`: when the open was first sent.
  Session& add(base::LeaseId lease, std::string secret, base::Duration ttl, base::Instant sent);
  Session* find(SessionId id);
  size_t alive() const { return alive_; }
  template <class Visit>
  void for_each(Visit visit) {
    for (uint32_t slot = 0; slot < pool_.slots(); ++slot) {
      if (Session* session = pool_.find(slot)) visit(*session);
    }
  }

  // No more renewals and no more watching; true if it was alive.
  bool end(Session& session);
  // Forgets an ended session, once nothing refers to it.
  void remove(Session& session);
  void recycle() { pool_.recycle(); }

  // -- renewing -----------------------------------------------------------------------------------
  base::Instant next_due() const { return due_.next(); }
  // The sessions that are due, together with those that soon will be, at most one call's worth;
  // returns the least ttl among them. They count as asked for: unless told otherwise, they are due
  // again when an answer is overdue.
  base::Duration take_due(base::Instant now, std::vector<SessionId>& sessions,
                          std::vector<base::LeaseId>& leases);
  // Those whose turn it is whether due or not: all, or the next that fit in one call.
  void take_turn(base::Instant now, std::vector<SessionId>& sessions,
                 std::vector<base::LeaseId>& leases);
  // Answered yes. Returns whether the deadline moved.
  bool on_renewed(Session& session, base::Instant sent);
  // Not answered, or by one who couldn't tell: due at `again`.
  void on_unanswered(Session& session, base::Instant again);

  // -- watching -----------------------------------------------------------------------------------
  base::Instant next_watch() const { return watch_.next(); }
  // The next session that is in jeopardy or past its deadline; null: none. One in jeopardy is
  // returned once per good renewal; one past its deadline until it is ended.
  Session* take_watched(base::Instant now);

 private:
  void watch(Session& session);

  Pool<Session> pool_;
  TimerHeap due_;    // by slot: the next renewal of those alive
  TimerHeap watch_;  // by slot: jeopardy, or the deadline
  size_t alive_ = 0;
  uint64_t last_id_ = 0;
  uint32_t turn_ = 0;  // the slot at which take_turn() goes on
};

}  // namespace holdfast::client
