#include "lockcore/locks/codec.h"

#include <kj/io.h>

#include <cstring>
#include <vector>

namespace holdfast::locks::codec {

kj::ArrayPtr<capnp::word> scratch() {
  constexpr size_t kScratchWords = 8192;
  thread_local std::vector<uint64_t> words(kScratchWords);
  return kj::arrayPtr(reinterpret_cast<capnp::word*>(words.data()), words.size());
}

namespace {

class StringOutput final : public kj::OutputStream {
 public:
  explicit StringOutput(std::string& out) : out_(out) {}
  void write(const void* buffer, size_t size) override {
    out_.append(static_cast<const char*>(buffer), size);
  }

 private:
  std::string& out_;
};

}  // namespace

std::string to_bytes(capnp::MessageBuilder& message) {
  std::string bytes;
  bytes.reserve(capnp::computeSerializedSizeInWords(message) * sizeof(capnp::word));
  StringOutput output(bytes);
  capnp::writeMessage(output, message);
  return bytes;
}

Message::Message(std::string_view bytes) {
  if (bytes.empty() || bytes.size() % sizeof(capnp::word) != 0) {
    throw NotOfThisVersion{"its length, " + std::to_string(bytes.size()) +
                           ", is not one of a message"};
  }
  const size_t size = bytes.size() / sizeof(capnp::word);
  capnp::ReaderOptions limits;
  // Each part is read once. Lists that claim more elements than there are bytes end here.
  limits.traversalLimitInWords = size * 2 + 64;
  limits.nestingLimit = 8;
  const auto* words = reinterpret_cast<const capnp::word*>(bytes.data());
  if (reinterpret_cast<uintptr_t>(bytes.data()) % alignof(uint64_t) != 0) {
    aligned_ = kj::heapArray<capnp::word>(size);
    std::memcpy(aligned_.begin(), bytes.data(), bytes.size());
    words = aligned_.begin();
  }
  reader_.emplace(kj::arrayPtr(words, size), limits);
  if (reader_->getEnd() != words + size) throw NotOfThisVersion{"bytes follow the message"};
}

}  // namespace holdfast::locks::codec
