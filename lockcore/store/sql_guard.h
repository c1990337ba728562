// What people's SQL may do: read, for a while. Installed on the reader's connection around each of
// their questions.
#pragma once

#include <sqlite3.h>

#include <cstdint>

namespace holdfast::store {

class SqlGuard {
 public:
  // Until destroyed: SELECT alone, no secrets, and only so many steps of SQLite's machine.
  SqlGuard(sqlite3* db, uint64_t max_steps);
  ~SqlGuard();
  SqlGuard(const SqlGuard&) = delete;
  SqlGuard& operator=(const SqlGuard&) = delete;

  bool gave_up() const { return steps_left_ <= 0; }

 private:
  static int authorize(void* self, int action, const char* first, const char* second,
                       const char* database, const char* trigger);
  static int on_steps(void* self);

  sqlite3* const db_;
  int64_t steps_left_;
};

}  // namespace holdfast::store
