#include "lockcore/store/state_db.h"

#include <utility>

#include "lockcore/base/assert.h"
#include "lockcore/store/data_dir.h"
#include "lockcore/store/event_table.h"
#include "lockcore/store/row_codec.h"
#include "lockcore/store/sqlite.h"
#include "lockcore/store/state_columns.h"

namespace holdfast::store {
namespace {

using Kind = StoreError::Kind;

constexpr FileFormat kFormat{"state database", 0x48465354 /* HFST */, 5};
constexpr int kCacheKib = 4096;

}  // namespace

struct StateDb::Impl {
  Impl(const std::string& dir, const std::string& file, base::Incarnation incarnation,
       FileSystem& files, const HistoryLimits& limits)
      : path_(dir + "/" + file),
        db_(files, prepare_file(files, dir, file, incarnation), {.cache_kib = kCacheKib}),
        events_(db_, limits) {
    db_.check({"meta", "lease", "lock", "hold", "waiter", "client", "answer", "key", "sequence",
               "policy", "event", "event_owner"});
    std::vector<StateMeta> metas;
    OwnerPool no_owners;
    load_table(metas, no_owners);
    if (metas.empty()) {
      db_.fail(Kind::kDamaged, std::string("table `meta`: its row is missing; ") + kReplaceAdvice);
    }
    meta_ = metas.front();
    if (meta_.incarnation == incarnation) return;
    db_.fail(Kind::kForeign,
             std::string("belongs to another directory than log.db beside it; put back the one "
                         "that was here, else ") +
                 kReplaceAdvice);
  }

  const std::string& prepare_file(FileSystem& files, const std::string& dir,
                                  const std::string& file, base::Incarnation incarnation) {
    // LogDb refuses a directory whose log needs a record that isn't there.
    if (!files.exists(path_)) {
      create_database(files, dir, file, kFormat, [incarnation](Connection& db) {
        db.exec(kStateSchema);
        RowWriter<StateMeta>(db).put(StateMeta{.incarnation = incarnation});
      });
    }
    examine_database(files, path_, kFormat);
    return path_;
  }

  // -- loading -----------------------------------------------------------------------------------
  base::StateRows load() {
    db_.require_usable();
    base::StateRows rows;
    rows.meta = meta_.row;
    OwnerPool owners;
    load_table(rows.leases, owners);
    load_table(rows.locks, owners);
    load_table(rows.holds, owners);
    load_table(rows.waiters, owners);
    load_table(rows.clients, owners);
    load_table(rows.answers, owners);
    load_table(rows.keys, owners);
    load_table(rows.sequences, owners);
    load_table(rows.policies, owners);
    events_.check(meta_);
    return rows;
  }

  template <class Row>
  void load_table(std::vector<Row>& rows, OwnerPool& owners) {
    RowReader<Row> reader(db_, owners);
    while (reader.next()) {
      if (!reader.read(rows.emplace_back())) {
        db_.fail(Kind::kDamaged, std::string("table `") + Table<Row>::kName +
                                     "`: the row with key " + reader.key() +
                                     " fails its checksum; " + kReplaceAdvice);
      }
    }
  }

  // -- writing -----------------------------------------------------------------------------------
  void write(const base::StateWrite& changes) {
    db_.require_usable();
    HF_ASSERT(changes.meta.applied >= meta_.row.applied);
    meta_.row = changes.meta;
    begin_.run();
    for (const auto id : changes.leases.erase) erase(erase_lease_, id.value);
    for (const auto& name : changes.locks.erase) erase(erase_lock_, name);
    for (const auto token : changes.holds.erase) erase(erase_hold_, token.value);
    for (const auto queued : changes.waiters.erase) erase(erase_waiter_, queued.value);
    for (const auto id : changes.clients.erase) erase(erase_client_, id.value);
    for (const auto& key : changes.answers.erase) erase(key);
    for (const auto& key : changes.keys.erase) erase(erase_key_, key);
    for (const auto& prefix : changes.sequences.erase) erase(erase_sequence_, prefix);
    for (const auto& key : changes.policies.erase) erase(key);
    for (const auto& row : changes.leases.put) put_lease_.put(row);
    for (const auto& row : changes.locks.put) put_lock_.put(row);
    for (const auto& row : changes.holds.put) put_hold_.put(row);
    for (const auto& row : changes.waiters.put) put_waiter_.put(row);
    for (const auto& row : changes.clients.put) put_client_.put(row);
    for (const auto& row : changes.answers.put) put_answer_.put(row);
    for (const auto& row : changes.keys.put) put_key_.put(row);
    for (const auto& row : changes.sequences.put) put_sequence_.put(row);
    for (const auto& row : changes.policies.put) put_policy_.put(row);
    if (changes.events != nullptr) events_.append(*changes.events, meta_);
    events_.prune(changes.events == nullptr ? 0 : changes.events->size(), meta_);
    put_meta_.put(meta_);
    commit_.run();
  }

  static void erase(Statement& statement, uint64_t key) {
    statement.bind(1, key);
    statement.run();
  }
  static void erase(Statement& statement, const std::string& key) {
    statement.bind_text(1, key);
    statement.run();
  }
  void erase(const base::AnswerKey& key) {
    erase_answer_.bind(1, key.client.value);
    erase_answer_.bind(2, key.number);
    erase_answer_.run();
  }

  void erase(const base::PolicyKey& key) {
    erase_policy_.bind_text(1, base::policy_name(key.kind));
    erase_policy_.bind_text(2, key.name);
    erase_policy_.run();
  }

  const std::string path_;
  Connection db_;
  StateMeta meta_;  // as in the database, or as the transaction under way will leave it
  Statement begin_{db_, "BEGIN IMMEDIATE"};
  Statement commit_{db_, "COMMIT"};
  RowWriter<StateMeta> put_meta_{db_};
  RowWriter<base::LeaseRow> put_lease_{db_};
  RowWriter<base::LockRow> put_lock_{db_};
  RowWriter<base::HoldRow> put_hold_{db_};
  RowWriter<base::WaiterRow> put_waiter_{db_};
  RowWriter<base::ClientRow> put_client_{db_};
  RowWriter<base::AnswerRow> put_answer_{db_};
  RowWriter<base::KeyRow> put_key_{db_};
  RowWriter<base::SequenceRow> put_sequence_{db_};
  RowWriter<base::PolicyRow> put_policy_{db_};
  Statement erase_lease_{db_, "DELETE FROM lease WHERE lease = ?"};
  Statement erase_lock_{db_, "DELETE FROM lock WHERE name = ?"};
  Statement erase_hold_{db_, "DELETE FROM hold WHERE token = ?"};
  Statement erase_waiter_{db_, "DELETE FROM waiter WHERE queued = ?"};
  Statement erase_client_{db_, "DELETE FROM client WHERE client = ?"};
  Statement erase_answer_{db_, "DELETE FROM answer WHERE client = ? AND number = ?"};
  Statement erase_key_{db_, "DELETE FROM key WHERE key = ?"};
  Statement erase_sequence_{db_, "DELETE FROM sequence WHERE prefix = ?"};
  Statement erase_policy_{db_, "DELETE FROM policy WHERE kind = ? AND name = ?"};
  EventTable events_;
};

StateDb::StateDb(const std::string& dir, const std::string& file, base::Incarnation incarnation,
                 FileSystem& files, const HistoryLimits& limits)
    : impl_(std::make_unique<Impl>(dir, file, incarnation, files, limits)) {}

StateDb::~StateDb() = default;

base::StateRows StateDb::load() {
  return impl_->load();
}

void StateDb::write(const base::StateWrite& changes) {
  impl_->write(changes);
}

uint64_t StateDb::bytes() const {
  return impl_->db_.file_bytes();
}

uint64_t StateDb::wal_bytes() const {
  return impl_->db_.wal_bytes();
}

void StateDb::checkpoint() {
  impl_->db_.checkpoint();
}

}  // namespace holdfast::store
