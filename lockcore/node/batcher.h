// Batcher: commands that wait to be proposed, and those under way (P12).
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <vector>

#include "lockcore/base/ballot.h"
#include "lockcore/base/ids.h"
#include "lockcore/locks/command.h"

namespace holdfast::node {

class Batcher {
 public:
  // A batch in a slot of the present ballot, kept decoded so that the leader need not decode it.
  struct Proposed {
    base::Slot slot;
    locks::Batch batch;
  };

  void add(locks::Command command);
  bool empty() const { return queue_.empty(); }
  bool full() const;  // a whole batch is waiting: worth a slot although the writer is busy
  size_t pending() const { return queue_.size() + proposed_commands_; }

  // Takes as many commands as one batch may have.
  locks::Batch seal(uint64_t cell_time_ms, uint64_t wall_ms);
  void proposed(base::Slot slot, locks::Batch batch);
  // The batch that this leader proposed for `slot`, if it did, in the present ballot.
  std::optional<locks::Batch> take_proposed(base::Slot slot);

  // Stepping down: what is queued is forgotten. A decision kept here until this node leads again
  // would be carried out long after it was true (P13); a client's command is sent again by its
  // client.
  void clear();

 private:
  struct Queued {
    locks::Command command;
    size_t bytes;
  };
  std::deque<Queued> queue_;
  size_t queued_bytes_ = 0;
  std::deque<Proposed> proposed_;  // by slot, ascending
  size_t proposed_commands_ = 0;   // sum over proposed_
};

}  // namespace holdfast::node
