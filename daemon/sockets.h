// What has to be true of the file system before a unix socket can be bound, and of it afterwards.
#pragma once

#include <stdexcept>
#include <string>

namespace holdfast::daemon {

// Why an address can't be listened on.
class ListenError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Makes the directory (0700) if there is none, and removes a socket on which nobody listens any
// more. Throws ListenError if somebody does, or if the path is something else.
void prepare_unix_socket(const std::string& path);
// Who may enter the directory may connect: the directory is the lock, and systemd sets its group.
void open_unix_socket_to_group(const std::string& path);

}  // namespace holdfast::daemon
