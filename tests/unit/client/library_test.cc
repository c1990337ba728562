// The library as programs use it, over a real node: threads, callbacks, handles that go in any
// order, forks, and time that runs out without a network.
#include <doctest/doctest.h>
#include <holdfast/holdfast.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "tests/unit/client/test_node.h"

namespace holdfast {

namespace {

using namespace std::chrono_literals;

Cell connect(const TestNode& node) {
  return Cell::connect({.endpoints = {node.endpoint()}});
}

// The code with which `call` fails; nullopt: it doesn't.
template <class Call>
std::optional<Code> failure(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  return std::nullopt;
}

template <class Condition>
bool until(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

size_t waiters(TestNode& node) {
  return node.ask([](const node::Node& it) { return it.table().counts().waiters; });
}

}  // namespace

TEST_CASE("library: locks exclude, tokens grow, and what goes out of scope is given back") {
  // Why: this is what it is for.
  TestNode node;
  Cell cell = connect(node);
  Session session = cell.open_session();
  Session other = cell.open_session();
  uint64_t first = 0;
  {
    auto grant = session.lock("a").acquire(5s);
    REQUIRE(grant.has_value());
    first = grant->token();
    CHECK(grant->held());
    CHECK(grant->remaining() > 9s);
    CHECK(grant->deadline() == session.deadline());
    Lock lock = other.lock("a");
    CHECK(lock.locked());
    CHECK_FALSE(lock.held());
    CHECK_FALSE(lock.try_acquire().has_value());
    CHECK_FALSE(lock.acquire(20ms).has_value());
    CHECK(waiters(node) == 0);
  }
  auto grant = other.lock("a").acquire(5s);
  REQUIRE(grant.has_value());
  CHECK(grant->token() > first);
  grant->release();
  CHECK_FALSE(grant->held());
  CHECK(failure([&] { grant->release(); }) == Code::not_held);
}

TEST_CASE("library: a shared object admits its threads one at a time, each by its own turn") {
  // Why: INTERFACES 5: ownership is the grant's; the thread that holds is told at once.
  TestNode node;
  Cell cell = connect(node);
  Lock lock = cell.open_session().lock("a");
  auto grant = lock.acquire(5s);
  REQUIRE(grant.has_value());
  CHECK(lock.held());
  CHECK(failure([&] { lock.acquire(5s); }) == Code::already_held);
  Background<bool> other([&] { return lock.acquire(5s).has_value(); });
  CHECK_FALSE(other.done_within(50ms));
  grant->release_async(nullptr);
  CHECK_FALSE(grant->held());
  CHECK(other.get());
  CHECK(until([&] { return !lock.held(); }));
}

TEST_CASE("library: who waits behind another thread of the process hears of the session's end") {
  // Why: such a wait is not known to the cell, and nobody else would end it.
  TestNode node;
  Cell cell = connect(node);
  std::atomic<int> lost{0};
  Session session = cell.open_session({.ttl = 500ms, .on_lost = [&](const Error&) { ++lost; }});
  Lock lock = session.lock("a");
  auto grant = lock.acquire(5s);
  REQUIRE(grant.has_value());
  Background<std::optional<Code>> waiting([&] { return failure([&] { lock.acquire(); }); });
  CHECK_FALSE(waiting.done_within(50ms));
  std::optional<Code> expected = Code::lease_lost;
  SUBCASE("lost") {
    node.freeze();
  }
  SUBCASE("closed") {
    session.close();
  }
  SUBCASE("detached") {
    session.detach();
  }
  SUBCASE("the cell closed") {
    cell.close();
  }
  CHECK(waiting.get() == expected);
  CHECK_FALSE(grant->held());
  CHECK_FALSE(lock.held());
  node.thaw();
}

TEST_CASE("library: whoever hears of the session's end in a callback may go on at once") {
  // Why: a callback that reconnects is the most natural one.
  TestNode node;
  Cell cell = connect(node);
  Session session = cell.open_session();
  Lock lock = session.lock("a");
  auto grant = lock.acquire(5s);
  std::promise<bool> opened;
  lock.acquire_async(std::nullopt, [&](std::optional<Grant>, const Error* error) {
    REQUIRE(error != nullptr);
    cell.open_session_async(
        {}, [&](std::optional<Session> next, const Error*) { opened.set_value(next.has_value()); });
  });
  SUBCASE("closed") {
    session.close();
  }
  SUBCASE("detached") {
    session.detach();
  }
  CHECK(opened.get_future().get());
}

TEST_CASE("library: with no network the loss is told at the deadline, not before, not long after") {
  // Why: DESIGN 2.4. From then on the lock may be another's.
  TestNode node;
  Cell cell = connect(node);
  std::atomic<int64_t> lost_at{0};
  std::atomic<bool> jeopardy{false};
  std::atomic<bool> grant_lost{false};
  Session session = cell.open_session(
      {.ttl = 500ms,
       .on_jeopardy = [&](nanoseconds left) { jeopardy = left > 0ns && left < 200ms; },
       .on_lost = [&](const Error&) { lost_at = Deadline::now().boottime.count(); }});
  auto grant = session.lock("a").acquire(5s);
  REQUIRE(grant.has_value());
  grant->on_lost([&](const Error&) { grant_lost = true; });
  node.freeze();
  REQUIRE(until([&] { return lost_at != 0; }));
  const int64_t late = lost_at - session.deadline().boottime.count();
  CHECK(late >= 0);
  CHECK(late < 100'000'000);
  CHECK(jeopardy);
  CHECK(until([&] { return grant_lost.load(); }));
  CHECK_FALSE(session.alive());
  CHECK_FALSE(grant->held());
  CHECK(grant->remaining() == 0ns);
  CHECK(failure([&] { grant->release(); }) == Code::lock_lost);
  CHECK(failure([&] { session.renew(); }) == Code::lease_lost);
  CHECK(failure([&] { session.lock("a").acquire(1s); }) == Code::lease_lost);
  session.close();
  node.thaw();
}

TEST_CASE("library: a session outlives its node's restart, and its grants with it") {
  // Why: leases and holds are on disk; a client that renews loses nothing.
  TestNode node;
  Cell cell = connect(node);
  std::atomic<bool> lost{false};
  Session session = cell.open_session({.ttl = 3s, .on_lost = [&](const Error&) { lost = true; }});
  auto grant = session.lock("a").acquire(5s);
  REQUIRE(grant.has_value());
  auto waiting = session.lock("a").acquire_async(std::nullopt);
  REQUIRE(until([&] { return waiters(node) == 1; }));
  node.stop();
  node.start();
  session.renew();
  CHECK(grant->held());
  grant->release();
  CHECK(waiting.get().has_value());
  CHECK_FALSE(lost);
}

TEST_CASE("library: cancelling ends a wait with `cancelled`, here and at the cell") {
  // Why: a wait that stays in the queue is granted to nobody later.
  TestNode node;
  Cell cell = connect(node);
  Session session = cell.open_session();
  auto holder = session.lock("a").acquire(5s);
  Lock lock = session.lock("a");
  Background<std::optional<Code>> at_cell([&] { return failure([&] { lock.acquire(); }); });
  REQUIRE(until([&] { return waiters(node) == 1; }));
  Background<std::optional<Code>> behind([&] { return failure([&] { lock.acquire(); }); });
  CHECK_FALSE(behind.done_within(20ms));
  lock.cancel();
  CHECK(at_cell.get() == Code::cancelled);
  CHECK(behind.get() == Code::cancelled);
  CHECK(waiters(node) == 0);

  std::promise<std::optional<Code>> told;
  PendingAcquire pending =
      lock.acquire_async(std::nullopt, [&](std::optional<Grant>, const Error* error) {
        told.set_value(error != nullptr ? std::optional(error->code()) : std::nullopt);
      });
  REQUIRE(until([&] { return waiters(node) == 1; }));
  pending.cancel();
  CHECK(told.get_future().get() == Code::cancelled);
  pending.cancel();  // over: does nothing
  holder->release();
  CHECK(lock.acquire(5s).has_value());  // not sticky
}

TEST_CASE("library: arguments that make no sense are told as such") {
  // Why: nothing is silently changed.
  TestNode node;
  Cell cell = connect(node);
  Session session = cell.open_session();
  CHECK(failure([&] { session.lock("a").acquire(-1ns); }) == Code::invalid_argument);
  CHECK(failure([&] { session.lock("a//b").acquire(1s); }) == Code::invalid_argument);
  CHECK(failure([&] { cell.open_session({.ttl = 1ms}); }) == Code::invalid_argument);
  CHECK(failure([&] { cell.open_session({.ttl = -1ms}); }) == Code::invalid_argument);
  CHECK(failure([&] { cell.lease("no hex"); }) == Code::invalid_argument);
  CHECK(failure([&] { cell.lease("ffff"); }) == Code::lease_not_found);
  CHECK(failure([&] { Cell::connect({.endpoints = {"nonsense"}}); }) == Code::invalid_argument);
  CHECK(failure([&] { Cell::connect({.endpoints = {"a:1"}, .request_timeout = 0ms}); }) ==
        Code::invalid_argument);
  // As long as there is time at all, one may wait that long.
  auto grant = session.lock("a").acquire(nanoseconds::max());
  CHECK(grant.has_value());
  OpenedLease lease = cell.open_lease(5s);
  auto raw = cell.acquire(lease.id, "b", {}, milliseconds::max());
  REQUIRE(raw.has_value());
  CHECK(raw->deadline == lease.deadline);
  CHECK(cell.renew_lease(lease.id) > lease.deadline);
  cell.release(lease.id, "b", raw->token);
  cell.close_lease(lease.id);
  CHECK(failure([&] { cell.renew_lease(lease.id); }) == Code::lease_not_found);
}

TEST_CASE("library: a call that waits is refused in a callback, an async one is not") {
  // Why: the callback's thread is the one that would have to answer.
  TestNode node;
  Cell cell = connect(node);
  Session session = cell.open_session();
  Lock lock = session.lock("a");
  std::promise<std::optional<Code>> sync;
  std::promise<bool> async;
  session.renew_async([&](const Error*) {
    sync.set_value(failure([&] { lock.acquire(1s); }));
    CHECK(failure([&] { session.renew(); }) == Code::invalid_argument);
    CHECK(failure([&] { session.close(); }) == Code::invalid_argument);
    CHECK(failure([&] { cell.status(); }) == Code::invalid_argument);
    lock.acquire_async(
        5s, [&](std::optional<Grant> grant, const Error*) { async.set_value(grant.has_value()); });
  });
  CHECK(sync.get_future().get() == Code::invalid_argument);
  CHECK(async.get_future().get());
  CHECK(session.alive());
}

TEST_CASE("library: handles may go in any order, also in callbacks, also while something waits") {
  // Why: destructors run where the program's objects happen to die.
  TestNode node;
  SUBCASE("cell, session, lock, grant") {
    auto cell = std::make_unique<Cell>(connect(node));
    auto session = std::make_unique<Session>(cell->open_session());
    auto lock = std::make_unique<Lock>(session->lock("a"));
    auto grant = lock->acquire(5s);
    REQUIRE(grant.has_value());
    cell = nullptr;
    session = nullptr;
    lock = nullptr;
    CHECK(grant->held());
    grant.reset();
  }
  SUBCASE("all in on_lost") {
    struct All {
      std::optional<Cell> cell;
      std::optional<Session> session;
      std::optional<Grant> grant;
    };
    auto all = std::make_shared<All>();
    auto gone = std::make_shared<std::promise<void>>();
    all->cell = connect(node);
    all->session = all->cell->open_session({.ttl = 500ms, .on_lost = [all, gone](const Error&) {
                                              all->grant.reset();
                                              all->session.reset();
                                              all->cell.reset();
                                              gone->set_value();
                                            }});
    all->grant = all->session->lock("a").acquire(5s);
    node.freeze();
    auto future = gone->get_future();
    all.reset();
    CHECK(future.wait_for(10s) == std::future_status::ready);
    node.thaw();
  }
  SUBCASE("all in the callback of an acquire") {
    auto done = std::make_shared<std::promise<bool>>();
    auto cell = std::make_shared<std::optional<Cell>>(connect(node));
    auto session = std::make_shared<std::optional<Session>>((*cell)->open_session());
    (*session)->lock("a").acquire_async(5s, [=](std::optional<Grant> grant, const Error*) {
      bool granted = grant.has_value();
      grant.reset();
      session->reset();
      cell->reset();
      done->set_value(granted);
    });
    CHECK(done->get_future().get());
  }
  SUBCASE("while an acquire waits at the cell and another behind it") {
    Cell cell = connect(node);
    auto holder = cell.open_session().lock("a").acquire(5s);
    std::atomic<int> ended{0};
    {
      Lock lock = cell.open_session().lock("a");
      for (int i = 0; i < 2; ++i) {
        lock.acquire_async(std::nullopt, [&](std::optional<Grant>, const Error*) { ++ended; });
      }
    }
    CHECK(until([&] { return waiters(node) == 1; }));  // they go on
    cell.close();
    CHECK(ended == 2);
  }
  // All of it was given back.
  Cell cell = connect(node);
  CHECK(cell.open_session().lock("a").acquire(5s).has_value());
}

TEST_CASE("library: closing a cell ends every call under way, from whatever thread it comes") {
  // Why: a call that never comes back is the worst of all answers.
  TestNode node;
  for (int round = 0; round < 20; ++round) {
    Cell cell = connect(node);
    Session session = cell.open_session();
    std::vector<std::unique_ptr<Background<int>>> callers;
    std::atomic<bool> ready{false};
    for (int i = 0; i < 4; ++i) {
      callers.push_back(std::make_unique<Background<int>>([&ready, cell, session]() mutable {
        int calls = 0;
        for (; !failure([&] { session.renew(); }); ++calls) ready = true;
        failure([&] { session.lock("a").acquire(); });
        failure([&] { cell.status(); });
        failure([&] { session.close(); });
        return calls;
      }));
    }
    REQUIRE(until([&] { return ready.load(); }));
    if (round % 2 == 0) {
      // From the cell's own thread, and twice at once.
      session.renew_async([cell](const Error*) mutable { cell.close(); });
      cell.close();
    } else {
      Background<bool> second([cell]() mutable {
        cell.close();
        return true;
      });
      cell.close();
      CHECK(second.get());
    }
    for (auto& caller : callers) CHECK(caller->get() >= 0);
    CHECK_FALSE(session.alive());
    session.close();  // was closed with the cell
    CHECK(failure([&] { session.renew(); }).has_value());
    CHECK(failure([&] { cell.open_session(); }) == Code::cancelled);
  }
}

TEST_CASE("library: a grant's loss is told to its owner, and to nobody after a release") {
  // Why: on_lost ends work; a false one ends the wrong work.
  TestNode node;
  Cell cell = connect(node);
  Session session = cell.open_session({.ttl = 500ms});
  std::atomic<int> kept_told{0};
  std::atomic<int> released_told{0};
  auto kept = session.lock("kept").acquire(5s);
  auto released = session.lock("released").acquire(5s);
  REQUIRE(kept.has_value());
  REQUIRE(released.has_value());
  kept->on_lost([&](const Error& why) { kept_told += why.code() == Code::lease_lost; });
  released->on_lost([&](const Error&) { ++released_told; });
  released->release();
  node.freeze();
  CHECK(until([&] { return kept_told == 1; }));
  std::promise<Code> late;  // who asks after it hears at once
  kept->on_lost([&](const Error& why) { late.set_value(why.code()); });
  CHECK(late.get_future().get() == Code::lock_lost);
  CHECK(released_told == 0);
  node.thaw();
}

TEST_CASE("library: a forked child holds nothing, is told so, and exits in peace") {
  // Why: two processes with one client identity would answer for each other's numbers.
  TestNode node;
  Cell cell = connect(node);
  Session session = cell.open_session();
  Lock lock = session.lock("a");
  auto grant = lock.acquire(5s);
  REQUIRE(grant.has_value());
  const pid_t child = fork();
  if (child == 0) {
    bool right = !grant->held() && !lock.held() && !session.alive() && grant->remaining() == 0ns;
    right = right && failure([&] { lock.acquire(1s); }) == Code::forked;
    right = right && failure([&] { grant->release(); }) == Code::forked;
    right = right && failure([&] { grant->release_async(nullptr); }) == Code::forked;
    right = right && failure([&] { session.renew(); }) == Code::forked;
    right = right && failure([&] { session.close(); }) == Code::forked;
    right = right && failure([&] { cell.status(); }) == Code::forked;
    right = right && failure([&] { cell.renew_lease("1"); }) == Code::forked;
    right = right && failure([&] { cell.close(); }) == Code::forked;
    grant.reset();
    { auto dropped = std::make_unique<Session>(std::move(session)); }
    _exit(right ? 0 : 1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(grant->held());
  grant->release();
}

TEST_CASE("library: without descriptors for its thread a call fails, and a later one works") {
  // Why: a library must not end the program that uses it.
  TestNode node;
  Cell cell = connect(node);
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  // The lowest free one, so that not a single one is left.
  const int free = dup(0);
  REQUIRE(free >= 0);
  close(free);
  const rlimit none{static_cast<rlim_t>(free), before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
  const std::optional<Code> failed = failure([&] { cell.open_session(); });
  REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(failed == Code::resource_exhausted);
  CHECK(cell.open_session().alive());
}

}  // namespace holdfast
