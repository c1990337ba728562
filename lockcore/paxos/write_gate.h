// What goes to log.db, and what may only be said once it is there (P2).
//
// All that one turn has to store is gathered into one LogWrite, so that one transaction carries it
// (P12). A message that depends on it waits here, first in, first out, until on_written().
#pragma once

#include <deque>
#include <optional>

#include "lockcore/base/log_row.h"
#include "lockcore/base/time.h"
#include "lockcore/paxos/replica.h"

namespace holdfast::paxos {

// What a restart would find. Only this is told in a Hello: a peer keeps it, and takes less for a
// disk that was put back (P10).
struct DurableFacts {
  base::Ballot promised;
  base::Slot highest_accepted;
  base::FoundingState founding = base::FoundingState::kEmpty;
};

class WriteGate {
 public:
  explicit WriteGate(DurableFacts recovered) : durable_facts_(recovered), facts_(recovered) {}

  // The write of this turn; opened when first asked for.
  base::LogWrite& open();
  bool is_open() const { return open_.has_value(); }
  // Hands the turn's write to the driver, if there is one.
  void seal(base::Instant now, Effects& fx);
  // Sends `out` once everything handed over so far, this turn's write included, is durable: at once
  // if it all is.
  void hold(Outgoing out, Effects& fx);
  // Everything through `id` is durable: its messages go. False: that was known before.
  bool written(base::WriteId id, Effects& fx);

  base::WriteId last() const { return last_; }  // the newest one, opened or handed over
  base::WriteId durable() const { return durable_; }
  bool is_durable(base::WriteId id) const { return id <= durable_; }
  bool idle() const { return sealed_.empty(); }  // nothing is with the writer
  const DurableFacts& facts() const { return durable_facts_; }
  // When the oldest write that is still with the writer was handed over.
  std::optional<base::Instant> oldest() const;
  // After a pause of the whole process: the writer's end may just not have been heard yet.
  void forgive(base::Instant handed_over_at_the_earliest);
  size_t held() const { return held_.size(); }
  base::WriteId first_held() const { return held_.empty() ? base::WriteId{} : held_.front().after; }

 private:
  struct Sealed {
    base::WriteId id;
    base::Instant at;
    DurableFacts facts;  // true once it is durable
  };
  struct Held {
    base::WriteId after;
    Outgoing out;
  };

  std::optional<base::LogWrite> open_;
  std::deque<Sealed> sealed_;  // by id, all above durable_
  std::deque<Held> held_;      // by `after`, all above durable_
  base::WriteId last_;
  base::WriteId durable_;  // <= last_
  DurableFacts durable_facts_;
  DurableFacts facts_;  // with everything sealed
};

}  // namespace holdfast::paxos
