#include "tests/sim/library_client.h"

#include <algorithm>

namespace holdfast::sim {

using base::Duration;

LibraryClient::LibraryClient(World& world, Connections& connections, BeliefChecker& beliefs,
                             HoldChecker& holds, ReadChecker& reads, FenceChecker& fence,
                             const Options& options, uint32_t host)
    : world_(world),
      connections_(connections),
      beliefs_(beliefs),
      holds_(holds),
      reads_(reads),
      fence_(fence),
      options_(options),
      host_(host),
      random_(world.stream("program", host)),
      clock_(random_) {}

// -- lives ----------------------------------------------------------------------------------------

void LibraryClient::start() {
  become_somebody();
  look_for_chores();
}

void LibraryClient::become_somebody() {
  if (draining_) {
    settled_ = true;
    return;
  }
  auto process = std::make_shared<LibraryProcess>(world_, connections_, options_, host_, clock_,
                                                  random_.next());
  user_ = std::make_shared<LibraryUser>(LibraryUser{world_,
                                                    beliefs_,
                                                    holds_,
                                                    reads_,
                                                    fence_,
                                                    options_,
                                                    host_,
                                                    std::move(process),
                                                    base::Random(random_.next()),
                                                    {}});
  opening_ = 0;
  for (int64_t i = 0; i < options_.sessions; ++i) open_session();
  for (uint64_t i = 1; i <= static_cast<uint64_t>(options_.threads); ++i) {
    threads_.push_back(std::make_shared<LibraryThread>(user_, base::AgentId{i}));
    threads_.back()->work();
  }
}

void LibraryClient::end_life(bool vanish) {
  user_->process->die(vanish);
  operations_ += user_->operations;
  grants_ += user_->grants;
  user_.reset();
  threads_.clear();
}

void LibraryClient::kill(bool vanish) {
  if (user_ != nullptr) end_life(vanish);
}

// Its machine may stand still just now.
void LibraryClient::revive() {
  if (user_ != nullptr || settled_) return;
  starts_later_ = still_ > 0;
  if (!starts_later_) become_somebody();
}

void LibraryClient::stand_still() {
  if (++still_ == 1 && user_ != nullptr) user_->process->stop();
}

void LibraryClient::go_on() {
  if (still_ == 0 || --still_ > 0) return;
  if (starts_later_) return revive();
  if (user_ != nullptr) user_->process->go_on();
}

void LibraryClient::set_clock_factor(double factor) {
  clock_.set_factor(factor, world_.now());
  if (user_ != nullptr) user_->process->on_clock_changed(factor != 1);
}

// -- sessions -------------------------------------------------------------------------------------

void LibraryClient::open_session() {
  ++opening_;
  const client::Ref ref = user_->process->expect(
      [this](client::Outcome&& outcome) {
        --opening_;
        on_opened(std::move(outcome));
      },
      Duration::from_ms(options_.request_timeout_ms));
  client::OpenCall call;
  call.ttl_ms = static_cast<uint64_t>(options_.ttl_ms);
  user_->process->with_core([&](client::Core& core, base::Instant now, client::Effects& fx) {
    core.open(ref, call, now, fx);
  });
}

void LibraryClient::on_opened(client::Outcome&& outcome) {
  if (const auto* failure = std::get_if<client::Failure>(&outcome)) {
    const bool refused = failure->code == Code::resource_exhausted;
    const bool ended = failure->code == Code::cancelled && user_->shutting_down;
    if (failure->code != Code::unavailable && !refused && !ended) {
      return world_.fail(user_->process->name() + " can't open a session: " + failure->message);
    }
    user_->process->after(user_->think(), [this] {
      if (!draining_ && !user_->shutting_down) open_session();
    });
    return;
  }
  const auto& opened = std::get<client::Opened>(outcome);
  auto session = std::make_shared<UserSession>();
  session->id = opened.session;
  session->lease = opened.lease;
  session->ttl = Duration::from_ms(static_cast<int64_t>(opened.ttl_ms));
  session->deadline = opened.deadline;
  user_->sessions.push_back(session);
  user_->process->watch(session->id, [this, session](const client::SessionEvent& event) {
    on_session(session, event);
  });
}

void LibraryClient::on_session(const std::shared_ptr<UserSession>& session,
                               const client::SessionEvent& event) {
  const base::Instant now = user_->process->now();
  if (const auto* moved = std::get_if<client::DeadlineMoved>(&event.what)) {
    if (now >= session->deadline && beliefs_.trusts(user_->client)) {
      world_.fail("a session of " + user_->process->name() + " came back after its deadline");
    }
    session->deadline = moved->deadline;
    beliefs_.check(user_->client);
  } else if (const auto* lost = std::get_if<client::Lost>(&event.what)) {
    if (session->alive(now) && beliefs_.trusts(user_->client)) {
      world_.fail("a session of " + user_->process->name() +
                  " is lost before its deadline: " + lost->why.message);
    }
    user_->check_told(*session);
    end_session(session);
    if (!draining_ && !user_->shutting_down) open_session();
  }
}

void LibraryClient::end_session(const std::shared_ptr<UserSession>& session) {
  session->over = true;
  std::erase(user_->sessions, session);
}

std::shared_ptr<UserSession> LibraryClient::some_session() {
  if (user_->sessions.empty()) return nullptr;
  return user_->sessions[random_.below(user_->sessions.size())];
}

// -- chores ---------------------------------------------------------------------------------------

client::Ref LibraryClient::expect_any() {
  return user_->process->expect([](client::Outcome&&) {},
                                Duration::from_ms(options_.request_timeout_ms));
}

void LibraryClient::look_for_chores() {
  if (options_.chore_ms == 0) return;
  const auto until = random_.below(static_cast<uint64_t>(2 * options_.chore_ms));
  world_.after(static_cast<int64_t>(until) * kMs, [this] {
    if (draining_ || world_.failed()) return;
    if (user_ != nullptr) chore();
    look_for_chores();
  });
}

// By a thread of its own, which sleeps while the process is stopped.
void LibraryClient::chore() {
  user_->process->after({}, [this] {
    if (user_->shutting_down || user_->draining) return;
    switch (random_.below(16)) {
      case 0: return shut_down();
      case 1:
      case 2: return detach_session();
      case 3:
      case 4:
      case 5: return close_session();
      case 6:
      case 7: return ask_status();
      default: return renew();
    }
  });
}

void LibraryClient::renew() {
  const auto session = some_session();
  if (session == nullptr) return;
  const client::Ref ref = expect_any();
  const bool all = random_.chance(0.3);
  user_->process->with_core([&](client::Core& core, base::Instant now, client::Effects& fx) {
    if (all) {
      core.renew_sessions(ref, now, fx);
    } else {
      core.renew(ref, {session->id, {}}, now, fx);
    }
  });
}

void LibraryClient::close_session() {
  const auto session = some_session();
  if (session == nullptr) return;
  session->closed = true;
  end_session(session);
  const client::Ref ref = random_.chance(0.5) ? expect_any() : 0;
  user_->process->with_core([&](client::Core& core, base::Instant now, client::Effects& fx) {
    core.close(ref, {session->id, {}}, now, fx);
  });
  open_session();
}

// Its owner keeps the lease alive a while longer, and ends it.
void LibraryClient::detach_session() {
  const auto session = some_session();
  if (session == nullptr) return;
  session->closed = true;
  end_session(session);
  user_->process->with_core([&](client::Core& core, base::Instant now, client::Effects& fx) {
    core.detach(session->id, now, fx);
  });
  const client::Ref renewal = expect_any();
  user_->process->with_core([&](client::Core& core, base::Instant now, client::Effects& fx) {
    core.renew(renewal, {0, session->lease}, now, fx);
  });
  user_->process->after(user_->think(), [this, session] {
    if (user_->shutting_down) return;
    const client::Ref ref = expect_any();
    user_->process->with_core([&](client::Core& core, base::Instant now, client::Effects& fx) {
      core.close(ref, {0, session->lease}, now, fx);
    });
  });
  open_session();
}

void LibraryClient::ask_status() {
  const client::Ref ref = expect_any();
  user_->process->with_core([&](client::Core& core, base::Instant now, client::Effects& fx) {
    core.status(ref, now, fx);
  });
}

// As when the program ends well.
void LibraryClient::shut_down() {
  user_->shutting_down = true;
  while (!user_->sessions.empty()) {
    user_->sessions.back()->closed = true;
    end_session(user_->sessions.back());
  }
  user_->process->with_core(
      [&](client::Core& core, base::Instant now, client::Effects& fx) { core.shut_down(now, fx); });
  wait_for_end(user_->process->now());
}

void LibraryClient::wait_for_end(base::Instant since) {
  if (user_->process->shut_down()) {
    if (user_->process->calls() > 0) {
      world_.fail(user_->process->name() + " has shut down without completing all calls");
    }
    end_life(false);
    world_.after(static_cast<int64_t>(random_.below(1'000)) * kMs, [this] { revive(); });
    return;
  }
  user_->process->after(Duration::from_ms(10), [this, since] { wait_for_end(since); });
}

// -- the end --------------------------------------------------------------------------------------

void LibraryClient::drain() {
  draining_ = true;
  if (user_ == nullptr) {
    settled_ = true;
    return;
  }
  user_->draining = true;
  settle();
}

void LibraryClient::settle() {
  if (user_ == nullptr) {
    settled_ = true;
    return;
  }
  const bool idle =
      std::ranges::all_of(threads_, [](const auto& thread) { return thread->idle(); });
  if (idle && opening_ == 0 && user_->process->calls() == 0 && user_->process->under_way() == 0) {
    settled_ = true;
    return;
  }
  world_.after(50 * kMs, [this] { settle(); });
}

std::string LibraryClient::describe() const {
  if (user_ == nullptr) return "client " + std::to_string(host_) + " is nobody";
  std::string text = user_->process->name() + " has " +
                     std::to_string(user_->process->under_way()) + " operations and " +
                     std::to_string(user_->process->calls()) + " calls under way";
  for (const auto& thread : threads_) {
    if (!thread->idle()) text += "; " + thread->describe();
  }
  return text;
}

bool LibraryClient::wants(base::LeaseId lease) const {
  return user_ != nullptr && std::ranges::any_of(user_->sessions, [lease](const auto& session) {
           return session->lease == lease;
         });
}

}  // namespace holdfast::sim
