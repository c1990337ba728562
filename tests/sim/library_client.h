// A program that uses the library, through its lives: opens sessions, has threads that lock, does
// its chores, stands still, dies and comes back as somebody else.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/sim/connections.h"
#include "tests/sim/library_locks.h"

namespace holdfast::sim {

class LibraryClient {
 public:
  LibraryClient(World& world, Connections& connections, BeliefChecker& beliefs, HoldChecker& holds,
                ReadChecker& reads, FenceChecker& fence, const Options& options, uint32_t host);
  void start();
  // No new work; what is under way is finished, sessions stay open.
  void drain();
  // After a drain: every thread has finished, and the library has nothing under way any more.
  bool idle() const { return settled_; }
  std::string describe() const;
  bool wants(base::LeaseId lease) const;

  // -- what befalls it ----------------------------------------------------------------------------
  bool stands_still() const { return still_ > 0; }
  void stand_still();
  void go_on();  // one reason less
  void set_clock_factor(double factor);
  // Its machine may be gone as well, without a word. It comes back as somebody else.
  void kill(bool vanish);
  void revive();

  uint64_t operations() const { return operations_ + (user_ ? user_->operations : 0); }
  uint64_t grants() const { return grants_ + (user_ ? user_->grants : 0); }

 private:
  void become_somebody();
  void end_life(bool vanish);
  void look_for_chores();
  void open_session();
  void on_opened(client::Outcome&& outcome);
  void on_session(const std::shared_ptr<UserSession>& session, const client::SessionEvent& event);
  void end_session(const std::shared_ptr<UserSession>& session);
  std::shared_ptr<UserSession> some_session();

  void chore();
  void renew();
  void close_session();
  void detach_session();
  void ask_status();
  void shut_down();
  void wait_for_end(base::Instant since);
  void settle();
  // An outcome that nobody looks at, within the request timeout.
  client::Ref expect_any();

  World& world_;
  Connections& connections_;
  BeliefChecker& beliefs_;
  HoldChecker& holds_;
  ReadChecker& reads_;
  FenceChecker& fence_;
  const Options& options_;
  const uint32_t host_;
  base::Random random_;
  SkewedClock clock_;
  int still_ = 0;              // for so many reasons
  bool starts_later_ = false;  // when it no longer stands still

  std::shared_ptr<LibraryUser> user_;  // of this life; null: between two
  std::vector<std::shared_ptr<LibraryThread>> threads_;
  uint32_t opening_ = 0;
  bool draining_ = false;
  bool settled_ = false;
  uint64_t operations_ = 0;  // of earlier lives
  uint64_t grants_ = 0;
};

}  // namespace holdfast::sim
