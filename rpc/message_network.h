// Cap'n Proto's two-party network straight on a BufferedStream.
//
// capnp::TwoPartyVatNetwork sends each message through a chain of promises and reads it in two
// steps. Here send() copies the message into the stream's queue, and a message is taken out of the
// read buffer as soon as it is complete; what is queued is one number, the stream's.
#pragma once

#include <capnp/rpc-twoparty.h>

#include "rpc/buffered_stream.h"

namespace holdfast::rpc {

class MessageNetwork final : public capnp::TwoPartyVatNetworkBase,
                             private capnp::TwoPartyVatNetworkBase::Connection,
                             private BufferedStream::Sink {
 public:
  // The stream must outlive the network.
  MessageNetwork(BufferedStream& stream, capnp::rpc::twoparty::Side side, size_t max_frame_bytes);
  ~MessageNetwork() noexcept(false);
  KJ_DISALLOW_COPY(MessageNetwork);

  // Resolves when the RPC system has let go of the connection, whoever ended it.
  kj::Promise<void> on_disconnect() { return disconnected_.addBranch(); }
  // A message whose frame is larger ends the connection; so does garbage.
  void set_max_frame_bytes(size_t bytes) { max_frame_bytes_ = bytes; }
  // Reads no further message while the stream is congested: who doesn't read answers, asks no
  // more. Only one end of a connection may do so, or both could wait for each other.
  void set_pause_when_congested() { pause_when_congested_ = true; }
  // Calls and bootstraps received whose Finish has not come. The RPC system keeps something for
  // each, also when it was answered long ago; one more than `calls` ends the connection.
  void set_max_open_calls(size_t calls) { max_open_calls_ = calls; }
  uint64_t messages_received() const { return messages_received_; }

  // capnp::VatNetwork
  kj::Maybe<kj::Own<capnp::TwoPartyVatNetworkBase::Connection>> connect(
      capnp::rpc::twoparty::VatId::Reader ref) override;
  kj::Promise<kj::Own<capnp::TwoPartyVatNetworkBase::Connection>> accept() override;

 private:
  class Outgoing;
  class Incoming;
  class Receive;
  using MaybeMessage = kj::Maybe<kj::Own<capnp::IncomingRpcMessage>>;

  // Counts the references that the RPC system holds to the connection, which is this object.
  class References final : public kj::Disposer {
   public:
    explicit References(kj::Own<kj::PromiseFulfiller<void>> none_left)
        : none_left_(kj::mv(none_left)) {}
    void add() { ++count_; }

   private:
    void disposeImpl(void*) const override {
      if (--count_ == 0) none_left_->fulfill();
    }
    mutable kj::Own<kj::PromiseFulfiller<void>> none_left_;
    mutable size_t count_ = 0;
  };

  MessageNetwork(BufferedStream& stream, capnp::rpc::twoparty::Side side, size_t max_frame_bytes,
                 kj::PromiseFulfillerPair<void> disconnected);

  // capnp::VatNetwork::Connection
  kj::Own<capnp::RpcFlowController> newStream() override;
  capnp::rpc::twoparty::VatId::Reader getPeerVatId() override;
  kj::Own<capnp::OutgoingRpcMessage> newOutgoingMessage(uint first_segment_words) override;
  kj::Promise<MaybeMessage> receiveIncomingMessage() override;
  kj::Promise<void> shutdown() override;

  void on_stream_changed() override;
  // Takes the next message, or the end of the stream, into `message`. False: it is not there yet.
  // Throws on garbage, and on an error of the stream.
  bool take_message(MaybeMessage& message);
  void count_call(capnp::IncomingRpcMessage& message);
  kj::Own<capnp::TwoPartyVatNetworkBase::Connection> as_connection();

  BufferedStream& stream_;
  const capnp::rpc::twoparty::Side side_;
  size_t max_frame_bytes_;
  size_t max_open_calls_ = ~size_t{0};
  size_t open_calls_ = 0;
  bool pause_when_congested_ = false;
  bool accepted_ = false;
  bool shut_down_ = false;
  uint64_t messages_received_ = 0;
  Receive* receive_ = nullptr;  // the pending receiveIncomingMessage()
  capnp::MallocMessageBuilder peer_vat_id_;
  kj::Own<kj::PromiseFulfiller<kj::Own<capnp::TwoPartyVatNetworkBase::Connection>>> never_;
  kj::ForkedPromise<void> disconnected_;
  References references_;
};

}  // namespace holdfast::rpc
