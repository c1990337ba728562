// BufferedStream: reading ahead, gathering, backpressure, ends and errors.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>

#include <cstring>
#include <string>

#include "rpc/dial.h"
#include "rpc/listener.h"
#include "tests/unit/rpc/rpc_fixture.h"

namespace holdfast::rpc {

namespace {

std::string read_text(BufferedStream& stream, EventLoop& loop, size_t min, size_t max) {
  std::string text(max, '\0');
  const size_t count = stream.tryRead(text.data(), min, max).wait(loop.wait_scope());
  text.resize(count);
  return text;
}

void write_all(int fd, const std::string& text) {
  REQUIRE(::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

// Reads what there is, without waiting.
size_t drain(int fd) {
  char buffer[65536];
  const ssize_t count = ::recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
  return count > 0 ? static_cast<size_t>(count) : 0;
}

}  // namespace

// One read() takes several messages; the readers then find them without a system call.
TEST_CASE("stream: bytes that came together are handed out in the pieces that are asked for") {
  EventLoop loop;
  auto [stream, fd] = make_stream_and_fd(loop);
  write_all(fd, "onetwothree");
  CHECK(read_text(*stream, loop, 3, 3) == "one");
  CHECK(read_text(*stream, loop, 3, 3) == "two");
  CHECK(read_text(*stream, loop, 1, 100) == "three");
}

// KJ drops promises whenever it likes; the bytes must go to whoever reads next.
TEST_CASE("stream: a dropped read loses nothing, and the next one gets the bytes") {
  EventLoop loop;
  auto [stream, fd] = make_stream_and_fd(loop);
  char nowhere[8];
  { auto dropped = stream->tryRead(nowhere, 4, 8).eagerlyEvaluate(nullptr); }
  {
    // Dropped after the bytes came and the promise was fulfilled, but before its continuation ran.
    auto dropped = stream->tryRead(nowhere, 4, 8);
    write_all(fd, "kept");
    loop.port().poll();
  }
  CHECK(read_text(*stream, loop, 4, 8) == "kept");
}

// DESIGN 9: one system call for all that a turn writes.
TEST_CASE("stream: what is written in one turn arrives in one piece") {
  EventLoop loop;
  int fds[2];
  // A packet socket keeps the boundaries of the writes.
  REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
  kj::AutoCloseFd other(fds[1]);
  BufferedStream stream(loop.port(), kj::AutoCloseFd(fds[0]));
  for (const char* part : {"a", "bc", "def"}) {
    stream.write(part, std::strlen(part)).wait(loop.wait_scope());
  }
  loop.timer().afterDelay(1 * kj::MILLISECONDS).wait(loop.wait_scope());
  char buffer[64];
  REQUIRE(::recv(other.get(), buffer, sizeof buffer, MSG_DONTWAIT) == 6);
  CHECK(std::string(buffer, 6) == "abcdef");
}

// Larger than any socket buffer and than the read-ahead: every byte, in order.
TEST_CASE("stream: a large write arrives whole") {
  EventLoop loop;
  int fds[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
  BufferedStream writer(loop.port(), kj::AutoCloseFd(fds[0]));
  BufferedStream reader(loop.port(), kj::AutoCloseFd(fds[1]));
  std::string sent(9'000'001, '\0');
  for (size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(i * 2654435761u >> 24);
  auto writing = writer.write(sent.data(), sent.size())
                     .then([&]() { writer.shutdownWrite(); })
                     .eagerlyEvaluate(nullptr);
  CHECK(read_text(reader, loop, sent.size(), sent.size()) == sent);
  CHECK(read_text(reader, loop, 1, 10).empty());  // the end
}

// Without this a slow reader makes the writer's process grow.
TEST_CASE("stream: writes wait above the watermark and go on when the reader reads") {
  EventLoop loop;
  auto [stream, fd] = make_stream_and_fd(loop);
  const std::string block(64 * 1024, 'x');
  bool done = false;
  size_t written = 0;
  std::function<kj::Promise<void>()> write_on = [&]() -> kj::Promise<void> {
    written += block.size();
    return stream->write(block.data(), block.size()).then([&]() -> kj::Promise<void> {
      return written < 4'000'000 ? write_on() : kj::READY_NOW;
    });
  };
  auto writing = write_on().then([&]() { done = true; }).eagerlyEvaluate(nullptr);
  REQUIRE(run_until(loop, [&]() { return stream->congested(); }));
  CHECK(!done);
  CHECK(stream->queued_bytes() <= kWriteWatermarkBytes + block.size());
  size_t received = 0;
  CHECK(run_until(loop, [&]() {
    received += drain(fd);
    return done;
  }));
  CHECK(run_until(loop, [&]() {
    received += drain(fd);
    return received == written;
  }));
}

TEST_CASE("stream: at its limit of queued bytes it fails as overloaded") {
  EventLoop loop;
  auto [stream, fd] = make_stream_and_fd(loop);
  stream->set_max_queued_bytes(2'000'000);
  const std::string block(100'000, 'x');
  for (int i = 0; i < 100 && !stream->failed(); ++i) stream->queue(block.data(), block.size());
  REQUIRE(stream->failed());
  CHECK(stream->error().getType() == kj::Exception::Type::OVERLOADED);
  CHECK(stream->queued_bytes() == 0);
}

// The other side is gone: everything that waits must learn it, now and later.
TEST_CASE("stream: a writer whose reader is gone gets DISCONNECTED, and so does everything after") {
  EventLoop loop;
  auto [stream, fd] = make_stream_and_fd(loop);
  bool told = false;
  auto watch =
      stream->whenWriteDisconnected().then([&]() { told = true; }).eagerlyEvaluate(nullptr);
  const std::string block(1'000'000, 'x');
  auto waiting = stream->write(block.data(), block.size());
  fd = nullptr;
  auto error = kj::runCatchingExceptions([&]() { waiting.wait(loop.wait_scope()); });
  CHECK(KJ_ASSERT_NONNULL(error).getType() == kj::Exception::Type::DISCONNECTED);
  CHECK(run_until(loop, [&]() { return told; }));
  CHECK_THROWS_AS(stream->write("x", 1).wait(loop.wait_scope()), kj::Exception);
  char nowhere[4];
  CHECK_THROWS_AS(stream->tryRead(nowhere, 1, 4).wait(loop.wait_scope()), kj::Exception);
}

TEST_CASE("stream: what is queued goes out before shutdownWrite takes effect") {
  EventLoop loop;
  auto [stream, fd] = make_stream_and_fd(loop);
  stream->write("last words", 10).wait(loop.wait_scope());
  stream->shutdownWrite();
  BufferedStream reader(loop.port(), kj::mv(fd));
  CHECK(read_text(reader, loop, 100, 100) == "last words");
}

// The word of why a connection ends is written right before it is closed.
TEST_CASE("stream: what is queued goes out when the stream is destroyed") {
  EventLoop loop;
  auto [stream, fd] = make_stream_and_fd(loop);
  stream->write("bye", 3).wait(loop.wait_scope());
  stream = nullptr;
  BufferedStream reader(loop.port(), kj::mv(fd));
  CHECK(read_text(reader, loop, 100, 100) == "bye");
}

TEST_CASE("stream: abortRead ends the reading and leaves the writing") {
  EventLoop loop;
  auto [stream, fd] = make_stream_and_fd(loop);
  char nowhere[4];
  auto reading = stream->tryRead(nowhere, 1, 4);
  stream->abortRead();
  CHECK(reading.wait(loop.wait_scope()) == 0);
  stream->write("still here", 10).wait(loop.wait_scope());
  BufferedStream reader(loop.port(), kj::mv(fd));
  CHECK(read_text(reader, loop, 10, 10) == "still here");
}

TEST_CASE("listener: streams over TCP and unix sockets carry bytes both ways") {
  EventLoop loop;
  const Address addresses[] = {{Address::Kind::kTcp, "127.0.0.1", 0},
                               {Address::Kind::kTcp, "localhost", 0},
                               test_address("both-ways")};
  for (const Address& address : addresses) {
    CAPTURE(address.text());
    kj::Own<BufferedStream> accepted;
    std::string peer;
    auto listener = Listener::listen(
        loop.port(), address,
        [&](kj::Own<BufferedStream> stream, std::string from) {
          accepted = kj::mv(stream);
          peer = std::move(from);
        },
        nullptr);
    auto dialled = dial(loop.port(), listener->address()).wait(loop.wait_scope());
    REQUIRE(run_until(loop, [&]() { return accepted.get() != nullptr; }));
    CHECK(!peer.empty());
    dialled->write("ping", 4).wait(loop.wait_scope());
    CHECK(read_text(*accepted, loop, 4, 4) == "ping");
    accepted->write("pong", 4).wait(loop.wait_scope());
    CHECK(read_text(*dialled, loop, 4, 4) == "pong");
  }
}

TEST_CASE(
    "listener: a dead unix socket is replaced, a live one is an error, the file goes at the end") {
  EventLoop loop;
  const Address address = test_address("dead-or-alive");
  const auto ignore = [](kj::Own<BufferedStream>, std::string) {};
  {
    auto first = Listener::listen(loop.port(), address, ignore, nullptr);
    CHECK_THROWS_WITH_AS(Listener::listen(loop.port(), address, ignore, nullptr),
                         doctest::Contains("another process is listening there"), kj::Exception);
  }
  CHECK(::access(address.host.c_str(), F_OK) != 0);
  {
    // A process that was killed leaves its file behind.
    auto killed = Listener::listen(loop.port(), address, ignore, nullptr);
    REQUIRE(::rename(address.host.c_str(), (address.host + ".kept").c_str()) == 0);
  }
  REQUIRE(::rename((address.host + ".kept").c_str(), address.host.c_str()) == 0);
  auto second = Listener::listen(loop.port(), address, ignore, nullptr);
  dial(loop.port(), address).wait(loop.wait_scope());
}

TEST_CASE("dial: nobody there is DISCONNECTED, with the address in the message") {
  EventLoop loop;
  auto error = kj::runCatchingExceptions([&]() {
    dial(loop.port(), {Address::Kind::kTcp, "127.0.0.1", 1}).wait(loop.wait_scope());
  });
  auto& exception = KJ_ASSERT_NONNULL(error);
  CHECK(exception.getType() == kj::Exception::Type::DISCONNECTED);
  CHECK(std::string(exception.getDescription().cStr()).find("127.0.0.1:1") != std::string::npos);
}

TEST_CASE("dial: a dropped attempt leaves nothing behind") {
  EventLoop loop;
  { auto dropped = dial(loop.port(), {Address::Kind::kTcp, "localhost", 1}); }
  {
    auto dropped =
        dial(loop.port(), {Address::Kind::kTcp, "192.0.2.1", 1}).eagerlyEvaluate(nullptr);
  }
}

TEST_CASE("address: what is written is read back, and nonsense says what is wrong") {
  std::string why;
  for (const char* good : {"host:7420", "127.0.0.1:1", "[::1]:65535", "unix:/run/x.sock"}) {
    const auto address = parse_address(good, why);
    REQUIRE(address);
    CHECK(address->text() == good);
  }
  CHECK(parse_address("host", why, 7420)->port == 7420);
  for (const char* bad : {"", ":1", "host", "host:", "host:65536", "host:-1", "host:1x", "::1:5",
                          "[::1", "[::1]5", "unix:", "a b:1"}) {
    CAPTURE(bad);
    why.clear();
    CHECK(!parse_address(bad, why));
    CHECK(!why.empty());
  }
  CHECK(!parse_address("unix:" + std::string(200, 'x'), why));
}

}  // namespace holdfast::rpc
