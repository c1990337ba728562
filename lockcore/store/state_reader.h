// Reads of state.db beside its writer: the history, and people's questions in SQL.
//
// A connection of its own that only reads: it never writes, never checkpoints, and each question is
// one short transaction, so that the writer's checkpoints aren't held back (DESIGN 8). Used by one
// thread. What goes wrong is told to who asked, and hurts nobody else.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "lockcore/base/error.h"
#include "lockcore/base/state_rows.h"

namespace holdfast::store {

// Events above a revision, oldest first.
struct EventsQuery {
  std::string name;    // of the lock or key
  bool exact = false;  // false: all names that begin with it
  base::Revision after;
  uint64_t since_wall_ms = 0;  // not those of before
  size_t limit = 0;
  size_t max_bytes = 0;
};
struct EventsPage {
  base::EventRows events;
  base::Revision upto;            // everything through it has been looked at
  base::Revision pruned_through;  // what is at or below it is not there any more
};

struct SqlQuery {
  std::string text;
  size_t max_rows = 0;
  size_t max_bytes = 0;
};
// NULL, and SQLite's four kinds of values; a blob is told apart from a text by its type.
struct SqlBlob {
  std::string bytes;
  bool operator==(const SqlBlob&) const = default;
};
using SqlValue = std::variant<std::monostate, int64_t, double, std::string, SqlBlob>;
struct SqlRows {
  std::vector<std::string> columns;
  std::vector<std::vector<SqlValue>> rows;
  bool more = false;  // there are more than asked for
};

class StateReader {
 public:
  explicit StateReader(std::string path);
  ~StateReader();

  std::variant<EventsPage, base::Error> events(const EventsQuery& query);
  // One SELECT. Secrets can't be read; a question that takes too long is given up.
  std::variant<SqlRows, base::Error> sql(const SqlQuery& query);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Does an event of this name belong to what is asked for?
inline bool names_match(std::string_view asked, bool exact, std::string_view name) {
  return exact ? name == asked : name.starts_with(asked);
}

}  // namespace holdfast::store
