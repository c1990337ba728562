// A stream over a socket (TCP or unix) on libuv that reads ahead and gathers writes.
//
// Reading takes as much as there is, up to kReadAheadBytes, in one read(). Writing copies into a
// queue; at the end of the turn everything queued goes out in one write. A write is done at once
// below kWriteWatermarkBytes of queue and waits for the queue to drain above it: backpressure.
// The first error is the last word: every later read and write fails with it. EPIPE, ECONNRESET
// and their like are DISCONNECTED.
#pragma once

#include <kj/async-io.h>
#include <kj/exception.h>
#include <kj/io.h>

#include <functional>

#include "rpc/byte_queue.h"
#include "rpc/fd_watcher.h"
#include "rpc/limits.h"
#include "rpc/uv_event_port.h"

namespace holdfast::rpc {

class BufferedStream final : public kj::AsyncIoStream, private TurnObserver {
 public:
  // Whoever takes the input as it comes, instead of asking for it by tryRead(). One a stream.
  class Sink {
   public:
    // input() grew, or it ended or failed, or congested() became false. Must not destroy the
    // stream.
    virtual void on_stream_changed() = 0;

   protected:
    ~Sink() = default;
  };

  // Takes a connected socket and makes it non-blocking (and TCP_NODELAY, if it is TCP).
  BufferedStream(UvEventPort& port, kj::AutoCloseFd fd);
  // Gives what is queued one last try without waiting, and closes.
  ~BufferedStream() noexcept(false);

  // -- as a stream of bytes: kj::AsyncIoStream ---------------------------------------------------
  // A read may be dropped at any time and asked again; nothing is lost. One read and one write at
  // a time, as KJ says.
  kj::Promise<size_t> tryRead(void* buffer, size_t min_bytes, size_t max_bytes) override;
  kj::Promise<void> write(const void* buffer, size_t size) override;
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override;
  kj::Promise<void> whenWriteDisconnected() override;
  void shutdownWrite() override;  // what is queued goes out first
  void abortRead() override;
  void getsockopt(int level, int option, void* value, uint* length) override;
  void setsockopt(int level, int option, const void* value, uint length) override;
  void getsockname(struct sockaddr* addr, uint* length) override;
  void getpeername(struct sockaddr* addr, uint* length) override;
  kj::Maybe<int> getFd() const override { return fd_.get(); }

  // -- as a source and drain of messages: MessageNetwork -----------------------------------------
  void set_sink(Sink* sink);
  // What was read and not consumed yet. Valid until the next consume() or turn of the loop.
  kj::ArrayPtr<const kj::byte> input() const { return {inbox_.data(), inbox_.size()}; }
  void consume(size_t bytes);
  // Nothing will come after what is in input(): the other side closed, or the stream failed.
  bool input_ended() const { return end_of_input_ || failed(); }
  // The message at the head of input() has this size: read on up to it, beyond the read-ahead.
  void want_input(size_t total_bytes);
  // Queues bytes without waiting, and drops them if the stream has failed. At max_queued_bytes the
  // stream fails as OVERLOADED: its other side doesn't read.
  void queue(const void* bytes, size_t size);
  // Writes as much of what is queued as the kernel takes, now rather than at the turn's end.
  void flush();
  size_t queued_bytes() const { return outbox_.size(); }
  void set_max_queued_bytes(size_t bytes) { max_queued_ = bytes; }
  // Fails as DISCONNECTED when the other side hangs up at a time when nobody reads on. Without this
  // its end lies behind input that may never be taken.
  void set_ends_with_other_side() { ends_with_other_side_ = true; }
  // More than kWriteWatermarkBytes were queued, and half of that has not been reached again.
  bool congested() const { return congested_; }

  bool failed() const { return error_ != nullptr; }
  const kj::Exception& error() const;  // only if failed()
  // Fails the stream, as an error of the socket would.
  void fail(kj::Exception error);

 private:
  class Waiter;

  void on_turn_end() override;  // flushes
  void on_poll(int status, int events);
  void read_some();
  void input_changed();
  bool input_suffices(size_t bytes) const { return inbox_.size() >= bytes || input_ended(); }
  size_t take_input(void* buffer, size_t min_bytes, size_t max_bytes);
  kj::Promise<void> after_queueing();
  size_t write_now(const kj::byte* bytes, size_t size);
  void after_flush();
  // There is room for input, and more may come.
  bool reads_on() const;
  void update_mask();

  kj::AutoCloseFd fd_;
  FdWatcher watcher_;         // after fd_: it is gone before the descriptor closes
  bool kernel_full_ = false;  // nothing is written until the socket is writable
  bool end_of_input_ = false;
  bool shutdown_wanted_ = false;  // shutdownWrite() came; no write may follow
  bool shutdown_done_ = false;
  bool congested_ = false;
  bool ends_with_other_side_ = false;
  size_t wanted_ = 0;  // see want_input()
  size_t max_queued_ = ~size_t{0};
  ByteQueue inbox_;
  ByteQueue outbox_;
  kj::Maybe<kj::Exception> error_;
  Sink* sink_ = nullptr;
  Waiter* reader_ = nullptr;  // the pending tryRead(); at most one of reader_ and sink_
  Waiter* writer_ = nullptr;  // the write that waits for the queue to drain
  kj::Own<kj::PromiseFulfiller<void>> write_disconnected_;
  kj::ForkedPromise<void> write_disconnected_promise_;
};

}  // namespace holdfast::rpc
