// A node's inside on a thread of this process, at a unix socket: what the library's tests talk to.
#pragma once

#include <doctest/doctest.h>
#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <future>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "daemon/client_service.h"
#include "daemon/driver.h"
#include "daemon/log.h"
#include "daemon/store.h"
#include "rpc/connection.h"
#include "rpc/listener.h"

namespace holdfast {

class TestNode {
 public:
  TestNode() {
    char path[] = "/tmp/holdfast-library-test-XXXXXX";
    REQUIRE(mkdtemp(path) != nullptr);
    directory_ = path;
    daemon::set_log_level(daemon::LogLevel::kWarn);
    start();
  }
  ~TestNode() {
    if (thread_.joinable()) stop();
    std::filesystem::remove_all(directory_);
  }
  TestNode(const TestNode&) = delete;
  TestNode& operator=(const TestNode&) = delete;

  std::string endpoint() const { return "unix:" + directory_ + "/node.sock"; }

  void start() {
    std::promise<void> ready;
    thread_ = std::thread([this, &ready] { run(ready); });
    ready.get_future().wait();
  }
  // Its connections close; what it knew is on its disk.
  void stop() {
    thaw();
    loop_->post([this] { stopped_->fulfill(); });
    thread_.join();
  }
  // Hears and says nothing, as if stopped, with its connections open.
  void freeze() {
    std::promise<void> frozen;
    loop_->post([this, &frozen] {
      std::unique_lock lock(mutex_);
      frozen_ = true;
      frozen.set_value();
      changed_.wait(lock, [this] { return !frozen_; });
    });
    frozen.get_future().wait();
  }
  void thaw() {
    std::lock_guard lock(mutex_);
    frozen_ = false;
    changed_.notify_all();
  }
  // Asks the node itself, on its thread.
  template <class Ask>
  auto ask(Ask question) {
    std::promise<decltype(question(std::declval<const node::Node&>()))> answer;
    loop_->post([&] { answer.set_value(question(driver_->node())); });
    return answer.get_future().get();
  }

 private:
  static daemon::Config config(const std::string& directory) {
    daemon::Config config;
    config.name = "node-1";
    config.data_dir = directory;
    config.advertise = "127.0.0.1:1";
    config.cluster = {{base::NodeId{1}, {}, config.advertise, true}};
    config.heartbeat = base::Duration::from_ms(5);
    config.election = base::Duration::from_ms(20);
    return config;
  }
  void run(std::promise<void>& ready) {
    rpc::EventLoop loop;
    const daemon::Config own = config(directory_ + "/data");
    daemon::Driver driver(loop, own, daemon::open_store(own));
    daemon::ClientService service(driver, {own.id, own.name, own.advertise, own.cluster});
    rpc::Server server(
        loop.port(),
        [&](std::shared_ptr<rpc::ConnectionHandle> connection) {
          return service.bootstrap(std::move(connection));
        },
        nullptr);
    std::string why;
    auto listener = rpc::Listener::listen(
        loop.port(), *rpc::parse_address(endpoint(), why),
        [&](kj::Own<rpc::BufferedStream> stream, std::string peer) {
          server.serve(kj::mv(stream), std::move(peer));
        },
        nullptr);
    auto stopped = kj::newPromiseAndFulfiller<void>();
    stopped_ = kj::mv(stopped.fulfiller);
    loop_ = &loop;
    driver_ = &driver;
    ready.set_value();
    stopped.promise.wait(loop.wait_scope());
  }

  std::string directory_;
  std::thread thread_;
  // Set before start() returns, good until stop().
  rpc::EventLoop* loop_ = nullptr;
  daemon::Driver* driver_ = nullptr;
  kj::Own<kj::PromiseFulfiller<void>> stopped_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool frozen_ = false;  // under mutex_
};

// A call on a thread of its own. A test that would hang fails instead.
template <class Result>
class Background {
 public:
  template <class Call>
  explicit Background(Call call) : result_(std::async(std::launch::async, std::move(call))) {}
  bool done_within(std::chrono::milliseconds patience) {
    return result_.wait_for(patience) == std::future_status::ready;
  }
  Result get() {
    if (!done_within(std::chrono::seconds(10))) {
      // Its future's destructor would wait for it for ever.
      MESSAGE("a call never came back");
      std::abort();
    }
    return result_.get();
  }

 private:
  std::future<Result> result_;
};

}  // namespace holdfast
