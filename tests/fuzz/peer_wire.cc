// Feeds: bytes as a Cap'n Proto message that holds a peer's message, hello or refusal.
// Checks: reading throws nothing; what was read is written, read and written again as the same
// bytes; and the bound on a message's size, by which deliveries are cut, holds.
#include <capnp/message.h>
#include <capnp/serialize.h>

#include <cstring>
#include <optional>
#include <string>

#include "lockcore/base/assert.h"
#include "rpc/limits.h"
#include "rpc/peer_convert.h"

namespace holdfast::fuzz {
namespace {

using wire::peer::Hello;
using wire::peer::Message;

std::string words_of(capnp::MessageBuilder& message) {
  const auto words = capnp::messageToFlatArray(message);
  return {reinterpret_cast<const char*>(words.begin()), words.asBytes().size()};
}

void check_message(Message::Reader from) {
  std::string why;
  const auto message = rpc::read_message(from, why);
  if (!message) return;
  HF_ASSERT(why.empty());
  capnp::MallocMessageBuilder first, second;
  rpc::fill_message(*message, first.initRoot<Message>());
  const auto again = rpc::read_message(first.getRoot<Message>().asReader(), why);
  HF_ASSERT(again.has_value());
  rpc::fill_message(*again, second.initRoot<Message>());
  const std::string written = words_of(first);
  HF_ASSERT(words_of(second) == written);
  constexpr size_t kMessageItself = 64;
  HF_ASSERT(written.size() <= rpc::wire_bytes(*message) + kMessageItself);
}

void check_hello(Hello::Reader from) {
  const auto hello = rpc::read_hello(from);
  if (!hello) return;
  capnp::MallocMessageBuilder first, second;
  rpc::fill_hello(*hello, first.initRoot<Hello>());
  const auto again = rpc::read_hello(first.getRoot<Hello>().asReader());
  HF_ASSERT(again.has_value());
  rpc::fill_hello(*again, second.initRoot<Hello>());
  HF_ASSERT(words_of(second) == words_of(first));
}

void check_refusal(wire::peer::Refusal::Reader from) {
  HF_ASSERT(rpc::read_refusal(from).reason.size() <= rpc::kMaxHelloTextBytes);
}

// Calls check(root), unless the frame or its root can't be read: there the RPC system ends the
// connection.
template <class Root>
void check_as(kj::ArrayPtr<const capnp::word> words, void (*check)(typename Root::Reader)) {
  capnp::ReaderOptions limits;  // as rpc/message_network.cc has them
  limits.traversalLimitInWords = rpc::kTraversalBytes / sizeof(capnp::word);
  limits.nestingLimit = rpc::kNestingLimit;
  std::optional<capnp::FlatArrayMessageReader> message;
  typename Root::Reader root;
  try {
    message.emplace(words, limits);
    root = message->getRoot<Root>();
  } catch (const kj::Exception&) {
    return;
  }
  check(root);
}

}  // namespace
}  // namespace holdfast::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  auto words = kj::heapArray<capnp::word>(size / sizeof(capnp::word));
  if (words.size() > 0) std::memcpy(words.begin(), data, words.asBytes().size());
  fuzz::check_as<wire::peer::Message>(words, fuzz::check_message);
  fuzz::check_as<wire::peer::Hello>(words, fuzz::check_hello);
  fuzz::check_as<wire::peer::Refusal>(words, fuzz::check_refusal);
  return 0;
}
