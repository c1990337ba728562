// A lock, or several at once, being acquired, and kept, while the main thread stays free for
// signals: the library's callbacks leave word here and ring a descriptor.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bindings/cli/unique_fd.h"
#include "bindings/cli/verb.h"
#include "holdfast/holdfast.h"

namespace holdfast::cli {

class Acquisition {
 public:
  // Opens a session and acquires under it.
  Acquisition(const Cell& cell, const AcquireOptions& options);
  // Gives back what is held, and closes the cell: the lease ends now.
  ~Acquisition();
  Acquisition(const Acquisition&) = delete;
  Acquisition& operator=(const Acquisition&) = delete;

  // Readable when something below has changed.
  int fd() const;
  void clear_fd();

  bool answered() const;  // acquired, or surely not, or failed
  bool acquired() const;
  // Throws what went wrong, if anything did: the acquire, or the lease since.
  void rethrow() const;
  std::optional<Error> lost() const;  // the lease or the lock is not certainly ours any more
  bool in_jeopardy() const;           // the renewal is overdue
  Deadline deadline() const;          // of the newest renewal
  uint64_t token() const { return tokens().front(); }
  std::vector<uint64_t> tokens() const;  // of all locks, as AcquireOptions::wishes() has them
  std::string lease() const;

  // Gives the locks and the lease back. Throws what Grant::release() throws.
  void release();
  // Leaves lock and lease to whoever has their names.
  OpenedLease detach();

 private:
  struct State;
  Cell cell_;
  std::shared_ptr<State> state_;  // also held by callbacks that may still come
};

}  // namespace holdfast::cli
