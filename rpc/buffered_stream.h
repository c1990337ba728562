// A stream over a socket (TCP or unix) on libuv that reads ahead and gathers writes.
//
// Reading takes as much as there is, up to kReadAheadBytes, in one read(). Writing copies into a
// queue; at the end of the turn everything queued goes out in one write(). A write is done at once
// below kWriteWatermarkBytes of queue and waits for the queue to drain above it: backpressure.
// The first error is the last word: every later read and write fails with it. EPIPE, ECONNRESET
// and their like are DISCONNECTED.
#pragma once

#include <kj/async-io.h>
#include <kj/exception.h>
#include <kj/io.h>
#include <uv.h>

#include <string>

#include "rpc/byte_queue.h"
#include "rpc/uv_event_port.h"

namespace holdfast::rpc {

class BufferedStream final : public kj::AsyncIoStream, private TurnObserver {
 public:
  // Whoever takes the input as it comes, instead of asking for it by tryRead(). One a stream.
  class Sink {
   public:
    // input() grew, or the input ended or failed. Must not destroy the stream.
    virtual void on_input() = 0;

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
  // Nothing more will come than what is in input(): the peer closed, or the stream failed.
  bool input_ended() const { return end_of_input_ || failed(); }
  // The message at the head of input() is complete at this size: read on up to it, beyond the read-ahead.
  void want_input(size_t total_bytes);
  // Stops and resumes reading from the socket: requests wait while their sender reads no answers.
  void pause_input(bool paused);
  // Queues bytes without waiting; nothing happens if the stream has failed. The caller watches
  // queued_bytes().
  void queue(const void* bytes, size_t size);
  size_t queued_bytes() const { return outbox_.size(); }
  // Called when the queue has drained below half of kWriteWatermarkBytes after having been above.
  void set_drained(std::function<void()> drained) { drained_ = std::move(drained); }

  bool failed() const { return error_ != nullptr; }
  const kj::Exception& error() const;  // only if failed()
  // Fails the stream, as an error of the socket would.
  void fail(kj::Exception error);

  // Keepalive and TCP_USER_TIMEOUT; does nothing for a unix socket.
  void set_patience(int idle_s, int interval_s, int user_timeout_ms);

  uint64_t bytes_read() const { return bytes_read_; }
  uint64_t bytes_written() const { return bytes_written_; }

 private:
  class ReadRequest;
  class DrainRequest;
  struct Poll;

  void on_turn_end() override;  // flushes
  void on_poll(int status, int events);
  void read_some();
  void input_came();
  void flush();
  void write_directly(kj::ArrayPtr<const kj::byte> bytes);
  void after_write();
  void update_mask();
  kj::Promise<void> when_drained();

  kj::AutoCloseFd fd_;
  Poll* poll_;              // freed in its close callback
  int mask_ = 0;            // what libuv watches for now
  bool writable_wanted_ = false;  // the kernel's buffer is full
  bool end_of_input_ = false;
  bool input_paused_ = false;
  bool shutdown_wanted_ = false;  // shutdownWrite() came; no write may follow
  bool shutdown_done_ = false;
  bool above_watermark_ = false;
  size_t wanted_ = 0;       // see want_input()
  ByteQueue inbox_;
  ByteQueue outbox_;
  kj::Maybe<kj::Exception> error_;
  Sink* sink_ = nullptr;
  ReadRequest* read_ = nullptr;    // the pending tryRead; at most one of read_ and sink_
  DrainRequest* drain_ = nullptr;  // the write that waits
  std::function<void()> drained_;
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> write_disconnected_;
  kj::Maybe<kj::ForkedPromise<void>> write_disconnected_promise_;
  uint64_t bytes_read_ = 0;
  uint64_t bytes_written_ = 0;
};

}  // namespace holdfast::rpc
