// Rows of state.db to statements and back, by the column lists of state_columns.h.
//
// RowWriter binds every column and its checksum; RowReader reads them and says whether the checksum
// holds; both see the same columns in the same order, so what one writes the other checks.
#pragma once

#include <charconv>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "lockcore/base/state_rows.h"
#include "lockcore/store/row_sum.h"
#include "lockcore/store/sqlite.h"
#include "lockcore/store/state_columns.h"

namespace holdfast::store {

// "3-5 9-9": the closed ranges, as text for people.
std::string format_ranges(const std::vector<std::pair<uint64_t, uint64_t>>& ranges);
// False: not such a text.
bool parse_ranges(std::string_view text, std::vector<std::pair<uint64_t, uint64_t>>& ranges);

// Equal owners become one object: 100 000 leases of one program shouldn't keep as many copies.
class OwnerPool {
 public:
  std::shared_ptr<const base::Owner> intern(const base::Owner& owner);

 private:
  struct Hash {
    size_t operator()(const std::shared_ptr<const base::Owner>& owner) const {
      return base::hash_of(*owner);
    }
  };
  struct Equal {
    bool operator()(const std::shared_ptr<const base::Owner>& a,
                    const std::shared_ptr<const base::Owner>& b) const {
      return *a == *b;
    }
  };
  std::unordered_set<std::shared_ptr<const base::Owner>, Hash, Equal> owners_;
};

// Collects the names of a table's columns: "lease, client, ttl_ms, ..., sum".
class ColumnNames {
 public:
  template <class Field>
  void operator()(const char* name, const Field&) {
    names += name;
    names += ", ";
    marks += "?, ";
  }
  void owner(const std::shared_ptr<const base::Owner>&) {
    const base::Owner none;
    OwnerColumns::visit(*this, none);
  }
  template <class Row>
  static ColumnNames of() {
    ColumnNames columns;
    const Row row;
    Table<Row>::visit(columns, row);
    columns.names += "sum";
    columns.marks += "?";
    return columns;
  }
  std::string names;
  std::string marks;
};

// INSERT OR REPLACE of one type of row, used again and again.
template <class Row>
class RowWriter {
 public:
  explicit RowWriter(Connection& db)
      : sum_(Table<Row>::kName),
        statement_(db, std::string("INSERT OR REPLACE INTO ") + Table<Row>::kName + " (" +
                           ColumnNames::of<Row>().names + ") VALUES (" +
                           ColumnNames::of<Row>().marks + ")") {}

  // `row`: a Row, or what has the same members.
  template <class Like = Row>
  void put(const Like& row) {
    index_ = 0;
    Table<Row>::visit(*this, row);
    statement_.bind(++index_, sum_.take());
    statement_.run();
  }

  template <class Tag>
  void operator()(const char*, const base::Id<Tag>& id) {
    number(id.value);
  }
  void operator()(const char*, const uint64_t& value) { number(value); }
  void operator()(const char*, const uint32_t& value) { number(value); }
  void operator()(const char*, const bool& value) { number(value); }
  void operator()(const char*, const std::string& value) { text(value); }
  void operator()(const char*, std::string_view value) { text(value); }
  void operator()(const char*, const base::EventType& type) { text(base::event_type_name(type)); }
  void operator()(const char*, const base::Mode& mode) { text(base::mode_name(mode)); }
  void operator()(const char*, const base::LockKind& kind) { text(base::kind_name(kind)); }
  void operator()(const char*, const base::PolicyKind& kind) { text(base::policy_name(kind)); }
  void operator()(const char*, Blob<const std::string> blob) {
    sum_.add(std::string_view(blob.bytes));
    statement_.bind_blob(++index_, blob.bytes);
  }
  template <class Ranges>
  void operator()(const char*, AckedRanges<Ranges> acked) {
    ranges_ = format_ranges(acked.ranges);
    text(ranges_);
  }
  void owner(const std::shared_ptr<const base::Owner>& owner) {
    static const base::Owner kNobody;
    OwnerColumns::visit(*this, owner ? *owner : kNobody);
  }

 private:
  void number(uint64_t value) {
    sum_.add(value);
    statement_.bind(++index_, value);
  }
  void text(std::string_view value) {
    sum_.add(value);
    statement_.bind_text(++index_, value);
  }

  RowSum sum_;
  Statement statement_;
  int index_ = 0;
  std::string ranges_;
};

// SELECT of rows of one type: of all in the order of their key, if nothing else is said.
template <class Row>
class RowReader {
 public:
  RowReader(Connection& db, OwnerPool& owners, const std::string& which = "ORDER BY 1, 2")
      : sum_(Table<Row>::kName),
        statement_(db, "SELECT " + ColumnNames::of<Row>().names + " FROM " + Table<Row>::kName +
                           " " + which),
        owners_(owners) {}

  Statement& statement() { return statement_; }  // to bind what `which` asks for, and to reset it
  bool next() { return statement_.step(); }
  // The row that next() found. False: it fails its checksum and must not be used (P11).
  bool read(Row& row) {
    column_ = 0;
    readable_ = true;
    Table<Row>::visit(*this, row);
    return sum_.take() == statement_.number(column_) && readable_;
  }
  // The row's key, for messages about a row that can't be used.
  std::string key() const { return std::string(statement_.bytes(0)); }

  template <class Tag>
  void operator()(const char*, base::Id<Tag>& id) {
    id.value = number();
  }
  void operator()(const char*, uint64_t& value) { value = number(); }
  void operator()(const char*, uint32_t& value) { value = static_cast<uint32_t>(number()); }
  void operator()(const char*, bool& value) { value = number() != 0; }
  void operator()(const char*, std::string& value) { value = text(); }
  void operator()(const char*, base::Mode& mode) {
    named(mode, base::Mode::kExclusive, base::mode_name);
  }
  void operator()(const char*, base::LockKind& kind) {
    named(kind, base::LockKind::kElection, base::kind_name);
  }
  void operator()(const char*, base::PolicyKind& kind) {
    named(kind, base::PolicyKind::kOwnerQuota, base::policy_name);
  }
  void operator()(const char*, base::EventType& type) {
    named(type, base::kLastEventType, base::event_type_name);
  }
  void operator()(const char*, Blob<std::string> blob) { blob.bytes = text(); }
  template <class Ranges>
  void operator()(const char*, AckedRanges<Ranges> acked) {
    readable_ &= parse_ranges(text(), acked.ranges);
  }
  void owner(std::shared_ptr<const base::Owner>& owner) {
    OwnerColumns::visit(*this, owner_);
    owner = owners_.intern(owner_);
  }

 private:
  // Of an enum's values up to `last`, the one with the name that is read.
  template <class Enum>
  void named(Enum& value, Enum last, const char* (*name_of)(Enum)) {
    const std::string_view name = text();
    for (int number = 0; number <= static_cast<int>(last); ++number) {
      value = static_cast<Enum>(number);
      if (name == name_of(value)) return;
    }
    readable_ = false;
  }
  uint64_t number() {
    const uint64_t value = statement_.number(column_++);
    sum_.add(value);
    return value;
  }
  std::string_view text() {
    const std::string_view value = statement_.bytes(column_++);
    sum_.add(value);
    return value;
  }

  RowSum sum_;
  Statement statement_;
  OwnerPool& owners_;
  base::Owner owner_;
  int column_ = 0;
  bool readable_ = true;
};

}  // namespace holdfast::store
