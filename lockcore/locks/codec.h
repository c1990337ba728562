// What the files that turn structs into bytes and back have in common.
#pragma once

#include <capnp/message.h>
#include <capnp/serialize.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace holdfast::locks::codec {

// -- writing --------------------------------------------------------------------------------------

// Memory for a message's first segment, one a thread: Cap'n Proto wants it zeroed, and zeroes what
// it used when it is done, so that a small message costs neither an allocation nor a large memset.
kj::ArrayPtr<capnp::word> scratch();

std::string to_bytes(capnp::MessageBuilder& message);

inline capnp::Text::Reader text(const std::string& s) {
  return {s.c_str(), s.size()};
}
inline capnp::Data::Reader data(const std::string& s) {
  return {reinterpret_cast<const kj::byte*>(s.data()), s.size()};
}

// -- reading --------------------------------------------------------------------------------------

// Thrown by readers and caught by read_message(): the bytes are sound, but not of this version.
struct NotOfThisVersion {
  std::string why;
};

// The message in `bytes`, put where it is aligned. Throws kj::Exception, or NotOfThisVersion.
class Message {
 public:
  explicit Message(std::string_view bytes);
  template <class Root>
  typename Root::Reader getRoot() {
    return reader_->getRoot<Root>();
  }

 private:
  kj::Array<capnp::word> aligned_;
  std::optional<capnp::FlatArrayMessageReader> reader_;
};

// Calls read(message) on the message in `bytes`. Returns what is wrong with it, if anything.
template <class Read>
std::optional<std::string> read_message(std::string_view bytes, Read read) {
  try {
    Message message(bytes);
    read(message);
    return std::nullopt;
  } catch (const NotOfThisVersion& other) {
    return other.why;
  } catch (const kj::Exception& e) {
    return std::string(e.getDescription().cStr());
  }
}

inline std::string get_text(capnp::Text::Reader reader) {
  return {reader.cStr(), reader.size()};
}
inline std::string get_data(capnp::Data::Reader reader) {
  return {reinterpret_cast<const char*>(reader.begin()), reader.size()};
}

}  // namespace holdfast::locks::codec
