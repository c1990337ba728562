#include "daemon/joiner.h"

#include <kj/async.h>
#include <kj/debug.h>

#include <optional>
#include <utility>

#include "daemon/log.h"
#include "rpc/connection.h"
#include "rpc/convert.h"
#include "rpc/dial.h"
#include "rpc/peer_convert.h"

namespace holdfast::daemon {
namespace {

constexpr auto kAttempt = 3000 * kj::MILLISECONDS;
constexpr auto kPause = 300 * kj::MILLISECONDS;

}  // namespace

struct Joiner::State {
  State(rpc::UvEventPort& port_in, Self self_in, std::vector<rpc::Address> cell_in,
        std::function<void(const base::Config&)> joined_in)
      : port(port_in),
        self(std::move(self_in)),
        cell(std::move(cell_in)),
        joined(std::move(joined_in)) {}

  kj::Promise<void> run();
  kj::Promise<void> ask(rpc::Address address);
  void on_answer(wire::Cell::ChangeMemberResults::Reader results);
  void trouble(const std::string& text);

  rpc::UvEventPort& port;
  const Self self;
  const std::vector<rpc::Address> cell;
  const std::function<void(const base::Config&)> joined;
  size_t next = 0;                     // of `cell`
  std::optional<rpc::Address> leader;  // as somebody named it
  bool done = false;
  std::string last_trouble;
  kj::Promise<void> running = nullptr;  // last: uses all of the above
};

// One after the other, and whoever is named as leader in between.
kj::Promise<void> Joiner::State::run() {
  const bool named = leader.has_value();
  rpc::Address address = named ? *std::exchange(leader, std::nullopt) : cell[next++ % cell.size()];
  return port.timer()
      .timeoutAfter(kAttempt, ask(address))
      .catch_([this, address](kj::Exception&& error) {
        trouble(address.text() + ": " + std::string(error.getDescription().cStr()));
      })
      .then([this, named]() -> kj::Promise<void> {
        if (done) return kj::READY_NOW;
        if (leader && !named) return run();
        return port.timer().afterDelay(kPause).then([this] { return run(); });
      });
}

kj::Promise<void> Joiner::State::ask(rpc::Address address) {
  return rpc::dial(port, address).then([this](kj::Own<rpc::BufferedStream> stream) {
    auto client = kj::heap<rpc::Client>(kj::mv(stream));
    auto enter = client->bootstrap().castAs<wire::Holdfast>().enterRequest();
    enter.setProtocol(wire::PROTOCOL_VERSION);
    enter.setLibrary("holdfastd " HOLDFAST_VERSION);
    auto request = enter.send().getCell().changeMemberRequest();
    auto change = request.initChange();
    change.setNode(self.id.value);
    auto add = change.initAdd();
    add.setAddress(self.address);
    add.setIncarnation(self.incarnation.value);
    return request.send()
        .then([this](capnp::Response<wire::Cell::ChangeMemberResults>&& results) {
          on_answer(results);
        })
        .attach(kj::mv(client));
  });
}

void Joiner::State::on_answer(wire::Cell::ChangeMemberResults::Reader results) {
  if (!results.hasError()) {
    std::string why;
    const auto config = rpc::read_config(results.getConfig(), why);
    if (!config || config->find(self.id) == nullptr) {
      return trouble("the cell's record makes no sense: " + why);
    }
    done = true;
    return joined(*config);
  }
  const base::Error error = rpc::read_error(results.getError());
  for (const auto& [key, value] : error.detail) {
    std::string ignored;
    if (key == "leader") leader = rpc::parse_address(value, ignored);
  }
  if (!leader) trouble(error.message);
}

// Said once, until it is something else.
void Joiner::State::trouble(const std::string& text) {
  if (text == last_trouble) return;
  last_trouble = text;
  log_warn("joining the cell: not yet", {{"reason", text}});
}

Joiner::Joiner(rpc::UvEventPort& port, Self self, std::vector<rpc::Address> cell,
               std::function<void(const base::Config&)> joined)
    : state_(std::make_unique<State>(port, std::move(self), std::move(cell), std::move(joined))) {
  state_->running = kj::evalLater([state = state_.get()] {
                      return state->run();
                    }).eagerlyEvaluate([](kj::Exception&& error) { KJ_LOG(FATAL, error); });
}

Joiner::~Joiner() = default;

}  // namespace holdfast::daemon
