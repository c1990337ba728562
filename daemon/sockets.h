// Who may reach a unix socket: its directory, and its mode.
#pragma once

#include <stdexcept>
#include <string>

namespace holdfast::daemon {

// Why an address can't be listened on.
class ListenError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Makes the directory (0700) of a socket at this path, if there is none.
void make_socket_directory(const std::string& path);
// Who may enter the directory may connect: the directory is the lock, and systemd sets its group.
void open_socket_to_group(const std::string& path);

}  // namespace holdfast::daemon
