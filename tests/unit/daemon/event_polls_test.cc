// Waiting for events: who is told, and when.
#include "daemon/event_polls.h"

#include <doctest/doctest.h>

#include <functional>

using namespace holdfast;
using daemon::EventPoll;
using daemon::EventPolls;

namespace {

struct Poll final : EventPoll {
  int told = 0;
  std::function<void()> then;
  void on_due() override {
    ++told;
    if (then) then();
  }
};

struct PollsTest {
  locks::LockTable table;
  EventPolls polls;
  base::Instant now{1'000'000'000};
  base::ClientId client;
  base::LeaseId lease;
  uint64_t number = 0;

  PollsTest() {
    client = std::get<locks::ClientRegistered>(*send(locks::RegisterClient{})).client;
    lease =
        std::get<locks::LeaseOpened>(*send(locks::OpenLease{10'000, 0, std::string(16, 's'), {}}))
            .lease;
    look();
  }
  std::optional<locks::Answer> send(locks::Body body) {
    locks::Batch batch{1, 1, {}};
    const bool is_numbered = client.value != 0;
    locks::OpId op{client, is_numbered ? ++number : 0, number, {}};
    batch.commands.push_back({op, std::move(body)});
    locks::Applied applied;
    table.apply(table.meta().applied.next(), &batch, applied);
    return applied.replies.empty() ? std::nullopt : std::optional(applied.replies[0].answer);
  }
  void acquire(const std::string& name) {
    send(locks::Acquire{lease, {number + 1}, {}, {{name, base::Mode::kShared}}});
  }
  bool look() { return polls.look(table, now); }
  base::Instant later() const { return now + base::Duration::from_ms(1000); }
};

}  // namespace

TEST_CASE_FIXTURE(PollsTest, "polls: only those whose name it is are told, and once") {
  Poll exact, prefix, all, other, shorter;
  polls.wait(exact, "jobs/a", true, later());
  polls.wait(prefix, "jobs/", false, later());
  polls.wait(all, "", false, later());
  polls.wait(other, "jobs/b", false, later());
  polls.wait(shorter, "jobs", true, later());
  CHECK_FALSE(look());
  acquire("jobs/a");
  CHECK(look());
  CHECK(exact.told == 1);
  CHECK(prefix.told == 1);
  CHECK(all.told == 1);
  CHECK(other.told == 0);
  CHECK(shorter.told == 0);
  acquire("jobs/a");
  CHECK_FALSE(look());
  CHECK(exact.told == 1);
  CHECK(polls.size() == 2);
}

TEST_CASE_FIXTURE(PollsTest, "polls: what came before the wait is not waited for") {
  acquire("x");
  look();
  Poll poll;
  polls.wait(poll, "x", true, later());
  CHECK_FALSE(look());
  acquire("x");
  CHECK(look());
}

TEST_CASE_FIXTURE(PollsTest, "polls: at the end of its time one is told without an event") {
  Poll poll;
  polls.wait(poll, "x", true, later());
  now = later() + base::Duration::from_ms(-1);
  CHECK_FALSE(look());
  now = later();
  CHECK(look());
  CHECK(poll.told == 1);
  CHECK(polls.size() == 0);
}

TEST_CASE_FIXTURE(PollsTest,
                  "polls: one that is forgotten is not told, also not by another's end") {
  Poll first, second, third;
  for (Poll* poll : {&first, &second, &third}) polls.wait(*poll, "x", true, later());
  polls.forget(third);
  // Whichever is told first takes the other one along.
  first.then = [&] { polls.forget(second); };
  second.then = [&] { polls.forget(first); };
  acquire("x");
  look();
  CHECK(first.told + second.told == 1);
  CHECK(third.told == 0);
}

TEST_CASE_FIXTURE(PollsTest, "polls: one that is told may wait again at once") {
  Poll poll;
  poll.then = [&] { polls.wait(poll, "x", true, later()); };
  polls.wait(poll, "x", true, later());
  acquire("x");
  CHECK(look());
  CHECK_FALSE(look());
  acquire("x");
  CHECK(look());
  CHECK(poll.told == 2);
}

TEST_CASE_FIXTURE(PollsTest, "polls: events that went by outside of memory wake everybody") {
  Poll poll;
  polls.wait(poll, "x", true, later());
  acquire("y");
  locks::LockTable snapshot;
  REQUIRE_FALSE(snapshot.restore(table.rows()).has_value());
  table = std::move(snapshot);
  CHECK(look());
  CHECK(poll.told == 1);
}
