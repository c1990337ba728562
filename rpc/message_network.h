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
  // Messages whose frame is larger end the connection; so does garbage.
  void set_max_frame_bytes(size_t bytes) { max_frame_bytes_ = bytes; }
  // Reads no further message while this many bytes wait to be sent. 0: always read.
  void set_pause_bytes(size_t bytes) { pause_bytes_ = bytes; }
  uint64_t messages_received() const { return messages_received_; }

  // capnp::VatNetwork
  kj::Maybe<kj::Own<capnp::TwoPartyVatNetworkBase::Connection>> connect(
      capnp::rpc::twoparty::VatId::Reader ref) override;
  kj::Promise<kj::Own<capnp::TwoPartyVatNetworkBase::Connection>> accept() override;

 private:
  class Outgoing;
  class Incoming;
  class Receive;  // the pending receiveIncomingMessage()
  class Handle;   // counts the references that the RPC system holds

  // capnp::VatNetwork::Connection
  kj::Own<capnp::RpcFlowController> newStream() override;
  capnp::rpc::twoparty::VatId::Reader getPeerVatId() override;
  kj::Own<capnp::OutgoingRpcMessage> newOutgoingMessage(uint first_segment_words) override;
  kj::Promise<kj::Maybe<kj::Own<capnp::IncomingRpcMessage>>> receiveIncomingMessage() override;
  kj::Promise<void> shutdown() override;

  void on_input() override;
  // Null: not complete yet. Throws on garbage and on an error of the stream.
  kj::Maybe<kj::Own<capnp::IncomingRpcMessage>> take_message();
  kj::Own<capnp::TwoPartyVatNetworkBase::Connection> as_connection();

  BufferedStream& stream_;
  const capnp::rpc::twoparty::Side side_;
  size_t max_frame_bytes_;
  size_t pause_bytes_ = 0;
  uint64_t messages_received_ = 0;
  bool accepted_ = false;
  bool shut_down_ = false;
  Receive* receive_ = nullptr;
  capnp::MallocMessageBuilder peer_vat_id_;
  kj::Own<kj::PromiseFulfiller<kj::Own<capnp::TwoPartyVatNetworkBase::Connection>>> never_;
  kj::Own<Handle> handle_;
  kj::ForkedPromise<void> disconnected_;
};

}  // namespace holdfast::rpc
