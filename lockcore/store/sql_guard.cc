#include "lockcore/store/sql_guard.h"

#include <string_view>

namespace holdfast::store {
namespace {

constexpr int kStepsPerLook = 10'000;

// The secret with which a lease is adopted, and the recorded answers, some of which tell one.
bool is_secret(std::string_view table, std::string_view column) {
  return (table == "lease" && column == "secret") || (table == "answer" && column == "answer");
}

std::string_view or_empty(const char* text) {
  return text == nullptr ? std::string_view() : std::string_view(text);
}

}  // namespace

SqlGuard::SqlGuard(sqlite3* db, uint64_t max_steps)
    : db_(db), steps_left_(static_cast<int64_t>(max_steps)) {
  sqlite3_set_authorizer(db_, &SqlGuard::authorize, this);
  sqlite3_progress_handler(db_, kStepsPerLook, &SqlGuard::on_steps, this);
}

SqlGuard::~SqlGuard() {
  sqlite3_progress_handler(db_, 0, nullptr, nullptr);
  sqlite3_set_authorizer(db_, nullptr, nullptr);
}

int SqlGuard::authorize(void*, int action, const char* first, const char* second, const char*,
                        const char*) {
  switch (action) {
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE: return SQLITE_OK;
    case SQLITE_READ:
      // Reads as NULL: SELECT * goes on.
      return is_secret(or_empty(first), or_empty(second)) ? SQLITE_IGNORE : SQLITE_OK;
    case SQLITE_FUNCTION: return or_empty(second) == "load_extension" ? SQLITE_DENY : SQLITE_OK;
    default: return SQLITE_DENY;
  }
}

int SqlGuard::on_steps(void* self) {
  SqlGuard& guard = *static_cast<SqlGuard*>(self);
  guard.steps_left_ -= kStepsPerLook;
  return guard.gave_up() ? 1 : 0;  // not 0: SQLITE_INTERRUPT
}

}  // namespace holdfast::store
