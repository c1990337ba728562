// Core: callers' calls, numbers, and sending: what goes to whom, and again to whom else.
#include "bindings/cpp/src/core.h"

#include <algorithm>

#include "lockcore/base/mutant.h"

namespace holdfast::client {

using base::Duration;
using base::Instant;
using base::kNever;

namespace {

// A RequestId is a growing number with the op's slot below it.
constexpr int kSlotBits = 24;
constexpr uint64_t kSlotMask = (1u << kSlotBits) - 1;

// The body of a reused command, with its memory if it is of the same kind.
template <class Body>
Body& body_of(locks::Command& command) {
  if (auto* body = std::get_if<Body>(&command.body)) return *body;
  return command.body.emplace<Body>();
}

}  // namespace

Core::Core(Options options, uint64_t seed)
    : options_(std::move(options)), random_(seed), router_(options_.endpoints, random_) {}

// -- callers' calls -------------------------------------------------------------------------------

void Core::open(Ref ref, OpenCall call, Instant now, Effects& fx) {
  begin_event();
  Op& op = make(OpKind::kOpen, ref, now + options_.request_timeout);
  op.keep = call.keep;
  op.ttl = Duration::from_ms(static_cast<int64_t>(call.ttl_ms));
  make_command(op).body = locks::OpenLease{
      call.ttl_ms, call.lock_delay_ms, {}, std::move(call.owner), call.drop_on_disconnect};
  submit(op);
  settle(now, fx);
}

Core::AcquireId Core::acquire(Ref ref, AcquireCall call, Instant now, Effects& fx) {
  begin_event();
  Session* session = sessions_.find(call.under.session);
  if (call.under.session != 0 && (session == nullptr || !session->alive)) {
    fx.completions.push_back({ref, Failure{Code::lease_lost, "the session is over", {}}});
    settle(now, fx);
    return 0;
  }
  Op& op = make(OpKind::kAcquire, ref, kNever);
  if (session != nullptr) {
    op.session = session->id;
    ++session->ops;
  }
  set_patience(op, call.timeout, now);
  auto& body = body_of<locks::Acquire>(make_command(op));
  body.lease = session != nullptr ? session->lease : call.under.lease;
  // Under a bare lease other processes acquire too, and none knows what the others have counted.
  body.holder = {session != nullptr ? ++last_holder_ : std::max<uint64_t>(random_.next(), 1)};
  body.agent = call.agent;
  body.locks = std::move(call.locks);
  body.wait = op.wait;
  body.reason = std::move(call.reason);
  body.value = std::move(call.value);
  if (may_hold_already(op)) {
    held_back_.emplace_back(op.slot, op.order);
    arm(op);
  } else {
    submit(op);
  }
  AcquireId id = id_of(op);
  settle(now, fx);
  return id;
}

Core::AcquireId Core::convert(Ref ref, ConvertCall call, Instant now, Effects& fx) {
  begin_event();
  AcquireId id = 0;
  if (Session* session = living(call.session, ref, fx)) {
    Op& op = make(OpKind::kConvert, ref, kNever);
    op.session = session->id;
    ++session->ops;
    set_patience(op, call.timeout, now);
    make_command(op).body = locks::Convert{session->lease, std::move(call.lock), call.token,
                                           call.mode,      call.agent,           op.wait};
    submit(op);
    id = id_of(op);
  }
  settle(now, fx);
  return id;
}

void Core::set_value(Ref ref, SetValueCall call, Instant now, Effects& fx) {
  begin_event();
  if (Session* session = living(call.session, ref, fx)) {
    Op& op = make(OpKind::kSetValue, ref, now + options_.request_timeout);
    op.session = session->id;
    ++session->ops;
    make_command(op).body = locks::SetHoldValue{session->lease, std::move(call.lock), call.token,
                                                std::move(call.value)};
    submit(op);
  }
  settle(now, fx);
}

void Core::force(Ref ref, locks::ForceRelease body, Instant now, Effects& fx) {
  command(OpKind::kForce, ref, std::move(body), now, fx);
}

void Core::txn(Ref ref, locks::Txn body, Instant now, Effects& fx) {
  command(OpKind::kTxn, ref, std::move(body), now, fx);
}

void Core::set_policy(Ref ref, locks::SetPolicy body, Instant now, Effects& fx) {
  command(OpKind::kPolicy, ref, std::move(body), now, fx);
}

void Core::command(OpKind kind, Ref ref, locks::Body body, Instant now, Effects& fx) {
  begin_event();
  Op& op = make(kind, ref, now + options_.request_timeout);
  make_command(op).body = std::move(body);
  submit(op);
  settle(now, fx);
}

Session* Core::living(SessionId id, Ref ref, Effects& fx) {
  Session* session = sessions_.find(id);
  if (session != nullptr && session->alive) return session;
  fx.completions.push_back({ref, Failure{Code::lease_lost, "the session is over", {}}});
  return nullptr;
}

void Core::set_patience(Op& op, const std::optional<Duration>& timeout, Instant now) {
  op.wait = !timeout || timeout->ns > 0;
  if (op.wait && timeout) {
    // What goes beyond the end of time has none.
    if (timeout->ns < kNever.ns - now.ns) op.deadline = now + *timeout;
  } else if (!op.wait || op.session == 0) {
    // A session's own end bounds its waits; a bare lease's isn't known here.
    op.deadline = now + options_.request_timeout;
    op.deadline_until_sent = op.wait;
  }
}

Core::AcquireId Core::id_of(const Op& op) {
  return (op.order << kSlotBits) | op.slot;
}

void Core::cancel(AcquireId acquire, Instant now, Effects& fx) {
  begin_event();
  Op* op = ops_.find(static_cast<uint32_t>(acquire & kSlotMask));
  const bool may_be_cancelled = op != nullptr && op->order == acquire >> kSlotBits &&
                                op->ref != 0 && (op->may_queue() || op->kind == OpKind::kRead);
  if (may_be_cancelled) {
    if (op->attempts == 0 || op->kind == OpKind::kRead) {
      complete(*op, Failure{Code::cancelled, "the wait was cancelled", {}}, fx);
      finish(*op, fx);
    } else if (op->giving_up == GivingUp::kNo) {
      give_up(*op, GivingUp::kCancelled, now, fx);
    } else {
      op->giving_up = GivingUp::kCancelled;
    }
  }
  settle(now, fx);
}

void Core::release(Ref ref, const LeaseName& under, std::string lock, base::Token token,
                   Instant now, Effects& fx) {
  begin_event();
  Session* session = sessions_.find(under.session);
  if (under.session != 0 && (session == nullptr || !session->alive)) {
    if (ref != 0) {
      fx.completions.push_back(
          {ref, Failure{Code::lock_lost, "the lock was lost with its session", {}}});
    }
    settle(now, fx);
    return;
  }
  Op& op = make(OpKind::kRelease, ref, ref != 0 ? now + options_.request_timeout : kNever);
  if (session != nullptr) {
    op.session = session->id;
    ++session->ops;
  }
  auto& body = body_of<locks::Release>(make_command(op));
  body.lease = session != nullptr ? session->lease : under.lease;
  body.lock = std::move(lock);
  body.token = token;
  submit(op);
  settle(now, fx);
}

void Core::renew(Ref ref, const LeaseName& lease, Instant now, Effects& fx) {
  begin_event();
  Session* session = sessions_.find(lease.session);
  if (lease.session != 0 && (session == nullptr || !session->alive)) {
    fx.completions.push_back({ref, Failure{Code::lease_lost, "the session is over", {}}});
    settle(now, fx);
    return;
  }
  Op& op = make(OpKind::kRenew, ref, now + options_.request_timeout);
  auto& request = renewal_of(op, session != nullptr ? client_ : base::ClientId{});
  request.leases.push_back(session != nullptr ? session->lease : lease.lease);
  if (session != nullptr) {
    op.session = session->id;
    op.sessions.push_back(session->id);
    ++session->ops;
  }
  submit(op);
  settle(now, fx);
}

void Core::renew_sessions(Ref ref, Instant now, Effects& fx) {
  begin_event();
  if (sessions_.alive() == 0) {
    fx.completions.push_back({ref, Done{}});
    return settle(now, fx);
  }
  Op& op = make(OpKind::kRenew, ref, now + options_.request_timeout);
  sessions_.take_turn(now, op.sessions, renewal_of(op, client_).leases);
  submit(op);
  settle(now, fx);
}

Core::AcquireId Core::read(Ref ref, ReadRequest request, Instant now, Effects& fx) {
  begin_event();
  const auto* events = std::get_if<EventsRequest>(&request);
  const bool waits = events != nullptr && events->wait_ms != 0;
  const auto* get = std::get_if<GetRequest>(&request);
  const auto* keys = std::get_if<KeysRequest>(&request);
  const bool anywhere = (get != nullptr && (get->stale || get->anywhere)) ||
                        (keys != nullptr && (keys->stale || keys->anywhere));
  const OpKind kind = anywhere ? OpKind::kReadAnywhere : OpKind::kRead;
  Op& op = make(kind, ref, waits ? kNever : now + options_.request_timeout);
  op.wait = waits;
  std::visit([&](auto& value) { op.request = std::move(value); }, request);
  submit(op);
  const AcquireId id = id_of(op);
  settle(now, fx);
  return id;
}

// -- events ---------------------------------------------------------------------------------------

void Core::begin_event() {
  ops_.recycle();
  sessions_.recycle();
}

void Core::on_connected(ConnectionId connection, Instant now, Effects& fx) {
  begin_event();
  router_.on_connected(connection, now, questions_);
  settle(now, fx);
}

void Core::on_disconnected(ConnectionId connection, const std::string& why, Instant now,
                           Effects& fx) {
  begin_event();
  router_.on_disconnected(connection, why, now);
  if (!HF_MUTANT(calls_end_with_connection)) requeue_in_flight(connection, now, fx);
  settle(now, fx);
}

void Core::on_response(RequestId request, Response response, Instant now, Effects& fx) {
  begin_event();
  // A lease whose time is up is lost, whatever this says: after a stop of the process the answer
  // may be looked at before the timer.
  if (!HF_MUTANT(answer_before_deadline)) watch_sessions(now, fx);
  Op* op = find(request);
  if (op == nullptr) return settle(now, fx);  // of an earlier attempt, or of nobody's any more
  ConnectionId from = op->connection;
  land(*op);
  const base::Error* error = std::get_if<base::Error>(&response);
  const auto* answer = std::get_if<locks::Answer>(&response);
  if (answer != nullptr && error == nullptr) error = std::get_if<base::Error>(answer);
  if (error == nullptr || error->code != base::ErrorCode::kNotLeader) router_.on_heard(from, now);

  if (auto* status = std::get_if<StatusResponse>(&response)) {
    if (op->survey != 0) on_survey_status(op->survey, op->node, *status, now);
    bool same_cell = router_.on_status(op->node, *status, load(), now, fx);
    finish(*op, fx);
    if (!same_cell) leave_cell(now, fx);
  } else if (auto* failed = std::get_if<CallFailed>(&response)) {
    on_call_failed(*op, *failed, now, fx);
  } else if (error != nullptr) {
    on_error(*op, *error, from, now, fx);
  } else if (answer != nullptr) {
    on_answer(*op, *answer, now, fx);
  } else if (auto* renewed = std::get_if<RenewResponse>(&response)) {
    on_renew_response(*op, *renewed, now, fx);
  } else if (const auto* lease = std::get_if<LeaseInfo>(&response); lease && op->adoption) {
    on_time_left(*op, Duration::from_ms(lease->remaining.count()), now, fx);
  } else {
    std::visit(
        [&](auto& value) {
          if constexpr (std::is_constructible_v<Outcome, std::decay_t<decltype(value)>>) {
            complete(*op, std::move(value), fx);
          }
        },
        response);
    finish(*op, fx);
  }
  settle(now, fx);
}

void Core::on_timer(Instant now, Effects& fx) {
  begin_event();
  while (timers_.next() <= now) on_op_timer(ops_.at(timers_.first()), now, fx);
  watch_sessions(now, fx);
  router_.on_timer(load(), now, fx, questions_);
  settle(now, fx);
}

Instant Core::next_timer() const {
  Instant next = std::min({timers_.next(), sessions_.next_watch(), router_.next_timer()});
  if (router_.leader() != 0) next = std::min(next, sessions_.next_due());
  for (const Survey& survey : surveys_) next = std::min({next, survey.until, survey.next_step});
  return over_ ? kNever : std::min(next, shutdown_until_);
}

void Core::settle(Instant now, Effects& fx) {
  if (over_) return;
  forget_closed(now, fx);
  pump(now, fx);
  renew_due(now, fx);
  if (!in_need()) {
    router_.rest();
  } else {
    router_.seek(now, fx, questions_);
  }
  ask(questions_, 0, {}, now, fx);
  questions_.clear();
  forget_closed(now, fx);
  if (!surveys_.empty()) continue_surveys(now, fx);
  if (shutdown_until_ != kNever) continue_shutdown(now, fx);
}

// -- ops ------------------------------------------------------------------------------------------

Op& Core::make(OpKind kind, Ref ref, Instant deadline) {
  Op& op = ops_.take();
  HF_ASSERT(op.slot <= kSlotMask);
  op.kind = kind;
  op.ref = ref;
  op.deadline = deadline;
  op.order = ++last_order_;
  if (kind == OpKind::kQuestion || kind == OpKind::kRenew) ++helpers_;
  return op;
}

locks::Command& Core::make_command(Op& op) {
  if (!std::holds_alternative<locks::Command>(op.request)) op.request.emplace<locks::Command>();
  locks::Command& command = op.command();
  command.op.client = {};
  command.op.number = 0;
  command.op.lowest_unanswered = 0;
  command.op.answered.clear();
  return command;
}

Op* Core::find(RequestId request) {
  Op* op = ops_.find(static_cast<uint32_t>(request & kSlotMask));
  return op != nullptr && op->in_flight == request ? op : nullptr;
}

void Core::arm(Op& op) {
  timers_.set(op.slot, std::min(op.deadline, op.resend_at));
}

void Core::submit(Op& op) {
  enqueue(op, false);
  arm(op);
}

void Core::enqueue(Op& op, bool in_front) {
  HF_ASSERT(op.in_flight == 0 && !op.queued);
  op.queued = true;
  op.resend_at = kNever;
  ++queued_ops_;
  Queue& queue = op.kind == OpKind::kReadAnywhere ? for_anybody_
                 : !op.is_mutation()              ? others_
                 : op.gives_back()                ? giving_
                                                  : taking_;
  if (in_front) {
    queue.emplace_front(op.slot, op.order);
  } else {
    queue.emplace_back(op.slot, op.order);
  }
}

void Core::complete(Op& op, Outcome outcome, Effects& fx) {
  if (op.ref == 0) return;
  fx.completions.push_back({op.ref, std::move(outcome)});
  op.ref = 0;
}

void Core::finish(Op& op, Effects& fx) {
  HF_ASSERT(op.ref == 0);
  recall(op, fx);
  if (op.queued) --queued_ops_;
  timers_.drop(op.slot);
  if (op.number != 0) {
    if (op.command().op.client == client_) {
      to_tell_.push_back(op.number);
      const auto& told = op.command().op.answered;
      if (!op.heard) to_tell_.insert(to_tell_.end(), told.begin(), told.end());
    }
    drop_number(op);
  }
  if (op.session != 0) drop_session(op.session);
  if (op.partner != kNoSlot) ops_.at(op.partner).partner = kNoSlot;
  if (op.kind == OpKind::kQuestion || op.kind == OpKind::kRenew) --helpers_;
  const bool gave_up = op.giving_up != GivingUp::kNo && op.kind == OpKind::kAcquire;
  ops_.give_back(op);
  if (gave_up) {
    --unsettled_;
    submit_held_back();
  }
}

namespace {

bool share_a_lock(const locks::Acquire& a, const locks::Acquire& b) {
  for (const locks::LockRequest& lock : a.locks) {
    if (std::ranges::find(b.locks, lock.name, &locks::LockRequest::name) != b.locks.end()) {
      return true;
    }
  }
  return false;
}

}  // namespace

// An acquire that is being given up may have been granted. What the same agent asks for next could
// then close a cycle, and the cell would refuse it as a deadlock, though its caller holds nothing.
// So it isn't sent before that is settled; if there is a release to be sent, that has been queued
// by then, and what gives back goes first.
bool Core::may_hold_already(const Op& op) {
  if (unsettled_ == 0 || HF_MUTANT(asks_again_too_soon)) return false;
  const auto& wanted = std::get<locks::Acquire>(std::get<locks::Command>(op.request).body);
  for (uint32_t slot = 0; slot < ops_.slots(); ++slot) {
    Op* other = ops_.find(slot);
    if (other == nullptr || other->kind != OpKind::kAcquire || other->giving_up == GivingUp::kNo) {
      continue;
    }
    const auto& body = std::get<locks::Acquire>(other->command().body);
    if (body.lease != wanted.lease || body.agent != wanted.agent) continue;
    if (wanted.agent || share_a_lock(body, wanted)) return true;
  }
  return false;
}

void Core::submit_held_back() {
  Queue waiting;
  waiting.swap(held_back_);
  for (const auto& [slot, order] : waiting) {
    Op* op = ops_.find(slot);
    if (op == nullptr || op->order != order) continue;  // over by now
    if (may_hold_already(*op)) {
      held_back_.emplace_back(slot, order);
    } else {
      submit(*op);
    }
  }
}

// -- sending --------------------------------------------------------------------------------------

void Core::pump(Instant now, Effects& fx) {
  ConnectionId leader = router_.leader();
  if (!for_anybody_.empty()) {
    const ConnectionId anybody = leader != 0 ? leader : router_.anybody();
    if (anybody != 0) pump_queue(for_anybody_, anybody, now, fx);
  }
  if (leader == 0) return;
  if (leader != current_) {
    current_ = leader;
    requeue_in_flight(0, now, fx);
  }
  if (queued_ops_ == 0) {
    taking_.clear();
    giving_.clear();
    others_.clear();
    return;
  }
  if (!client_ && !registering_ && !(taking_.empty() && giving_.empty())) {
    registering_ = true;
    Op& op = make(OpKind::kRegister, 0, kNever);
    op.request.emplace<RegisterRequest>();
    submit(op);
  }
  pump_queue(others_, leader, now, fx);
  pump_queue(giving_, leader, now, fx);
  pump_queue(taking_, leader, now, fx);
}

void Core::pump_queue(Queue& queue, ConnectionId leader, Instant now, Effects& fx) {
  // What is enqueued meanwhile waits for the next event: a loop that feeds itself would never end.
  for (size_t left = queue.size(); left > 0; --left) {
    Op* op = ops_.find(queue.front().first);
    if (op != nullptr && op->queued && op->order == queue.front().second) {
      if (!may_send(*op)) return;
      op->queued = false;
      --queued_ops_;
      transmit(*op, leader, kPatience, now, fx);
    }
    queue.pop_front();
  }
}

bool Core::may_send(const Op& op) const {
  if (!op.is_mutation()) return true;
  if (!client_) return false;
  if (op.gives_back()) return giving_in_flight_ < kMaxUnderWay;
  if (op.wait) return true;
  // One that has its number has its place at the cell.
  return taking_in_flight_ < kMaxUnderWay && (op.number != 0 || room_to_take());
}

bool Core::room_to_take() const {
  if (taking_in_flight_ < kMinUnderWay) return true;
  size_t untold = to_tell_.size() - std::min(to_tell_.size(), kMaxTold);
  return numbered_ + untold + kMinUnderWay < base::kMaxAnswersPerClient;
}

void Core::give_number(Op& op) {
  op.number = ++last_number_;
  op.heard = false;
  ++numbered_;
  op.older = youngest_;
  op.younger = kNoSlot;
  (youngest_ == kNoSlot ? oldest_ : ops_.at(youngest_).younger) = op.slot;
  youngest_ = op.slot;

  locks::OpId& id = op.command().op;
  id.client = client_;
  id.number = op.number;
  id.lowest_unanswered = HF_MUTANT(tells_what_it_hasnt) ? op.number : ops_.at(oldest_).number;
  id.answered.clear();
  size_t kept = 0;
  for (uint64_t number : to_tell_) {
    if (number < id.lowest_unanswered) continue;  // said by lowest_unanswered
    if (id.answered.size() < kMaxTold) {
      id.answered.push_back(number);
    } else {
      to_tell_[kept++] = number;
    }
  }
  to_tell_.resize(kept);
}

void Core::transmit(Op& op, ConnectionId connection, Duration patience, Instant now, Effects& fx) {
  HF_ASSERT(op.in_flight == 0);
  if (op.is_mutation() && op.number == 0) give_number(op);
  if (op.attempts++ == 0) op.first_sent = now;
  op.last_sent = now;
  if (op.deadline_until_sent) {
    op.deadline_until_sent = false;
    op.deadline = kNever;
    arm(op);
  }
  op.connection = connection;
  op.in_flight = (++last_request_ << kSlotBits) | op.slot;
  fx.sends.push_back({connection, op.in_flight, &op.request});
  if (op.is_for_anybody()) return;
  ++(op.wait ? queued_in_flight_ : ordinary_in_flight_);
  if (op.is_mutation() && !op.wait) ++(op.gives_back() ? giving_in_flight_ : taking_in_flight_);
  router_.on_sent(patience, now);
}

void Core::land(Op& op) {
  HF_ASSERT(op.in_flight != 0);
  op.in_flight = 0;
  op.connection = 0;
  if (op.is_for_anybody()) return;
  --(op.wait ? queued_in_flight_ : ordinary_in_flight_);
  if (op.is_mutation() && !op.wait) --(op.gives_back() ? giving_in_flight_ : taking_in_flight_);
}

void Core::recall(Op& op, Effects& fx) {
  if (op.in_flight == 0) return;
  fx.drops.push_back({op.connection, op.in_flight});
  land(op);
}

void Core::requeue(Op& op, Instant now, Effects& fx) {
  recall(op, fx);
  if (op.kind == OpKind::kQuestion) return finish(op, fx);
  if (op.kind == OpKind::kRegister) {
    registering_ = false;  // whoever still needs an id asks for one
    return finish(op, fx);
  }
  if (op.kind == OpKind::kRenew && op.ref == 0) {
    // Gathered anew when there is a leader, with whatever else is due by then.
    unanswered(op, now);
    return finish(op, fx);
  }
  if (op.giving_up != GivingUp::kNo && op.may_queue()) return;  // its cancel settles it
  if (HF_MUTANT(retry_takes_new_number) && op.number != 0) drop_number(op);
  enqueue(op, true);
}

void Core::requeue_in_flight(ConnectionId lost, Instant now, Effects& fx) {
  std::vector<std::pair<uint64_t, uint32_t>> moved;
  for (uint32_t slot = 0; slot < ops_.slots(); ++slot) {
    Op* op = ops_.find(slot);
    if (op == nullptr || op->in_flight == 0) continue;
    bool away =
        lost != 0 ? op->connection == lost : op->connection != current_ && !op->is_for_anybody();
    if (away) moved.emplace_back(op->order, slot);
  }
  // In front of what came later, the oldest first: as they were sent.
  std::sort(moved.rbegin(), moved.rend());
  for (auto [order, slot] : moved) requeue(ops_.at(slot), now, fx);
}

// Nothing comes any more from a connection that was given up in this event.
void Core::forget_closed(Instant now, Effects& fx) {
  for (size_t i = 0; i < fx.closes.size(); ++i) requeue_in_flight(fx.closes[i], now, fx);
}

Router::Load Core::load() const {
  return {ordinary_in_flight_ > 0, queued_in_flight_ > 0};
}

bool Core::in_need() const {
  return queued_ops_ > 0 || ordinary_in_flight_ > 0 || queued_in_flight_ > 0 ||
         sessions_.alive() > 0;
}

void Core::ask(const Router::Questions& questions, uint64_t survey, StatusRequest asked,
               Instant now, Effects& fx) {
  for (uint32_t node : questions) {
    ConnectionId connection = router_.nodes()[node].connection;
    if (connection == 0 || router_.nodes()[node].state != Router::Node::State::kUp) continue;
    Op& op = make(OpKind::kQuestion, 0, kNever);
    op.request.emplace<StatusRequest>(asked);
    op.node = node;
    op.survey = survey;
    router_.on_asked(node, now);
    transmit(op, connection, kPatience, now, fx);
  }
}

Failure Core::out_of_time(const Op& op) const {
  const bool may_happen = op.is_mutation() && (op.attempts > 0 || is_owed(op));
  const std::string unknown = may_happen ? "; the outcome is unknown" : "";
  // What isn't sent although there is a leader waits for something else that it doesn't answer.
  bool reached = router_.leader() != 0 && (op.in_flight == 0 || op.connection == router_.leader());
  if (!reached) {
    return {Code::unavailable,
            "no active leader was found in time (" + router_.complaint() + ")" + unknown,
            {}};
  }
  const std::string& leader = router_.leader_address();
  return {op.is_mutation() ? Code::unavailable : Code::timeout,
          "the leader (" + leader + ") did not answer in time" + unknown,
          {{"leader", leader}}};
}

}  // namespace holdfast::client
