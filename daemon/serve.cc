#include "daemon/serve.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>

#include <fmt/format.h>

#include "daemon/client_admin.h"
#include "daemon/client_service.h"
#include "daemon/driver.h"
#include "daemon/exit_codes.h"
#include "daemon/force_new_cell.h"
#include "daemon/log.h"
#include "daemon/sd_notify.h"
#include "daemon/signals.h"
#include "daemon/sockets.h"
#include "daemon/store.h"
#include "rpc/connection.h"
#include "rpc/listener.h"

namespace holdfast::daemon {
namespace {

// A disk that doesn't come back must not keep a stopped daemon alive.
constexpr unsigned kStopWithinS = 20;
constexpr auto kRepeatNotices = base::Duration::from_ms(10'000);

// Descriptors that are not clients': files, links to peers, the loop's own.
constexpr size_t kOwnDescriptors = 64;

// One descriptor per connection: the soft limit, often 1024, is for programs that use select().
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) log_warn("can't raise the limit of open files");
}

// Clients must not use up the descriptors: without one this node can't dial its peers.
rpc::ServerLimits server_limits() {
  rpc::ServerLimits limits;
  rlimit descriptors{};
  if (getrlimit(RLIMIT_NOFILE, &descriptors) != 0) return limits;
  const size_t others = kOwnDescriptors + limits.places_for_peers;
  const size_t left = std::max<size_t>(descriptors.rlim_cur, others + 1) - others;
  if (left >= limits.max_connections) return limits;
  log_info("fewer connections than usual, because of the limit of open files",
           {{"connections", std::to_string(left)}});
  limits.max_connections = left;
  return limits;
}

std::vector<kj::Own<rpc::Listener>> listen(rpc::EventLoop& loop, const Config& config,
                                           rpc::Server& server, Throttle& throttle) {
  std::vector<kj::Own<rpc::Listener>> listeners;
  for (const rpc::Address& address : config.listen) {
    bool is_unix = address.kind == rpc::Address::Kind::kUnix;
    if (is_unix) make_socket_directory(address.host);
    auto on_accept = [&server](kj::Own<rpc::BufferedStream> stream, std::string peer) {
      server.serve(kj::mv(stream), std::move(peer));
    };
    try {
      listeners.push_back(
          rpc::Listener::listen(loop.port(), address, on_accept, log_notices(throttle)));
    } catch (const kj::Exception& exception) {
      throw ListenError(exception.getDescription().cStr());
    }
    if (is_unix) open_socket_to_group(address.host);
    log_info("listening", {{"address", address.text()}});
  }
  return listeners;
}

enum class Ended { kStopped, kToMend };

Ended serve_until_ended(rpc::EventLoop& loop, const Config& config, OpenedStore store,
                        const std::function<Invocation()>& reread, Verification& verification) {
  auto ended = kj::newPromiseAndFulfiller<Ended>();
  Signals signals(
      loop.uv(), [&] { ended.fulfiller->fulfill(Ended::kStopped); },
      [&] {
        Invocation again = reread();
        if (again.action == Invocation::Action::kFail) {
          log_error("the configuration can't be reread", {{"reason", again.text}});
          return;
        }
        set_log_level(LogLevel::kInfo);  // whatever it was and will be, this is told
        log_info("reread the configuration: the log level is now in effect");
        set_log_level(again.config.log_level);
      });
  loop.port().set_busy_poll(config.busy_poll);
  Throttle throttle(kRepeatNotices);
  // Destroyed in the opposite order: nobody is let in any more, connections and links are closed,
  // so that followers elect at once, and then the writers finish what was handed to them.
  Driver driver(loop, config, std::move(store), verification);
  driver.set_on_mendable([&] { ended.fulfiller->fulfill(Ended::kToMend); });
  ClientService service(driver, Identity{config.id, config.name, config.advertise, config.cluster});
  rpc::Server server(
      loop.port(),
      [&](std::shared_ptr<rpc::ConnectionHandle> connection) {
        return service.bootstrap(std::move(connection));
      },
      log_notices(throttle), server_limits());
  auto listeners = listen(loop, config, server, throttle);
  notify_service_manager("READY=1");
  const Ended how = ended.promise.wait(loop.wait_scope());

  if (how == Ended::kStopped) {
    log_info("stopping");
    notify_service_manager("STOPPING=1");
  } else {
    log_warn("opens its data directory anew, to mend the record");
  }
  std::signal(SIGALRM, [](int) { _exit(kExitIo); });
  alarm(kStopWithinS);
  hand_over(driver).wait(loop.wait_scope());
  verification = driver.verification();
  return how;
}

// A damaged record is mended by a start (store.h), which needs no new process.
void serve_until_stopped(const Config& config, const std::function<Invocation()>& reread) {
  Config again = config;
  again.force_new_cell = false;
  Verification verification;
  for (;;) {
    rpc::EventLoop loop;
    if (serve_until_ended(loop, again, open_store(again), reread, verification) == Ended::kStopped)
      return;
    alarm(0);
    // As that start looks at all of both databases.
    ++verification.finished;
    verification.damage.clear();
  }
}

}  // namespace

int serve(const Config& config, const std::function<Invocation()>& reread) {
  start_logging(config.log_level, config.log_format);
  LibraryLog library_log;
  umask(0077);  // the directory holds the secrets of leases
  log_info("starting", {{"version", HOLDFAST_VERSION},
                        {"pid", std::to_string(getpid())},
                        {"id", std::to_string(config.id.value)},
                        {"name", config.name},
                        {"data_dir", config.data_dir}});
  raise_descriptor_limit();
  try {
    if (config.force_new_cell) force_new_cell(config, open_store(config));
    serve_until_stopped(config, reread);
    log_info("stopped");
    return kExitDone;
  } catch (const store::StoreError& error) {
    log_error("the data directory can't be used",
              {{"data_dir", config.data_dir}, {"reason", error.what()}});
    return exit_code(error.kind);
  } catch (const ListenError& error) {
    log_error("can't listen", {{"reason", error.what()}});
    return kExitIo;
  } catch (const kj::Exception& exception) {
    log_error("ended by a bug", {{"reason", kj::str(exception).cStr()}});
    return kExitBug;
  }
}

}  // namespace holdfast::daemon
