#include "rpc/buffered_stream.h"

#include <kj/debug.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "rpc/socket.h"

namespace holdfast::rpc {

// A promise for a change of the stream, registered in one of the stream's slots. When KJ drops the
// promise, the slot becomes free: the next read or write takes it.
class BufferedStream::Waiter {
 public:
  Waiter(kj::PromiseFulfiller<void>& fulfiller, Waiter*& slot, size_t bytes)
      : fulfiller_(fulfiller), slot_(&slot), bytes_(bytes) {
    KJ_REQUIRE(slot == nullptr, "one read and one write at a time");
    slot = this;
  }
  ~Waiter() { leave(); }
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  size_t bytes() const { return bytes_; }
  void fulfill() {
    leave();
    fulfiller_.fulfill();
  }
  void reject(const kj::Exception& error) {
    leave();
    fulfiller_.reject(kj::cp(error));
  }

 private:
  void leave() {
    if (slot_ != nullptr) *slot_ = nullptr;
    slot_ = nullptr;
  }

  kj::PromiseFulfiller<void>& fulfiller_;
  Waiter** slot_;       // null: settled
  const size_t bytes_;  // of input that a reader waits for
};

BufferedStream::BufferedStream(UvEventPort& port, kj::AutoCloseFd fd)
    : TurnObserver(port),
      fd_(kj::mv(fd)),
      watcher_(port.uv(), fd_.get(), [this](int status, int events) { on_poll(status, events); }),
      write_disconnected_promise_(nullptr) {
  auto paf = kj::newPromiseAndFulfiller<void>();
  write_disconnected_ = kj::mv(paf.fulfiller);
  write_disconnected_promise_ = paf.promise.fork();
  const int on = 1;
  ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // fails for a unix socket
  update_mask();
}

BufferedStream::~BufferedStream() noexcept(false) {
  if (!failed() && !kernel_full_ && !outbox_.empty()) write_now(outbox_.data(), outbox_.size());
  const auto gone = KJ_EXCEPTION(DISCONNECTED, "the stream was closed");
  if (reader_ != nullptr) reader_->reject(gone);
  if (writer_ != nullptr) writer_->reject(gone);
}

const kj::Exception& BufferedStream::error() const {
  return KJ_ASSERT_NONNULL(error_);
}

// -- reading --------------------------------------------------------------------------------------

kj::Promise<size_t> BufferedStream::tryRead(void* buffer, size_t min_bytes, size_t max_bytes) {
  KJ_REQUIRE(sink_ == nullptr && reader_ == nullptr, "one reader at a time");
  if (input_suffices(min_bytes)) return take_input(buffer, min_bytes, max_bytes);
  want_input(min_bytes);
  // The bytes stay in the inbox until the continuation runs: a dropped read loses nothing.
  return kj::newAdaptedPromise<void, Waiter>(reader_, min_bytes)
      .then([this, buffer, min_bytes, max_bytes]() {
        return take_input(buffer, min_bytes, max_bytes);
      });
}

size_t BufferedStream::take_input(void* buffer, size_t min_bytes, size_t max_bytes) {
  if (inbox_.size() < min_bytes && failed()) kj::throwFatalException(kj::cp(error()));
  const size_t taken = std::min(inbox_.size(), max_bytes);
  if (taken > 0) std::memcpy(buffer, inbox_.data(), taken);
  consume(taken);
  return taken;
}

void BufferedStream::set_sink(Sink* sink) {
  KJ_REQUIRE(reader_ == nullptr, "a read is pending");
  sink_ = sink;
}

void BufferedStream::consume(size_t bytes) {
  inbox_.consume(bytes);
  wanted_ = 0;
  update_mask();
}

void BufferedStream::want_input(size_t total_bytes) {
  wanted_ = total_bytes;
  update_mask();
}

void BufferedStream::abortRead() {
  ::shutdown(fd_.get(), SHUT_RD);
  end_of_input_ = true;
  inbox_.clear();
  input_changed();
}

void BufferedStream::on_poll(int status, int events) {
  // libuv says only that there is an error and has stopped watching; reading says which.
  if (status < 0) {
    read_some();
    if (!input_ended()) fail(KJ_EXCEPTION(DISCONNECTED, "the connection was reset"));
    return;
  }
  if ((events & UV_READABLE) != 0) {
    read_some();
  } else if ((events & UV_DISCONNECT) != 0 && !reads_on()) {
    return fail(KJ_EXCEPTION(DISCONNECTED, "the other side hung up"));
  }
  if ((events & UV_WRITABLE) != 0 && !failed()) {
    kernel_full_ = false;
    flush();
  }
}

// One read() a turn: the loop stays fair, and what is left keeps the socket readable.
void BufferedStream::read_some() {
  auto scratch = port().scratch();
  const size_t missing = wanted_ > inbox_.size() ? wanted_ - inbox_.size() : 0;
  // A large message goes straight where it belongs, in steps, so that a header which claims a lot
  // takes memory only as its bytes come.
  const bool large = missing > scratch.size();
  constexpr size_t kStep = 4 * kReadAheadBytes;
  const size_t room = large ? std::min(missing, kStep) : scratch.size();
  kj::byte* const to = large ? inbox_.prepare(room) : scratch.begin();
  ssize_t count;
  do {
    count = ::read(fd_.get(), to, room);
  } while (count < 0 && errno == EINTR);
  if (count < 0) {
    if (errno != EAGAIN) fail(socket_error("reading", errno));
    return;
  }
  if (count == 0) {
    end_of_input_ = true;
  } else if (large) {
    inbox_.commit(static_cast<size_t>(count));
  } else {
    inbox_.append(to, static_cast<size_t>(count));
  }
  input_changed();
}

void BufferedStream::input_changed() {
  if (reader_ != nullptr && input_suffices(reader_->bytes())) reader_->fulfill();
  if (sink_ != nullptr) sink_->on_stream_changed();
  update_mask();
}

// -- writing --------------------------------------------------------------------------------------

kj::Promise<void> BufferedStream::write(const void* buffer, size_t size) {
  queue(buffer, size);
  return after_queueing();
}

kj::Promise<void> BufferedStream::write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) {
  for (auto piece : pieces) queue(piece.begin(), piece.size());
  return after_queueing();
}

kj::Promise<void> BufferedStream::after_queueing() {
  KJ_IF_MAYBE (error, error_) return kj::cp(*error);
  if (!congested_) return kj::READY_NOW;
  return kj::newAdaptedPromise<void, Waiter>(writer_, size_t{0});
}

void BufferedStream::queue(const void* bytes, size_t size) {
  KJ_REQUIRE(!shutdown_wanted_, "a write after shutdownWrite()");
  if (failed()) return;
  const auto* from = static_cast<const kj::byte*>(bytes);
  // Something large with nothing before it needn't be copied.
  if (outbox_.empty() && size > kWriteWatermarkBytes) {
    const size_t written = write_now(from, size);
    from += written;
    size -= written;
    if (failed()) return;
  }
  if (size > 0) outbox_.append(from, size);
  if (outbox_.size() > kWriteWatermarkBytes) {
    congested_ = true;
    flush();
    if (outbox_.size() > max_queued_) {
      fail(KJ_EXCEPTION(OVERLOADED, "the other side does not read", outbox_.size()));
    }
    return;
  }
  enrol();
}

void BufferedStream::on_turn_end() {
  flush();
}

void BufferedStream::flush() {
  if (failed()) return;
  if (!outbox_.empty()) outbox_.consume(write_now(outbox_.data(), outbox_.size()));
  if (!failed()) after_flush();
}

// Writes what the kernel takes without waiting, and returns how much that was.
size_t BufferedStream::write_now(const kj::byte* bytes, size_t size) {
  if (kernel_full_) return 0;
  ssize_t count;
  do {
    count = ::send(fd_.get(), bytes, size, MSG_NOSIGNAL);
  } while (count < 0 && errno == EINTR);
  if (count < 0) {
    if (errno != EAGAIN) {
      fail(socket_error("writing", errno));
      return 0;
    }
    count = 0;
  }
  if (static_cast<size_t>(count) < size) {
    kernel_full_ = true;
    update_mask();
  }
  return static_cast<size_t>(count);
}

void BufferedStream::after_flush() {
  if (congested_ && outbox_.size() <= kWriteWatermarkBytes / 2) {
    congested_ = false;
    if (writer_ != nullptr) writer_->fulfill();
    if (sink_ != nullptr) sink_->on_stream_changed();
  }
  if (outbox_.empty() && shutdown_wanted_ && !shutdown_done_) {
    shutdown_done_ = true;
    ::shutdown(fd_.get(), SHUT_WR);
  }
  update_mask();
}

void BufferedStream::shutdownWrite() {
  if (shutdown_wanted_) return;
  shutdown_wanted_ = true;
  enrol();
}

kj::Promise<void> BufferedStream::whenWriteDisconnected() {
  return write_disconnected_promise_.addBranch();
}

// -- both -----------------------------------------------------------------------------------------

void BufferedStream::fail(kj::Exception error) {
  if (failed()) return;
  error_ = kj::mv(error);
  outbox_.clear();
  congested_ = false;
  write_disconnected_->fulfill();
  if (writer_ != nullptr) writer_->reject(this->error());
  input_changed();
}

bool BufferedStream::reads_on() const {
  return !end_of_input_ && inbox_.size() < std::max(kReadAheadBytes, wanted_);
}

void BufferedStream::update_mask() {
  int mask = 0;
  if (!failed()) {
    if (reads_on()) mask |= UV_READABLE;
    if (ends_with_other_side_ && !end_of_input_) mask |= UV_DISCONNECT;
    if (kernel_full_) mask |= UV_WRITABLE;
  }
  watcher_.watch(mask);
}

void BufferedStream::getsockopt(int level, int option, void* value, uint* length) {
  KJ_SYSCALL(::getsockopt(fd_.get(), level, option, value, length));
}
void BufferedStream::setsockopt(int level, int option, const void* value, uint length) {
  KJ_SYSCALL(::setsockopt(fd_.get(), level, option, value, length));
}
void BufferedStream::getsockname(struct sockaddr* addr, uint* length) {
  KJ_SYSCALL(::getsockname(fd_.get(), addr, length));
}
void BufferedStream::getpeername(struct sockaddr* addr, uint* length) {
  KJ_SYSCALL(::getpeername(fd_.get(), addr, length));
}

}  // namespace holdfast::rpc
