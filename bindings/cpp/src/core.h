// Core: the client's logic as a plain object: events in, effects out (DESIGN 10).
//
// Contract with the driver. Call on_<event>() or one of the callers' calls with `now`, a reading of
// CLOCK_BOOTTIME taken before anything that the call causes is sent; then carry out the effects, in
// the order of their fields, before the next event. Call on_timer() at next_timer() or a little
// later. A completion is reported exactly once for every non-zero ref. Not thread-safe. No threads,
// no clock, no randomness but the seed: the simulator drives the same object.
//
// What it sees to: exactly-once numbers (DESIGN 7a), retries on whichever node leads, sessions and
// their local deadlines (2.4), waits that are cancelled before the caller is told "no" (2.7).
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "bindings/cpp/src/messages.h"
#include "bindings/cpp/src/op.h"
#include "bindings/cpp/src/pool.h"
#include "bindings/cpp/src/router.h"
#include "bindings/cpp/src/sessions.h"
#include "bindings/cpp/src/timer_heap.h"
#include "lockcore/base/limits.h"
#include "lockcore/base/random.h"

namespace holdfast::client {

// How long past an acquire's timeout its cancelling may take before the caller is told
// `unavailable`.
constexpr base::Duration kCancelGrace = base::Duration::from_ms(1000);
// Between attempts after a refusal that may pass.
constexpr base::Duration kRefusedPause = base::Duration::from_ms(100);
// Mutations of one client under way at once, queued acquires not counted; those that give something
// back are counted apart.
constexpr size_t kMaxUnderWay = 512;
// Answered numbers that one command tells.
constexpr size_t kMaxTold = 512;
// The cell keeps a record of each queued acquire as well: many of them leave less room for others,
// but never less than this. What is beyond the cell's limit then is refused by the cell.
constexpr size_t kMinUnderWay = 16;
static_assert(kMaxUnderWay + kMaxTold <= base::kMaxAnswersPerClient);
// Shutting down: closing leases, and the last word, may take this long.
constexpr base::Duration kShutdownWait = base::Duration::from_ms(1000);
constexpr base::Duration kForgetWait = base::Duration::from_ms(200);
// A survey waits this long for the others after the first node answered.
constexpr base::Duration kSurveyWait = base::Duration::from_ms(1000);
constexpr base::Duration kSurveyStep = base::Duration::from_ms(20);

struct Options {
  std::vector<std::string> endpoints;
  base::Duration request_timeout = base::Duration::from_ms(5000);
};

struct OpenCall {
  uint64_t ttl_ms = 0;
  base::Owner owner;
  bool keep = true;  // becomes a session, renewed until closed; false: a bare lease
  uint64_t lock_delay_ms = 0;
  bool drop_on_disconnect = false;
};
struct AdoptCall {
  base::LeaseId lease;
  std::string secret;
  base::Owner owner;
};
// Of a session, or of a bare lease when session is 0.
struct LeaseName {
  SessionId session = 0;
  base::LeaseId lease;
};
struct AcquireCall {
  LeaseName under;
  base::AgentId agent;
  std::vector<locks::LockRequest> locks;  // all or none
  std::string reason;
  std::string value;  // of the hold
  // 0: try, without a place in the queue. nullopt: wait for ever.
  std::optional<base::Duration> timeout;
};
// Of a session's hold: nobody else knows what its token is afterwards.
struct ConvertCall {
  SessionId session = 0;
  base::AgentId agent;
  std::string lock;
  base::Token token;
  base::Mode mode = base::Mode::kExclusive;
  std::optional<base::Duration> timeout;
};
struct SetValueCall {
  SessionId session = 0;
  std::string lock;
  base::Token token;
  std::string value;
};

class Core {
 public:
  // Names an acquire, convert or read, for cancel(). Good until its completion.
  using AcquireId = uint64_t;

  Core(Options options, uint64_t seed);

  // -- callers' calls. Each is completed once, if its ref isn't 0 ---------------------------------
  void open(Ref ref, OpenCall call, base::Instant now, Effects& fx);  // Opened
  // A session for a living lease. Completed when whoever had it can't believe in it any more:
  // within its ttl. Opened.
  void adopt(Ref ref, AdoptCall call, base::Instant now, Effects& fx);
  AcquireId acquire(Ref ref, AcquireCall call, base::Instant now,
                    Effects& fx);  // Granted, NotAcquired
  // Another mode for a hold. If its time runs out it completes only once its outcome is known, or
  // the session is over: a hold whose token nobody knows could not be released. Granted,
  // NotAcquired: the hold is as it was.
  AcquireId convert(Ref ref, ConvertCall call, base::Instant now, Effects& fx);
  void set_value(Ref ref, SetValueCall call, base::Instant now, Effects& fx);       // Done
  void force(Ref ref, locks::ForceRelease body, base::Instant now, Effects& fx);    // Done
  void txn(Ref ref, locks::Txn body, base::Instant now, Effects& fx);               // TxnDone
  void set_policy(Ref ref, locks::SetPolicy body, base::Instant now, Effects& fx);  // Done
  // Ends the wait with `cancelled`; does nothing if it is over.
  void cancel(AcquireId acquire, base::Instant now, Effects& fx);
  void release(Ref ref, const LeaseName& under, std::string lock, base::Token token,
               base::Instant now, Effects& fx);                                 // Done
  void renew(Ref ref, const LeaseName& lease, base::Instant now, Effects& fx);  // Renewed
  // All sessions with one call, or the next that fit in it. Renewed, or Done if there are none.
  void renew_sessions(Ref ref, base::Instant now, Effects& fx);
  void close(Ref ref, const LeaseName& lease, base::Instant now, Effects& fx);  // Done
  // Stops renewing; the lease lives on by itself. The session is gone.
  void detach(SessionId session, base::Instant now, Effects& fx);
  // With the answer's type. A read of events that waits is sent anew, wherever a leader is, until
  // it is answered or cancelled.
  AcquireId read(Ref ref, ReadRequest request, base::Instant now, Effects& fx);
  void status(Ref ref, base::Instant now, Effects& fx, StatusRequest asked = {});  // CellStatus
  // Closes all sessions, says goodbye, then Effects::shut_down. Calls under way end with
  // `cancelled`.
  void shut_down(base::Instant now, Effects& fx);

  // -- events -------------------------------------------------------------------------------------
  void on_connected(ConnectionId connection, base::Instant now, Effects& fx);
  // Also: connecting failed. What was in flight there gets no response any more.
  void on_disconnected(ConnectionId connection, const std::string& why, base::Instant now,
                       Effects& fx);
  void on_response(RequestId request, Response response, base::Instant now, Effects& fx);
  void on_timer(base::Instant now, Effects& fx);
  base::Instant next_timer() const;

  // -- what is known ------------------------------------------------------------------------------
  const Session* session(SessionId id) { return sessions_.find(id); }
  base::ClientId client() const { return client_; }
  const Router& router() const { return router_; }
  size_t under_way() const { return ops_.used(); }

 private:
  struct Survey;
  using Queue = std::deque<std::pair<uint32_t, uint64_t>>;  // (slot, order) of an op

  // core.cc: ops, sending
  void begin_event();
  void settle(base::Instant now, Effects& fx);
  Op& make(OpKind kind, Ref ref, base::Instant deadline);
  // The session, if it lives; else the call is completed with lease_lost.
  Session* living(SessionId id, Ref ref, Effects& fx);
  void set_patience(Op& op, const std::optional<base::Duration>& timeout, base::Instant now);
  static AcquireId id_of(const Op& op);
  locks::Command& make_command(Op& op);
  // A mutation of no session.
  void command(OpKind kind, Ref ref, locks::Body body, base::Instant now, Effects& fx);
  void submit(Op& op);
  bool may_hold_already(const Op& op);
  void submit_held_back();
  void arm(Op& op);
  void pump(base::Instant now, Effects& fx);
  void pump_queue(Queue& queue, ConnectionId leader, base::Instant now, Effects& fx);
  bool may_send(const Op& op) const;
  bool room_to_take() const;
  void transmit(Op& op, ConnectionId connection, base::Duration patience, base::Instant now,
                Effects& fx);
  void give_number(Op& op);
  void land(Op& op);                 // no longer in flight
  void recall(Op& op, Effects& fx);  // the same, and nobody waits for the answer
  void finish(Op& op, Effects& fx);  // over and forgotten
  void complete(Op& op, Outcome outcome, Effects& fx);
  void requeue(Op& op, base::Instant now, Effects& fx);
  // All that is in flight on `lost`, or, if that is 0, anywhere but at the current leader's.
  void requeue_in_flight(ConnectionId lost, base::Instant now, Effects& fx);
  void forget_closed(base::Instant now, Effects& fx);
  void leave_cell(base::Instant now, Effects& fx);
  void enqueue(Op& op, bool in_front);
  Op* find(RequestId request);
  Router::Load load() const;
  bool in_need() const;
  void ask(const Router::Questions& questions, uint64_t survey, StatusRequest asked,
           base::Instant now, Effects& fx);
  Failure out_of_time(const Op& op) const;

  // core_answers.cc: what responses mean
  void on_answer(Op& op, const locks::Answer& answer, base::Instant now, Effects& fx);
  void on_error(Op& op, const base::Error& error, ConnectionId from, base::Instant now,
                Effects& fx);
  void on_refused(Op& op, const base::Error& error, base::Instant now, Effects& fx);
  void on_unknown_client(Op& op, base::Instant now, Effects& fx);
  void on_final_error(Op& op, const base::Error& error, base::Instant now, Effects& fx);
  void on_call_failed(Op& op, const CallFailed& failed, base::Instant now, Effects& fx);
  void on_opened(Op& op, const locks::LeaseOpened& opened, base::Instant now, Effects& fx);
  void on_granted(Op& op, const std::vector<base::Token>& tokens, Effects& fx);
  void on_txn_done(Op& op, locks::TxnDone done, Effects& fx);
  void on_cancel_answer(Op& cancel, const locks::Answer& answer, base::Instant now, Effects& fx);
  void on_acquire_error(Op& op, const base::Error& error, base::Instant now, Effects& fx);
  void on_release_error(Op& op, const base::Error& error, base::Instant now, Effects& fx);
  void on_renew_response(Op& op, const RenewResponse& response, base::Instant now, Effects& fx);
  void conclude(Op& op, Outcome outcome, Effects& fx);  // complete and finish
  Outcome given_up_outcome(const Op& op) const;
  void give_up(Op& op, GivingUp why, base::Instant now, Effects& fx);
  void give_back(Op& acquire, const std::vector<base::Token>& tokens);
  void pause(Op& op, base::Instant now);
  void drop_number(Op& op);

  // core_sessions.cc: sessions' lives, time running out, the end
  void on_op_timer(Op& op, base::Instant now, Effects& fx);
  bool is_owed(const Op& op) const;
  void on_out_of_time(Op& op, base::Instant now, Effects& fx);
  Session& add_session(const locks::LeaseOpened& lease, base::Instant sent, base::Instant now);
  static RenewRequest& renewal_of(Op& op, base::ClientId client);
  void renew_due(base::Instant now, Effects& fx);
  void unanswered(Op& renewal, base::Instant again);
  void watch_sessions(base::Instant now, Effects& fx);
  void lose(Session& session, Failure why, bool may_live, base::Instant now, Effects& fx);
  void end_ops(Session& session, const Failure& why, base::Instant now, Effects& fx);
  void drop_session(SessionId id);
  void close_lease(Ref ref, SessionId session, base::LeaseId lease, base::Duration ttl,
                   base::Instant deadline);
  void continue_shutdown(base::Instant now, Effects& fx);

  // core_adoption.cc
  Op& go_on_with(Op& op, OpKind kind, Effects& fx);
  void on_adopted(Op& op, const locks::LeaseOpened& opened, base::Instant now, Effects& fx);
  void on_time_left(Op& op, base::Duration left, base::Instant now, Effects& fx);
  void on_adoption_renewed(Op& op, base::Instant sent, base::Instant now, Effects& fx);
  void on_usable(Op& op, Effects& fx);

  // core_survey.cc
  void continue_surveys(base::Instant now, Effects& fx);
  void step_survey(Survey& survey, base::Instant now, Effects& fx);
  bool survey_over(const Survey& survey, base::Instant now) const;
  void end_survey(Survey& survey, Effects& fx);
  void on_survey_status(uint64_t survey, uint32_t node, const StatusResponse& status,
                        base::Instant now);

  const Options options_;
  base::Random random_;
  Router router_;
  Sessions sessions_;
  Pool<Op> ops_;
  size_t helpers_ = 0;  // ops that the end needn't wait for: questions, renewals
  TimerHeap timers_;    // by op slot: deadline or resend_at, whichever comes first

  // What waits to be sent, oldest first; stale entries are skipped. Mutations need a client id and
  // room; those that give something back don't wait behind those that take, nor the others behind
  // either.
  Queue taking_;
  Queue giving_;
  Queue others_;
  Queue for_anybody_;  // they need no leader
  uint64_t last_order_ = 0;
  uint64_t last_request_ = 0;
  ConnectionId current_ = 0;  // where the last things were sent
  size_t queued_ops_ = 0;     // those in the queues that are not stale
  size_t unsettled_ = 0;      // acquires that are being given up
  Queue held_back_;           // acquires that wait for one of these; may be stale
  size_t ordinary_in_flight_ = 0;
  size_t queued_in_flight_ = 0;  // acquires that may take for ever
  size_t taking_in_flight_ = 0;  // of the ordinary ones
  size_t giving_in_flight_ = 0;

  // Exactly once. The unanswered mutations of this client, linked in the order of their numbers.
  base::ClientId client_;
  bool registering_ = false;
  uint64_t last_number_ = 0;
  size_t numbered_ = 0;  // how many there are
  uint32_t oldest_ = kNoSlot;
  uint32_t youngest_ = kNoSlot;
  std::vector<uint64_t> to_tell_;  // answered, above the lowest unanswered, not yet told
  uint64_t last_holder_ = 0;

  std::vector<Survey> surveys_;
  uint64_t last_survey_ = 0;
  Router::Questions questions_;  // scratch

  base::Instant shutdown_until_ = base::kNever;  // kNever: not shutting down
  bool forgotten_ = false;                       // the last word was said
  bool over_ = false;
};

struct Core::Survey {
  uint64_t id = 0;
  StatusRequest question;
  Ref ref = 0;
  base::Instant deadline;
  base::Instant until;  // the deadline, or soon after the first answer
  base::Instant next_step;
  struct Asked {
    bool asked = false;
    bool tried = false;  // connecting was tried
    std::optional<StatusResponse> status;
  };
  std::vector<Asked> nodes;  // parallel to the router's
};

}  // namespace holdfast::client
