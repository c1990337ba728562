// The history as it is written: tables `event` and `event_owner` of state.db, bounded by count,
// bytes and age (DESIGN 8). Used by StateDb, in its transactions.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "lockcore/base/state_rows.h"
#include "lockcore/store/row_codec.h"
#include "lockcore/store/sqlite.h"
#include "lockcore/store/state_columns.h"
#include "lockcore/store/state_db.h"

namespace holdfast::store {

class EventTable {
 public:
  EventTable(Connection& db, const HistoryLimits& limits);

  // Throws kDamaged unless every row is what was written, and as many as `meta` says.
  void check(const StateMeta& meta);
  // Adds the events and takes away what is too much or too old, at the moment that meta.row tells.
  void append(const base::EventRows& events, StateMeta& meta);
  void prune(uint64_t added, StateMeta& meta);

 private:
  void put_owners();
  uint64_t id_of(const base::EventRow& event);
  [[noreturn]] void fail(const std::string& what);

  Connection& db_;
  const HistoryLimits limits_;
  RowWriter<StoredEvent> put_event_;
  RowWriter<EventOwnerRow> put_owner_;
  Statement oldest_;
  Statement prune_events_;
  Statement prune_owners_;
  std::unordered_map<const base::Owner*, EventOwnerRow> owners_;  // of the events being appended
};

}  // namespace holdfast::store
