// UvEventPort: turns, timers, work from other threads.
#include <doctest/doctest.h>

#include <thread>
#include <vector>

#include "rpc/uv_event_port.h"
#include "tests/unit/rpc/rpc_fixture.h"

namespace holdfast::rpc {

// Everything that waits for time stands on this: never early, never much too late.
TEST_CASE("event port: timers fire in order and not before their time") {
  EventLoop loop;
  const auto start = boottime_now();
  std::vector<int> fired;
  auto late = loop.timer()
                  .afterDelay(30 * kj::MILLISECONDS)
                  .then([&]() { fired.push_back(2); })
                  .eagerlyEvaluate(nullptr);
  auto early = loop.timer()
                   .afterDelay(10 * kj::MILLISECONDS)
                   .then([&]() { fired.push_back(1); })
                   .eagerlyEvaluate(nullptr);
  late.wait(loop.wait_scope());
  CHECK(fired == std::vector<int>{1, 2});
  CHECK((boottime_now() - start).ns >= 30'000'000);
}

// A deadline that is set while the loop already waits for a later one must not wait for it.
TEST_CASE("event port: a nearer timer set later is not held up by a farther one") {
  EventLoop loop;
  auto far = loop.timer().afterDelay(1 * kj::HOURS).eagerlyEvaluate(nullptr);
  loop.timer().afterDelay(1 * kj::MILLISECONDS).wait(loop.wait_scope());
  loop.timer().afterDelay(1 * kj::MILLISECONDS).wait(loop.wait_scope());
}

// The database threads and the client's API threads reach the loop only through this.
TEST_CASE(
    "event port: work posted by threads runs on the loop, all of it, each thread's in order") {
  constexpr int kThreads = 4;
  constexpr int kPosts = 5'000;
  EventLoop loop;
  const auto loop_thread = std::this_thread::get_id();
  std::vector<int> next(kThreads, 0);
  int ran = 0;
  bool in_order = true;
  bool on_loop = true;
  auto paf = kj::newPromiseAndFulfiller<void>();
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t]() {
      for (int i = 0; i < kPosts; ++i) {
        loop.post([&, t, i]() {
          in_order = in_order && next[t] == i;
          next[t] = i + 1;
          on_loop = on_loop && std::this_thread::get_id() == loop_thread;
          if (++ran == kThreads * kPosts) paf.fulfiller->fulfill();
        });
      }
    });
  }
  loop.timer().timeoutAfter(10 * kj::SECONDS, kj::mv(paf.promise)).wait(loop.wait_scope());
  for (auto& thread : threads) thread.join();
  CHECK(ran == kThreads * kPosts);
  CHECK(in_order);
  CHECK(on_loop);
}

// A daemon that is busy must not wait for its processor to wake up; one that is idle must sleep.
TEST_CASE("event port: busy polling finds what comes, and ends when nothing does") {
  EventLoop loop;
  loop.port().set_busy_poll(base::Duration::from_ms(10));
  const auto wait_ms = [&](int64_t ms) {
    loop.timer().afterDelay(ms * kj::MILLISECONDS).wait(loop.wait_scope());
  };
  const auto processor_time = [] {
    timespec used{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return base::Instant{int64_t{used.tv_sec} * 1'000'000'000 + used.tv_nsec};
  };
  for (int i = 0; i < 20; ++i) wait_ms(1);  // short waits: from here on it polls
  std::thread other;
  bool posted = false;
  other = std::thread([&] { loop.post([&] { posted = true; }); });
  CHECK(run_until(loop, [&] { return posted; }));
  other.join();

  const auto before = processor_time();
  for (int i = 0; i < 3; ++i) wait_ms(150);
  CHECK(processor_time() - before <
        base::Duration::from_ms(60));  // of 450: it polled in the first wait at most
}

// What posted work throws is the process's business, not libuv's; and it takes nothing with it.
TEST_CASE(
    "event port: an exception of posted work comes out of the wait, and the rest still runs") {
  EventLoop loop;
  bool second = false;
  loop.post([]() { KJ_FAIL_REQUIRE("the disk is gone"); });
  loop.post([&]() { second = true; });
  kj::Promise<void> never = kj::NEVER_DONE;
  CHECK_THROWS_AS(never.wait(loop.wait_scope()), kj::Exception);
  CHECK(run_until(loop, [&]() { return second; }));
}

// The driver feeds the node and queues replies in this hook: blocking before KJ has sent them
// would cost a whole wait.
TEST_CASE(
    "event port: the turn-end hook runs before blocking, and again after what it queued ran") {
  EventLoop loop;
  auto paf = kj::newPromiseAndFulfiller<void>();
  int calls = 0;
  bool continued = false;
  loop.set_turn_end([&]() {
    ++calls;
    if (calls == 2) CHECK(continued);
    if (calls > 1) return false;
    paf.fulfiller->fulfill();
    return true;
  });
  auto chain = paf.promise.then([&]() { continued = true; }).eagerlyEvaluate(nullptr);
  loop.timer().afterDelay(1 * kj::MILLISECONDS).wait(loop.wait_scope());
  CHECK(continued);
  CHECK(calls >= 2);
}

// A hook that answers "nothing to do" although it fulfilled something must not put the loop to
// sleep over it.
TEST_CASE("event port: events that the hook queued without saying so are run before blocking") {
  EventLoop loop;
  auto paf = kj::newPromiseAndFulfiller<void>();
  bool done = false;
  loop.set_turn_end([&]() {
    if (!done) paf.fulfiller->fulfill();
    done = true;
    return false;
  });
  paf.promise.wait(loop.wait_scope());
  CHECK(done);
}

// A stream that is destroyed by what another one's flush brought about must not be flushed.
TEST_CASE("event port: an observer that goes during the turn's end is not called any more") {
  struct Observer final : TurnObserver {
    Observer(UvEventPort& port, std::function<void()> act_in)
        : TurnObserver(port), act(std::move(act_in)) {}
    using TurnObserver::enrol;
    void on_turn_end() override { act(); }
    std::function<void()> act;
  };
  EventLoop loop;
  int called = 0;
  auto later = kj::heap<Observer>(loop.port(), [&] { ++called; });
  Observer again(loop.port(), [&] {
    later = nullptr;
    if (++called < 3) again.enrol();
  });
  again.enrol();
  later->enrol();
  {
    Observer gone(loop.port(), [&] { ++called; });
    gone.enrol();
  }
  CHECK(run_until(loop, [&] { return called == 3; }));
  CHECK(later.get() == nullptr);
}

// The client's callers post as fast as they can; renewals are due all the same.
TEST_CASE("event port: work that posts work without end doesn't hold up timers or sockets") {
  EventLoop loop;
  bool done = false;
  std::function<void()> work = [&] {
    if (!done) loop.post(work);
  };
  loop.post(work);
  auto [stream, fd] = make_stream_and_fd(loop);
  REQUIRE(::write(fd.get(), "x", 1) == 1);
  char byte = 0;
  stream->tryRead(&byte, 1, 1).wait(loop.wait_scope());
  CHECK(byte == 'x');
  loop.timer().afterDelay(1 * kj::MILLISECONDS).wait(loop.wait_scope());
  done = true;
}

// KJ's own cross-thread calls go through wake().
TEST_CASE("event port: KJ's executor reaches the loop from another thread") {
  EventLoop loop;
  const auto& executor = kj::getCurrentThreadExecutor();
  int value = 0;
  auto paf = kj::newPromiseAndFulfiller<void>();
  std::thread other([&]() {
    executor.executeSync([&]() {
      value = 7;
      paf.fulfiller->fulfill();
    });
  });
  paf.promise.wait(loop.wait_scope());
  other.join();
  CHECK(value == 7);
}

}  // namespace holdfast::rpc
