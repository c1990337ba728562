#include "lockcore/store/state_reader.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "lockcore/store/row_codec.h"
#include "lockcore/store/sql_guard.h"
#include "lockcore/store/sqlite.h"
#include "lockcore/store/state_columns.h"

namespace holdfast::store {
namespace {

// Revisions looked through for one page, however few of them match: a page stays a short
// transaction.
constexpr uint64_t kRevisionsPerPage = 100'000;
// Of SQLite's machine, for one question of people: some seconds.
constexpr uint64_t kMaxSqlSteps = 200'000'000;
constexpr int kMaxSqlBytes = 64 * 1024;
constexpr size_t kMaxSqlColumns = 1000;

constexpr const char* kRange = "WHERE revision > ?1 AND revision <= ?2 AND at_ms >= ?3";

base::Error unreadable(const StoreError& error) {
  return {base::ErrorCode::kInternal, std::string("the record can't be read: ") + error.what(), {}};
}

base::Error bad_query(std::string message) {
  return {base::ErrorCode::kInvalidArgument, std::move(message), {}};
}

// One consistent look at several tables.
class ReadTransaction {
 public:
  explicit ReadTransaction(Connection& db) : db_(db) { db_.exec("BEGIN"); }
  ~ReadTransaction() { sqlite3_exec(db_.handle(), "COMMIT", nullptr, nullptr, nullptr); }
  ReadTransaction(const ReadTransaction&) = delete;
  ReadTransaction& operator=(const ReadTransaction&) = delete;

 private:
  Connection& db_;
};

size_t bytes_of(const base::EventRow& event) {
  return 512 + event.name.size() + event.note.size() + event.value.size();
}

SqlValue value_at(sqlite3_stmt* row, int column) {
  const auto bytes = [&] {
    const void* data = sqlite3_column_blob(row, column);
    const auto size = static_cast<size_t>(sqlite3_column_bytes(row, column));
    return data == nullptr ? std::string() : std::string(static_cast<const char*>(data), size);
  };
  switch (sqlite3_column_type(row, column)) {
    case SQLITE_INTEGER: return static_cast<int64_t>(sqlite3_column_int64(row, column));
    case SQLITE_FLOAT: return sqlite3_column_double(row, column);
    case SQLITE_TEXT: return bytes();
    case SQLITE_BLOB: return SqlBlob{bytes()};
    default: return std::monostate();
  }
}

size_t bytes_of(const SqlValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return 24 + text->size();
  if (const auto* blob = std::get_if<SqlBlob>(&value)) return 24 + blob->bytes.size();
  return 24;
}

// A statement of somebody else's making, which may fail without harm.
struct Query {
  Query(sqlite3* db, const std::string& text) {
    code = sqlite3_prepare_v2(db, text.data(), static_cast<int>(text.size()), &statement, &tail);
  }
  ~Query() { sqlite3_finalize(statement); }
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;

  int code = SQLITE_OK;
  sqlite3_stmt* statement = nullptr;
  const char* tail = nullptr;
};

}  // namespace

struct StateReader::Impl {
  explicit Impl(std::string file) : path(std::move(file)) {}

  // A connection that failed is not used again.
  Connection& open() {
    if (db == nullptr) {
      db = std::make_unique<Connection>(FileSystem::real(), path,
                                        Connection::Options{.read_only = true});
    }
    return *db;
  }

  EventsPage events(const EventsQuery& query) {
    Connection& connection = open();
    const ReadTransaction transaction(connection);
    StateMeta meta;
    RowReader<StateMeta> metas(connection, owners);
    if (!metas.next() || !metas.read(meta)) {
      connection.fail(StoreError::Kind::kDamaged, "table `meta`: its row fails its checksum");
    }
    EventsPage page;
    page.pruned_through = meta.pruned;
    page.upto = {std::min(meta.row.revision.value, query.after.value + kRevisionsPerPage)};
    if (page.upto <= query.after) {
      page.upto = query.after;
      return page;
    }
    fill(connection, query, page);
    return page;
  }

  void fill(Connection& connection, const EventsQuery& query, EventsPage& page) {
    std::string which = kRange;
    if (query.exact) {
      which += " AND name = ?4";
    } else if (!query.name.empty()) {
      which += " AND name >= ?4 AND name < ?5";
    }
    RowReader<StoredEvent> reader(connection, owners, which + " ORDER BY revision");
    Statement& statement = reader.statement();
    const std::string behind = query.name + '\xff';  // above every name that begins with it
    statement.bind(1, query.after.value);
    statement.bind(2, page.upto.value);
    statement.bind(3, query.since_wall_ms);
    if (query.exact || !query.name.empty()) statement.bind_text(4, query.name);
    if (!query.exact && !query.name.empty()) statement.bind_text(5, behind);
    size_t bytes = 0;
    for (StoredEvent event; reader.next();) {
      if (!reader.read(event)) {
        connection.fail(StoreError::Kind::kDamaged,
                        "table `event`: the row with key " + reader.key() + " fails its checksum");
      }
      bytes += bytes_of(event.row);
      const bool full =
          page.events.size() >= query.limit || (bytes > query.max_bytes && !page.events.empty());
      if (full) {
        page.upto = page.events.back().revision;
        return;
      }
      event.row.owner = owner_of(connection, event.owner);
      event.row.cause = causes.insert(event.cause).first->c_str();
      page.events.push_back(std::move(event.row));
    }
  }

  std::shared_ptr<const base::Owner> owner_of(Connection& connection, uint64_t id) {
    if (id == 0) return nullptr;
    if (id == last_owner.id) return last_owner.owner;
    RowReader<EventOwnerRow> reader(connection, owners, "WHERE owner = ?1");
    reader.statement().bind(1, id);
    EventOwnerRow row;
    if (!reader.next() || !reader.read(row)) {
      connection.fail(StoreError::Kind::kDamaged, "table `event_owner`: the row with key " +
                                                      std::to_string(id) + " can't be used");
    }
    last_owner = row;
    return row.owner;
  }

  std::variant<SqlRows, base::Error> sql(const SqlQuery& query) {
    sqlite3* handle = open().handle();
    sqlite3_limit(handle, SQLITE_LIMIT_SQL_LENGTH, kMaxSqlBytes);
    sqlite3_limit(handle, SQLITE_LIMIT_COLUMN, kMaxSqlColumns);
    sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, static_cast<int>(query.max_bytes));
    const SqlGuard guard(handle, kMaxSqlSteps);
    const Query question(handle, query.text);
    if (question.code != SQLITE_OK) return refused(handle, question.code);
    if (question.statement == nullptr) return bad_query("the query is empty: give a SELECT");
    if (std::string_view(question.tail).find_first_not_of(" \t\r\n;") != std::string_view::npos) {
      return bad_query("there is more than one statement: give one SELECT");
    }
    return rows_of(handle, guard, question.statement, query);
  }

  static std::variant<SqlRows, base::Error> rows_of(sqlite3* handle, const SqlGuard& guard,
                                                    sqlite3_stmt* statement,
                                                    const SqlQuery& query) {
    SqlRows out;
    const int columns = sqlite3_column_count(statement);
    for (int i = 0; i < columns; ++i) out.columns.emplace_back(sqlite3_column_name(statement, i));
    size_t bytes = 0;
    for (;;) {
      const int code = sqlite3_step(statement);
      if (code == SQLITE_DONE) return out;
      if (guard.gave_up()) {
        return base::Error{base::ErrorCode::kResourceExhausted,
                           "the query took too long and was given up: ask for less",
                           {{"limit", "sqlSteps"}, {"value", std::to_string(kMaxSqlSteps)}}};
      }
      if (code != SQLITE_ROW) return refused(handle, code);
      std::vector<SqlValue> row;
      for (int i = 0; i < columns; ++i) {
        row.push_back(value_at(statement, i));
        bytes += bytes_of(row.back());
      }
      if (out.rows.size() >= query.max_rows || (bytes > query.max_bytes && !out.rows.empty())) {
        out.more = true;
        return out;
      }
      out.rows.push_back(std::move(row));
    }
  }

  static base::Error refused(sqlite3* handle, int code) {
    const std::string what = sqlite3_errmsg(handle);
    switch (code & 0xff) {
      case SQLITE_AUTH:
        return {base::ErrorCode::kPermissionDenied,
                "only SELECT is allowed: the record changes through the cell alone",
                {}};
      case SQLITE_ERROR:
      case SQLITE_TOOBIG: return bad_query(what);
      default: return {base::ErrorCode::kInternal, "the record can't be read: " + what, {}};
    }
  }

  const std::string path;
  std::unique_ptr<Connection> db;  // null: not open
  OwnerPool owners;
  EventOwnerRow last_owner;
  std::set<std::string> causes;  // what EventRow::cause points to: the few words that there are
};

StateReader::StateReader(std::string path) : impl_(std::make_unique<Impl>(std::move(path))) {}

StateReader::~StateReader() = default;

std::variant<EventsPage, base::Error> StateReader::events(const EventsQuery& query) {
  try {
    return impl_->events(query);
  } catch (const StoreError& error) {
    impl_->db.reset();
    return unreadable(error);
  }
}

std::variant<SqlRows, base::Error> StateReader::sql(const SqlQuery& query) {
  try {
    return impl_->sql(query);
  } catch (const StoreError& error) {
    impl_->db.reset();
    return unreadable(error);
  }
}

}  // namespace holdfast::store
