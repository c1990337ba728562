#include "lockcore/store/state_db.h"

#include <algorithm>
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

constexpr FileFormat kFormat{"state database", 0x48465354 /* HFST */, 7};
constexpr int kCacheKib = 4096;

}  // namespace

struct StateDb::Impl {
  // A backup, to look at.
  Impl(const std::string& path, FileSystem& files)
      : path_(path),
        db_(files, prepare_backup(files), {.frozen = true, .cache_kib = kCacheKib}),
        events_(db_, {}) {
    check_all();
  }

  Impl(const std::string& dir, const std::string& file, base::Incarnation incarnation,
       FileSystem& files, const HistoryLimits& limits)
      : path_(dir + "/" + file),
        db_(files, prepare_file(files, dir, file, incarnation), {.cache_kib = kCacheKib}),
        events_(db_, limits) {
    check_all();
    if (meta_.incarnation == incarnation) return;
    db_.fail(Kind::kForeign,
             std::string("belongs to another directory than log.db beside it; put back the one "
                         "that was here, else ") +
                 kReplaceAdvice);
  }

  void check_all() {
    db_.check({"meta", "lease", "lock", "hold", "waiter", "client", "answer", "key", "sequence",
               "policy", "member", "event", "event_owner"});
    std::vector<StateMeta> metas;
    OwnerPool no_owners;
    load_table(metas, no_owners);
    if (metas.empty()) {
      db_.fail(Kind::kDamaged, std::string("table `meta`: its row is missing; ") + kReplaceAdvice);
    }
    meta_ = metas.front();
  }

  // What begins here may be anything that somebody typed.
  const std::string& prepare_backup(FileSystem& files) {
    examine_database(files, path_, kFormat);
    return path_;
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
    rows.config = load_config();
    load_table(rows.keys, owners);
    load_table(rows.sequences, owners);
    load_table(rows.policies, owners);
    events_.check(meta_);
    return rows;
  }

  base::Config load_config() {
    base::Config config;
    config.version = meta_.row.config_version;
    std::vector<MemberRow> members;
    OwnerPool no_owners;
    load_table(members, no_owners);
    for (MemberRow& row : members) {
      if (row.role == kRemoved) {
        config.removed.push_back(row.member.id);
        continue;
      }
      row.member.voter = row.role == kVoter;
      config.members.push_back(std::move(row.member));
    }
    return config;
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

  std::optional<std::string> verify() {
    if (auto damage = db_.find_damage()) return damage;
    try {
      verify_table<base::LeaseRow>();
      verify_table<base::LockRow>();
      verify_table<base::HoldRow>();
      verify_table<base::WaiterRow>();
      verify_table<base::ClientRow>();
      verify_table<base::AnswerRow>();
      verify_table<base::KeyRow>();
      verify_table<base::SequenceRow>();
      verify_table<base::PolicyRow>();
      events_.check(meta_);
    } catch (const StoreError& error) {
      if (error.kind != Kind::kDamaged) throw;
      db_.go_on_after_damage();
      // Whoever looks may have it mended: the advice is for those who can't go on.
      const std::string text = error.what();
      return text.substr(0, text.find(std::string("; ") + kReplaceAdvice));
    }
    return std::nullopt;
  }

  // Row by row: all at once would take as much memory as the whole state.
  template <class Row>
  void verify_table() {
    OwnerPool owners;
    RowReader<Row> reader(db_, owners);
    while (reader.next()) {
      Row row;
      if (reader.read(row)) continue;
      db_.fail(Kind::kDamaged, std::string("table `") + Table<Row>::kName + "`: the row with key " +
                                   reader.key() + " fails its checksum; " + kReplaceAdvice);
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
    if (changes.config) put_config(*changes.config);
    for (const auto& row : changes.keys.put) put_key_.put(row);
    for (const auto& row : changes.sequences.put) put_sequence_.put(row);
    for (const auto& row : changes.policies.put) put_policy_.put(row);
    if (changes.events != nullptr) events_.append(*changes.events, meta_);
    events_.prune(changes.events == nullptr ? 0 : changes.events->size(), meta_);
    put_meta_.put(meta_);
    commit_.run();
  }

  void put_config(const base::Config& config) {
    db_.exec("DELETE FROM member");
    RowWriter<MemberRow> put(db_);
    for (const base::Member& member : config.members) {
      put.put({member, member.voter ? kVoter : kLearner});
    }
    for (const base::NodeId removed : config.removed) put.put({{removed, {}, {}, false}, kRemoved});
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

  // -- giving a snapshot away ---------------------------------------------------------------------
  void checkpoint() {
    snapshot_ = {};
    db_.checkpoint();
  }

  void begin_snapshot() {
    checkpoint();
    if (db_.wal_bytes() != 0) return;  // a reader holds a part of the WAL back
    base::SnapshotPart head;
    head.slot = meta_.row.applied;
    if (!head.slot) return;  // nothing was recorded yet: the log has it all
    head.total_bytes = db_.main_file_bytes();
    const uint64_t fields[] = {meta_.incarnation.value, head.slot.value, head.total_bytes};
    head.id = base::checksum(fields, sizeof fields, base::checksum(path_)) | 1;
    snapshot_ = head;
  }

  base::SnapshotPart read_snapshot(base::SnapshotId asked, uint64_t offset, size_t max_bytes,
                                   bool anew) {
    db_.require_usable();
    if (asked == 0 && (anew || snapshot_.id == 0)) begin_snapshot();
    base::SnapshotPart part = snapshot_;
    if (part.id == 0 || (asked != 0 && asked != part.id) || offset >= part.total_bytes) return {};
    std::string bytes(std::min<uint64_t>(max_bytes, part.total_bytes - offset), '\0');
    db_.read_main_file(offset, bytes);
    part.offset = offset;
    part.bytes = std::make_shared<const std::string>(std::move(bytes));
    part.checksum = base::checksum_of(part);
    return part;
  }

  const std::string path_;
  Connection db_;
  base::SnapshotPart snapshot_;  // without offset and bytes; no id: none is being read
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

std::optional<std::string> StateDb::verify() {
  return impl_->verify();
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
  impl_->checkpoint();
}

base::SnapshotPart StateDb::read_snapshot(base::SnapshotId asked, uint64_t offset, size_t max_bytes,
                                          bool anew) {
  return impl_->read_snapshot(asked, offset, max_bytes, anew);
}

bool StateDb::gives_snapshot() const {
  return impl_->snapshot_.id != 0;
}

base::Slot StateDb::snapshot_slot() const {
  return impl_->snapshot_.slot;
}

StateDb::Contents StateDb::inspect(const std::string& path, FileSystem& files) {
  Impl impl(path, files);
  Contents contents;
  contents.rows = impl.load();
  contents.events = impl.meta_.events;
  contents.bytes = impl.db_.main_file_bytes();
  return contents;
}

void StateDb::take_over(FileSystem& files, const std::string& path, std::optional<base::Slot> slot,
                        base::Incarnation incarnation) {
  examine_database(files, path, kFormat);
  Connection db(files, path, {.exclusive = true});
  StateMeta meta;
  {
    OwnerPool no_owners;
    RowReader<StateMeta> reader(db, no_owners);
    if (!reader.next() || !reader.read(meta)) {
      db.fail(Kind::kDamaged, "table `meta`: its row is missing or fails its checksum");
    }
  }
  if (slot && meta.row.applied != *slot) {
    db.fail(Kind::kDamaged, "is of slot " + std::to_string(meta.row.applied.value) +
                                ", not of slot " + std::to_string(slot->value));
  }
  meta.incarnation = incarnation;
  db.exec("BEGIN IMMEDIATE");
  RowWriter<StateMeta>(db).put(meta);
  db.exec("COMMIT");
  db.checkpoint();
}

}  // namespace holdfast::store
