// A connection to guarded.py, which stands for what locks protect: it takes writes with tokens.
#pragma once

#include <cstdint>
#include <string>

namespace holdfast::testing {

class GuardedClient {
 public:
  // Throws std::system_error if nobody listens there.
  explicit GuardedClient(const std::string& socket_path);
  ~GuardedClient();
  GuardedClient(const GuardedClient&) = delete;
  GuardedClient& operator=(const GuardedClient&) = delete;

  // Whether it was admitted; refused: a greater token has been seen.
  bool write(const std::string& lock, const std::string& mode, uint64_t token,
             const std::string& client);

 private:
  int fd_;
};

}  // namespace holdfast::testing
