// Events: what the cell's thread has to tell of sessions, fetched by a Python thread.
//
// Bounded: a session has at most one jeopardy and one loss in it, however slow the one who fetches.
#pragma once

#include <holdfast/holdfast.h>

#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>

#include "bindings/python/src/wait.h"

namespace holdfast::python {

struct Event {
  uint64_t session = 0;  // as its opener named it
  Deadline deadline;     // of a jeopardy
  std::optional<Error> lost;
};

class Events {
 public:
  // On any thread.
  void jeopardy(uint64_t session, Deadline deadline);
  void lost(uint64_t session, const Error& why);
  // No more events; those that are there can still be fetched.
  void close();

  // With the GIL held; waits. nullopt: closed.
  std::optional<Event> next();

 private:
  std::mutex mutex_;  // never held while waiting for anything
  std::deque<Event> events_;
  bool closed_ = false;
  Signal signal_;  // raised once for every event, and by close(); more often than needed is fine
};

}  // namespace holdfast::python
