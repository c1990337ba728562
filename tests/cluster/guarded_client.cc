#include "tests/cluster/guarded_client.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

namespace holdfast::testing {
namespace {

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

GuardedClient::GuardedClient(const std::string& socket_path)
    : fd_(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, socket_path.c_str(), sizeof address.sun_path - 1);
  if (fd_ < 0 || connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    fail("connecting to what the locks protect");
  }
}

GuardedClient::~GuardedClient() {
  ::close(fd_);
}

bool GuardedClient::write(const std::string& lock, const std::string& mode, uint64_t token,
                          const std::string& client) {
  const std::string words = lock + " " + mode + " " + std::to_string(token) + " " + client;
  char answer = 0;
  if (send(fd_, words.data(), words.size(), MSG_NOSIGNAL) < 0 || recv(fd_, &answer, 1, 0) != 1) {
    fail("writing to what the locks protect");
  }
  return answer == '+';
}

}  // namespace holdfast::testing
