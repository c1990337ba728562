// Calls for events that wait until there are some: a watch is nothing else, again and again.
//
// What is kept here is bounded by the calls that wait; a watcher that is slow to come back, or
// doesn't, is not here. Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "lockcore/base/time.h"
#include "lockcore/locks/lock_table.h"

namespace holdfast::daemon {

// Somebody who waits for events.
class EventPoll {
 public:
  // There is something to look at, or the time is up. It doesn't wait any more.
  virtual void on_due() = 0;

 protected:
  ~EventPoll() = default;
};

class EventPolls {
 public:
  // Until an event comes whose name is `name` (not exact: begins with it), or until `until`.
  // Everything through the revision of the last look() has been looked at.
  void wait(EventPoll& poll, std::string name, bool exact, base::Instant until);
  void forget(EventPoll& poll);  // does nothing if it doesn't wait
  size_t size() const { return polls_.size(); }

  // Tells those for whom something came since the last look, or whose time is up. Returns whether
  // there were any. They may wait again at once.
  bool look(const locks::LockTable& table, base::Instant now);

 private:
  struct Poll {
    std::string name;
    bool exact = false;
    base::Instant until;
  };
  using ByName = std::unordered_multimap<std::string_view, EventPoll*>;  // views into polls_

  void find_due(std::string_view name);
  void take_all(ByName& polls, std::string_view name);
  void take_all();
  static void erase_from(ByName& polls, std::string_view name, EventPoll* poll);
  void count_length(size_t length, int change);

  std::unordered_map<EventPoll*, Poll> polls_;
  ByName exact_;
  ByName prefixes_;
  std::map<size_t, int> prefix_lengths_;  // how many there are of each
  std::set<std::pair<base::Instant, EventPoll*>> deadlines_;
  base::Revision seen_;
  std::vector<EventPoll*> due_;  // scratch
};

}  // namespace holdfast::daemon
