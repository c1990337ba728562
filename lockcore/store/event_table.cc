#include "lockcore/store/event_table.h"

#include <algorithm>
#include <string_view>
#include <unordered_set>

#include "lockcore/store/data_dir.h"

namespace holdfast::store {
namespace {

// Old events deleted in one write beyond as many as it adds: history shrinks back to its limit,
// but never in one long transaction.
constexpr uint64_t kPrunedPerWrite = 2000;

// A StoredEvent to be written: nothing is copied on the way to the statement.
struct EventToStore {
  const base::EventRow& row;
  uint64_t owner;
  std::string_view cause;
};

uint64_t bytes_of(const base::EventRow& event) {
  return event.name.size() + event.note.size() + event.value.size();
}

uint64_t excess(uint64_t count, uint64_t limit) {
  return count > limit ? count - limit : 0;
}

}  // namespace

EventTable::EventTable(Connection& db, const HistoryLimits& limits)
    : db_(db),
      limits_(limits),
      put_event_(db),
      put_owner_(db),
      oldest_(db,
              "SELECT revision, cell_ms, length(CAST(name AS BLOB)) + length(CAST(note AS BLOB))"
              " + length(value) FROM event ORDER BY revision"),
      prune_events_(db, "DELETE FROM event WHERE revision <= ?"),
      prune_owners_(db, "DELETE FROM event_owner WHERE last_event <= ?") {}

void EventTable::fail(const std::string& what) {
  db_.fail(StoreError::Kind::kDamaged, what + "; " + kReplaceAdvice);
}

// Nobody loads them: people and watchers read them, and pruning goes by them.
void EventTable::check(const StateMeta& meta) {
  OwnerPool pool;
  std::unordered_set<uint64_t> owners;
  RowReader<EventOwnerRow> owner_reader(db_, pool);
  for (EventOwnerRow row; owner_reader.next(); owners.insert(row.id)) {
    if (owner_reader.read(row)) continue;
    fail("table `event_owner`: the row with key " + owner_reader.key() + " fails its checksum");
  }
  uint64_t count = 0;
  uint64_t bytes = 0;
  RowReader<StoredEvent> reader(db_, pool);
  for (StoredEvent event; reader.next(); ++count) {
    if (!reader.read(event)) {
      fail("table `event`: the row with key " + reader.key() + " fails its checksum");
    }
    if (event.owner != 0 && !owners.contains(event.owner)) {
      fail("table `event_owner`: row " + std::to_string(event.owner) + " is missing");
    }
    bytes += bytes_of(event.row);
  }
  if (count == meta.events && bytes == meta.event_bytes) return;
  fail("table `event`: has " + std::to_string(count) + " rows and " + std::to_string(bytes) +
       " bytes instead of " + std::to_string(meta.events) + " and " +
       std::to_string(meta.event_bytes));
}

// Under load every command makes an event or two.
void EventTable::append(const base::EventRows& events, StateMeta& meta) {
  owners_.clear();  // what the pointers pointed at may be gone
  for (const base::EventRow& event : events) {
    put_event_.put(EventToStore{event, id_of(event), event.cause});
    meta.event_bytes += bytes_of(event);
  }
  meta.events += events.size();
  for (const auto& [owner, row] : owners_) put_owner_.put(row);
}

uint64_t EventTable::id_of(const base::EventRow& event) {
  if (event.owner == nullptr) return 0;
  EventOwnerRow& row = owners_[event.owner.get()];
  if (row.owner == nullptr) {
    row.owner = event.owner;
    row.id = std::max<uint64_t>(base::hash_of(*event.owner), 1);
  }
  row.last_event = event.revision;
  return row.id;
}

// Revisions and cell time grow together, so what goes is always the lowest revisions.
void EventTable::prune(uint64_t added, StateMeta& meta) {
  const uint64_t too_many = excess(meta.events, limits_.events);
  const uint64_t too_long = excess(meta.event_bytes, limits_.bytes);
  const uint64_t oldest_kept = excess(meta.row.cell_time_ms, limits_.age_ms);
  uint64_t budget = kPrunedPerWrite + added;
  uint64_t pruned = 0;
  uint64_t pruned_bytes = 0;
  uint64_t last_pruned = 0;
  while (budget-- > 0 && oldest_.step()) {
    const bool has_to_go =
        pruned < too_many || pruned_bytes < too_long || oldest_.number(1) < oldest_kept;
    if (!has_to_go) break;
    last_pruned = oldest_.number(0);
    pruned_bytes += oldest_.number(2);
    ++pruned;
  }
  oldest_.reset();
  if (pruned == 0) return;
  prune_events_.bind(1, last_pruned);
  prune_events_.run();
  prune_owners_.bind(1, last_pruned);
  prune_owners_.run();
  meta.events -= pruned;
  meta.event_bytes -= pruned_bytes;
  meta.pruned = {last_pruned};
}

}  // namespace holdfast::store
