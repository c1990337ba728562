#include "rpc/message_network.h"

#include <capnp/message.h>
#include <capnp/rpc.capnp.h>
#include <capnp/serialize.h>
#include <kj/debug.h>

#include <cstring>
#include <utility>
#include <vector>

#include "rpc/limits.h"

namespace holdfast::rpc {

namespace {

using capnp::word;

// As Cap'n Proto's own readers have it.
constexpr uint32_t kMaxSegments = 512;

capnp::ReaderOptions reader_options() {
  capnp::ReaderOptions options;
  options.traversalLimitInWords = kTraversalBytes / sizeof(word);
  options.nestingLimit = kNestingLimit;
  return options;
}

}  // namespace

class MessageNetwork::Outgoing final : public capnp::OutgoingRpcMessage {
 public:
  Outgoing(MessageNetwork& network, uint first_segment_words)
      : network_(network), message_(first_segment(first_segment_words)) {}

  capnp::AnyPointer::Builder getBody() override { return message_.getRoot<capnp::AnyPointer>(); }
  void setFds(kj::Array<int>) override {}
  size_t sizeInWords() override { return message_.sizeInWords(); }

  // The frame of a message: its segments' number less one and sizes, 32 bits each, padded to whole
  // words, then the segments. What this throws reaches the caller of the RPC.
  void send() override {
    auto segments = message_.getSegmentsForOutput();
    uint32_t small_table[kSmallTable];
    std::vector<uint32_t> large_table;
    const size_t entries = (segments.size() + 2) & ~size_t{1};
    uint32_t* table = small_table;
    if (entries > kSmallTable) {
      large_table.resize(entries);
      table = large_table.data();
    }
    table[entries - 1] = 0;
    table[0] = static_cast<uint32_t>(segments.size() - 1);
    size_t bytes = entries * sizeof(uint32_t);
    for (size_t i = 0; i < segments.size(); ++i) {
      table[i + 1] = static_cast<uint32_t>(segments[i].size());
      bytes += segments[i].asBytes().size();
    }
    KJ_REQUIRE(bytes <= kMaxPeerFrameBytes, "the message is too large to be sent", bytes);
    if (network_.shut_down_) return;
    network_.stream_.queue(table, entries * sizeof(uint32_t));
    for (auto segment : segments) {
      network_.stream_.queue(segment.asBytes().begin(), segment.asBytes().size());
    }
  }

 private:
  static constexpr size_t kSmallTable = 16;
  // Most messages fit: with Cap'n Proto's own default each of them would allocate and zero 8 KiB.
  static constexpr uint kInlineWords = 96;

  // The segment that the message starts in: in this object, or allocated if it is known to be
  // larger.
  kj::ArrayPtr<word> first_segment(uint words) {
    if (words <= kInlineWords) return inline_;
    large_ = kj::heapArray<word>(words);
    std::memset(large_.begin(), 0, large_.asBytes().size());
    return large_;
  }

  MessageNetwork& network_;
  word inline_[kInlineWords] = {};  // zero, as MallocMessageBuilder wants it
  kj::Array<word> large_;
  capnp::MallocMessageBuilder message_;
};

class MessageNetwork::Incoming final : public capnp::IncomingRpcMessage {
 public:
  explicit Incoming(kj::Array<word> words)
      : words_(kj::mv(words)), reader_(words_, reader_options()) {}

  capnp::AnyPointer::Reader getBody() override { return reader_.getRoot<capnp::AnyPointer>(); }
  kj::ArrayPtr<kj::AutoCloseFd> getAttachedFds() override { return nullptr; }
  size_t sizeInWords() override { return words_.size(); }

 private:
  kj::Array<word> words_;
  capnp::FlatArrayMessageReader reader_;
};

// The promise of the next message. Dropped, it leaves the message where it is.
class MessageNetwork::Receive {
 public:
  Receive(kj::PromiseFulfiller<MaybeMessage>& fulfiller, MessageNetwork& network)
      : fulfiller_(fulfiller), network_(network) {
    network_.receive_ = this;
  }
  ~Receive() {
    if (network_.receive_ == this) network_.receive_ = nullptr;
  }
  Receive(const Receive&) = delete;
  Receive& operator=(const Receive&) = delete;

  kj::PromiseFulfiller<MaybeMessage>& fulfiller() { return fulfiller_; }

 private:
  kj::PromiseFulfiller<MaybeMessage>& fulfiller_;
  MessageNetwork& network_;
};

MessageNetwork::MessageNetwork(BufferedStream& stream, capnp::rpc::twoparty::Side side,
                               size_t max_frame_bytes)
    : MessageNetwork(stream, side, max_frame_bytes, kj::newPromiseAndFulfiller<void>()) {}

MessageNetwork::MessageNetwork(BufferedStream& stream, capnp::rpc::twoparty::Side side,
                               size_t max_frame_bytes, kj::PromiseFulfillerPair<void> disconnected)
    : stream_(stream),
      side_(side),
      max_frame_bytes_(max_frame_bytes),
      peer_vat_id_(4),
      disconnected_(disconnected.promise.fork()),
      references_(kj::mv(disconnected.fulfiller)) {
  peer_vat_id_.initRoot<capnp::rpc::twoparty::VatId>().setSide(
      side == capnp::rpc::twoparty::Side::CLIENT ? capnp::rpc::twoparty::Side::SERVER
                                                 : capnp::rpc::twoparty::Side::CLIENT);
  stream_.set_sink(this);
}

MessageNetwork::~MessageNetwork() noexcept(false) {
  stream_.set_sink(nullptr);
}

kj::Own<capnp::TwoPartyVatNetworkBase::Connection> MessageNetwork::as_connection() {
  references_.add();
  return kj::Own<capnp::TwoPartyVatNetworkBase::Connection>(this, references_);
}

kj::Maybe<kj::Own<capnp::TwoPartyVatNetworkBase::Connection>> MessageNetwork::connect(
    capnp::rpc::twoparty::VatId::Reader ref) {
  if (ref.getSide() == side_) return nullptr;
  return as_connection();
}

kj::Promise<kj::Own<capnp::TwoPartyVatNetworkBase::Connection>> MessageNetwork::accept() {
  if (side_ == capnp::rpc::twoparty::Side::SERVER && !accepted_) {
    accepted_ = true;
    return as_connection();
  }
  // There is only the one connection.
  auto paf = kj::newPromiseAndFulfiller<kj::Own<capnp::TwoPartyVatNetworkBase::Connection>>();
  never_ = kj::mv(paf.fulfiller);
  return kj::mv(paf.promise);
}

kj::Own<capnp::RpcFlowController> MessageNetwork::newStream() {
  return capnp::RpcFlowController::newFixedWindowController(kWriteWatermarkBytes);
}

capnp::rpc::twoparty::VatId::Reader MessageNetwork::getPeerVatId() {
  return peer_vat_id_.getRoot<capnp::rpc::twoparty::VatId>();
}

kj::Own<capnp::OutgoingRpcMessage> MessageNetwork::newOutgoingMessage(uint first_segment_words) {
  return kj::heap<Outgoing>(*this, first_segment_words);
}

kj::Promise<MessageNetwork::MaybeMessage> MessageNetwork::receiveIncomingMessage() {
  MaybeMessage message;
  if (take_message(message)) return kj::mv(message);
  return kj::newAdaptedPromise<MaybeMessage, Receive>(*this);
}

void MessageNetwork::on_stream_changed() {
  if (receive_ == nullptr) return;
  auto& fulfiller = receive_->fulfiller();
  KJ_IF_MAYBE (error, kj::runCatchingExceptions([&]() {
                 MaybeMessage message;
                 if (take_message(message)) {
                   receive_ = nullptr;
                   fulfiller.fulfill(kj::mv(message));
                 }
               })) {
    receive_ = nullptr;
    fulfiller.reject(kj::mv(*error));
  }
}

bool MessageNetwork::take_message(MaybeMessage& message) {
  if (stream_.failed()) kj::throwFatalException(kj::cp(stream_.error()));
  if (pause_when_congested_ && stream_.congested()) return false;

  const auto input = stream_.input();
  const bool ended = stream_.input_ended();
  const auto incomplete = [&]() {
    if (ended && input.size() > 0) {
      kj::throwFatalException(KJ_EXCEPTION(DISCONNECTED, "closed in the middle of a message"));
    }
    return ended;  // the end of the stream, between messages
  };
  if (input.size() < sizeof(word)) return incomplete();

  uint32_t last_segment = 0;
  std::memcpy(&last_segment, input.begin(), sizeof last_segment);
  KJ_REQUIRE(last_segment < kMaxSegments, "this is not Cap'n Proto RPC");
  const auto words =
      kj::arrayPtr(reinterpret_cast<const word*>(input.begin()), input.size() / sizeof(word));
  // Of the whole message, or of its segment table if that isn't complete yet.
  const size_t expected = capnp::expectedSizeInWordsFromPrefix(words);
  KJ_REQUIRE(expected <= max_frame_bytes_ / sizeof(word), "the message is too large", expected,
             max_frame_bytes_);
  if (words.size() < expected) {
    stream_.want_input(expected * sizeof(word));
    return incomplete();
  }

  auto copy = kj::heapArray<word>(expected);
  std::memcpy(copy.begin(), words.begin(), expected * sizeof(word));
  stream_.consume(expected * sizeof(word));
  ++messages_received_;
  auto incoming = kj::heap<Incoming>(kj::mv(copy));
  count_call(*incoming);
  message = kj::Own<capnp::IncomingRpcMessage>(kj::mv(incoming));
  return true;
}

void MessageNetwork::count_call(capnp::IncomingRpcMessage& message) {
  switch (message.getBody().getAs<capnp::rpc::Message>().which()) {
    case capnp::rpc::Message::BOOTSTRAP:
    case capnp::rpc::Message::CALL:
      ++open_calls_;
      KJ_REQUIRE(open_calls_ <= max_open_calls_,
                 "too many calls of this connection are not finished", max_open_calls_);
      break;
    case capnp::rpc::Message::FINISH:
      // One for no call ends the connection in the RPC system.
      if (open_calls_ > 0) --open_calls_;
      break;
    default: break;
  }
}

// The RPC system is done with the connection: it broke, or the other side ended it. Nobody waits
// for what is queued but the word of why, so there is nothing to wait for here either; and this
// must not throw.
kj::Promise<void> MessageNetwork::shutdown() {
  if (!shut_down_ && !stream_.failed()) stream_.shutdownWrite();
  shut_down_ = true;
  return kj::READY_NOW;
}

}  // namespace holdfast::rpc
