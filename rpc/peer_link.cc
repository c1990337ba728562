#include "rpc/peer_link.h"

#include <kj/debug.h>

#include <algorithm>
#include <utility>

#include "rpc/connection.h"
#include "rpc/dial.h"
#include "rpc/holdfast.capnp.h"
#include "rpc/limits.h"
#include "rpc/peer_convert.h"
#include "rpc/socket.h"

namespace holdfast::rpc {

namespace {

// One connection that is up, and what is under way on it.
class Session final : private kj::TaskSet::ErrorHandler {
 public:
  Session(kj::Own<Client> client, wire::peer::Link::Client link)
      : client_(kj::mv(client)), link_(kj::mv(link)), deliveries_(*this) {
    auto paf = kj::newPromiseAndFulfiller<void>();
    broken_ = kj::mv(paf.fulfiller);
    ended_ = client_->on_disconnect().exclusiveJoin(kj::mv(paf.promise));
  }

  // Ends, with a reason, when the connection does.
  kj::Promise<void> ended() { return kj::mv(ended_); }

  // False: the window is full, nothing was sent.
  bool deliver(const paxos::Message* messages, unsigned count, size_t bytes) {
    if (in_flight_ >= kMaxDeliveriesInFlight) return false;
    if (in_flight_bytes_ + bytes > kMaxDeliveryBytesInFlight) return false;
    constexpr size_t kParams = 64;
    auto request =
        link_.deliverRequest(capnp::MessageSize{(bytes + kParams) / sizeof(capnp::word), 0});
    auto list = request.initMessages(count);
    for (unsigned i = 0; i < count; ++i) fill_message(messages[i], list[i]);
    ++in_flight_;
    in_flight_bytes_ += bytes;
    deliveries_.add(request.send().ignoreResult().then([this, bytes]() {
      --in_flight_;
      in_flight_bytes_ -= bytes;
    }));
    return true;
  }
  void flush() { client_->stream().flush(); }

 private:
  // A delivery that fails says that the link is no good, whatever is wrong with it.
  void taskFailed(kj::Exception&& exception) override {
    if (broken_->isWaiting()) broken_->reject(kj::mv(exception));
  }

  kj::Own<Client> client_;
  wire::peer::Link::Client link_;
  kj::Own<kj::PromiseFulfiller<void>> broken_;
  kj::Promise<void> ended_ = nullptr;
  size_t in_flight_ = 0;
  size_t in_flight_bytes_ = 0;
  kj::TaskSet deliveries_;
};

std::string what(const kj::Exception& error) {
  return error.getDescription().cStr();
}

}  // namespace

struct PeerLink::State {
  State(UvEventPort& port_in, base::NodeId peer_in, Address address_in, uint64_t seed,
        PeerLinkEvents events_in)
      : port(port_in),
        peer(peer_in),
        address(std::move(address_in)),
        random(seed),
        events(std::move(events_in)) {}

  kj::Promise<void> run();
  kj::Promise<void> attempt();
  kj::Promise<void> introduce(kj::Own<BufferedStream> stream);
  void admitted(kj::Own<Client> client, wire::Holdfast::PeerResults::Reader answer);
  void ended(const kj::Exception* error);
  kj::Promise<void> pause();
  const Address& dialled() const { return dials_other ? *other : address; }
  void trouble(const std::string& text);
  void flush();
  void deliver(const paxos::Message* messages, unsigned count, size_t bytes);

  UvEventPort& port;
  const base::NodeId peer;
  const Address address;
  std::optional<Address> other;  // where it says that it is reached, if that is elsewhere
  bool dials_other = false;
  base::Random random;
  PeerLinkEvents events;
  Counts counts;

  kj::Own<Session> session;             // null: the link is down
  std::vector<paxos::Message> pending;  // until the flush
  int64_t pause_ms = kMinRedialMs;
  kj::Own<kj::PromiseFulfiller<void>> hurry;  // while pausing
  std::string last_trouble[2];                // by dials_other
  kj::Promise<void> running = nullptr;        // last: uses all of the above
};

// Dials for ever. Each attempt ends with the link down again.
kj::Promise<void> PeerLink::State::run() {
  return attempt()
      .then([this]() { ended(nullptr); }, [this](kj::Exception&& error) { ended(&error); })
      .then([this]() { return pause(); })
      .then([this]() { return run(); });
}

kj::Promise<void> PeerLink::State::attempt() {
  ++counts.dials_total;
  return port.timer()
      .timeoutAfter(kDialTimeoutMs * kj::MILLISECONDS, dial(port, dialled()))
      .then([this](kj::Own<BufferedStream> stream) { return introduce(kj::mv(stream)); })
      .then([this]() { return session->ended(); });
}

kj::Promise<void> PeerLink::State::introduce(kj::Own<BufferedStream> stream) {
  set_patience(KJ_ASSERT_NONNULL(stream->getFd()), kPeerKeepaliveIdleS, kPeerKeepaliveIntervalS,
               kPeerUserTimeoutMs);
  auto client = kj::heap<Client>(kj::mv(stream));
  auto request = client->bootstrap().castAs<wire::Holdfast>().peerRequest();
  fill_hello(events.hello(), request.initHello());
  auto answer = request.send();
  return port.timer()
      .timeoutAfter(kHelloTimeoutMs * kj::MILLISECONDS, kj::mv(answer))
      .then([this, client = kj::mv(client)](auto response) mutable {
        admitted(kj::mv(client), response);
      });
}

void PeerLink::State::admitted(kj::Own<Client> client, wire::Holdfast::PeerResults::Reader answer) {
  if (answer.hasRefusal()) {
    const paxos::Refusal refusal = read_refusal(answer.getRefusal());
    pause_ms = kMaxRedialMs;
    events.on_refused(refusal);
    KJ_FAIL_REQUIRE("refused", refusal.reason.c_str());
  }
  const auto hello = read_hello(answer.getHello());
  KJ_REQUIRE(hello.has_value() && answer.hasLink(),
             "the peer's answer to our hello makes no sense");
  KJ_REQUIRE(hello->node == peer, "another node lives at this address", hello->node.value);
  if (auto refusal = events.on_up(*hello)) {
    pause_ms = kMaxRedialMs;
    KJ_FAIL_REQUIRE("we refused the peer", refusal->reason.c_str());
  }
  session = kj::heap<Session>(kj::mv(client), answer.getLink());
  pause_ms = kMinRedialMs;
  for (std::string& told : last_trouble) told.clear();
}

void PeerLink::State::ended(const kj::Exception* error) {
  const std::string why = error == nullptr ? "the connection was closed" : what(*error);
  const bool was_up = session.get() != nullptr;
  session = nullptr;
  if (was_up) {
    events.on_down(why);
  } else {
    trouble(why);
    dials_other = other && !dials_other;
  }
}

kj::Promise<void> PeerLink::State::pause() {
  // Half of it is chance: nodes that lost each other at one moment don't meet again at one.
  const auto half = static_cast<uint64_t>(pause_ms / 2);
  const auto wait_ms = static_cast<int64_t>(half + random.below(half + 1));
  pause_ms = std::min(pause_ms * 2, kMaxRedialMs);
  auto paf = kj::newPromiseAndFulfiller<void>();
  hurry = kj::mv(paf.fulfiller);
  return port.timer().afterDelay(wait_ms * kj::MILLISECONDS).exclusiveJoin(kj::mv(paf.promise));
}

// Said once, until it is something else.
void PeerLink::State::trouble(const std::string& text) {
  if (text == last_trouble[dials_other]) return;
  last_trouble[dials_other] = text;
  if (!events.notices) return;
  events.notices(Severity::kWarning, "no link to node " + std::to_string(peer.value) + " at " +
                                         dialled().text() + ": " + text);
}

void PeerLink::State::flush() {
  if (pending.empty()) return;
  std::vector<paxos::Message> messages;
  messages.swap(pending);
  size_t first = 0;
  size_t bytes = 0;
  const auto deliver_upto = [&](size_t end) {
    if (end > first) deliver(&messages[first], static_cast<unsigned>(end - first), bytes);
    first = end;
    bytes = 0;
  };
  for (size_t i = 0; i < messages.size(); ++i) {
    const size_t size = wire_bytes(messages[i]);
    const bool full =
        bytes + size > base::kMaxPeerMessageBytes || i - first >= kMaxMessagesPerDelivery;
    if (full) deliver_upto(i);
    bytes += size;
  }
  deliver_upto(messages.size());
  if (session.get() != nullptr) session->flush();
}

void PeerLink::State::deliver(const paxos::Message* messages, unsigned count, size_t bytes) {
  const bool sendable = session.get() != nullptr && bytes <= kMaxPeerFrameBytes;
  if (!sendable || !session->deliver(messages, count, bytes)) {
    counts.dropped_total += count;
    return;
  }
  ++counts.deliveries_total;
  counts.messages_total += count;
}

PeerLink::PeerLink(UvEventPort& port, base::NodeId peer, Address address, uint64_t random_seed,
                   PeerLinkEvents events)
    : state_(
          std::make_unique<State>(port, peer, std::move(address), random_seed, std::move(events))) {
  // Not from within the constructor: the events may not be expected yet.
  state_->running = kj::evalLater([state = state_.get()]() {
                      return state->run();
                    }).eagerlyEvaluate([](kj::Exception&& error) { KJ_LOG(FATAL, error); });
}

PeerLink::~PeerLink() noexcept(false) = default;

void PeerLink::send(paxos::Message message) {
  State& state = *state_;
  if (state.session.get() == nullptr) {
    ++state.counts.dropped_total;
    return;
  }
  state.pending.push_back(std::move(message));
}

void PeerLink::flush() {
  state_->flush();
}

void PeerLink::hurry() {
  if (state_->hurry.get() != nullptr && state_->hurry->isWaiting()) state_->hurry->fulfill();
}

void PeerLink::also_try(Address address) {
  State& state = *state_;
  if (address == state.address || address == state.other) return;
  state.other = std::move(address);
  hurry();
}

bool PeerLink::up() const {
  return state_->session.get() != nullptr;
}
base::NodeId PeerLink::peer() const {
  return state_->peer;
}
const Address& PeerLink::address() const {
  return state_->address;
}

PeerLink::Counts PeerLink::counts() const {
  return state_->counts;
}

}  // namespace holdfast::rpc
