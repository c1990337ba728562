#include "lockcore/store/state_db.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "lockcore/base/assert.h"
#include "lockcore/base/limits.h"
#include "lockcore/store/data_dir.h"
#include "lockcore/store/row_codec.h"
#include "lockcore/store/row_sum.h"
#include "lockcore/store/sqlite.h"
#include "lockcore/store/state_columns.h"

namespace holdfast::store {
namespace {

using Kind = StoreError::Kind;

constexpr FileFormat kFormat{"state database", 0x48465354 /* HFST */, 4};
constexpr int kCacheKib = 4096;
// Old events deleted in one write beyond as many as it adds: history shrinks back to its limit,
// but never in one long transaction.
constexpr uint64_t kPrunedPerWrite = 2000;

// "user@host program[pid]": who it was, in a column narrow enough for a million events.
std::string describe(const base::Owner& owner) {
  std::string text = owner.user;
  if (!owner.host.empty()) text += '@' + owner.host;
  if (!owner.program.empty()) text += ' ' + owner.program;
  if (owner.pid != 0) text += '[' + std::to_string(owner.pid) + ']';
  return text;
}

// describe() once per owner and write: most events of a write share few owners.
class OwnerTexts {
 public:
  const std::string& of(const base::Owner* owner) {
    if (owner == last_owner_) return *last_text_;
    const auto [at, is_new] = texts_.try_emplace(owner);
    if (is_new && owner != nullptr) at->second = describe(*owner);
    last_owner_ = owner;
    last_text_ = &at->second;
    return *last_text_;
  }

 private:
  std::unordered_map<const base::Owner*, std::string> texts_;
  const base::Owner* last_owner_ = nullptr;
  const std::string* last_text_ = &texts_[nullptr];
};

}  // namespace

struct StateDb::Impl {
  Impl(const std::string& dir, const std::string& file, base::Incarnation incarnation,
       FileSystem& files)
      : path_(dir + "/" + file),
        db_(files, prepare_file(files, dir, file, incarnation), {.cache_kib = kCacheKib}) {
    db_.check({"meta", "lease", "lock", "hold", "waiter", "client", "answer", "key", "sequence",
               "policy", "event"});
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
    check_events();
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

  // Nobody loads them: people read them, and pruning goes by them.
  void check_events() {
    Statement select(
        db_,
        "SELECT revision, type, name, token, lease, owner, cause, note, value, at_ms, cell_ms, sum"
        " FROM event");
    uint64_t count = 0, bytes = 0;
    for (; select.step(); ++count) {
      event_sum_.add(select.number(0));
      event_sum_.add(select.bytes(1));
      event_sum_.add(select.bytes(2));
      event_sum_.add(select.number(3));
      event_sum_.add(select.number(4));
      event_sum_.add(select.bytes(5));
      event_sum_.add(select.bytes(6));
      event_sum_.add(select.bytes(7));
      event_sum_.add(select.bytes(8));
      event_sum_.add(select.number(9));
      event_sum_.add(select.number(10));
      bytes += select.bytes(8).size();
      if (event_sum_.take() == select.number(11)) continue;
      db_.fail(Kind::kDamaged, "table `event`: the row with key " +
                                   std::to_string(select.number(0)) + " fails its checksum; " +
                                   kReplaceAdvice);
    }
    if (count == meta_.events && bytes == meta_.event_bytes) return;
    db_.fail(Kind::kDamaged, "table `event`: has " + std::to_string(count) + " rows instead of " +
                                 std::to_string(meta_.events) + ", or values missing; " +
                                 kReplaceAdvice);
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
    append_events(changes.events);
    prune_history(changes.events.size());
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

  // The hot loop: under load every command makes an event or two.
  void append_events(const std::vector<base::EventRow>& events) {
    OwnerTexts owners;
    for (const base::EventRow& event : events) {
      event_index_ = 0;
      put_column(event.revision.value);
      put_column(std::string_view(base::event_type_name(event.type)));
      put_column(std::string_view(event.name));
      put_column(event.token.value);
      put_column(event.lease.value);
      put_column(std::string_view(owners.of(event.owner.get())));
      put_column(std::string_view(event.cause));
      put_column(std::string_view(event.note));
      event_sum_.add(std::string_view(event.value));
      put_event_.bind_blob(++event_index_, event.value);
      meta_.event_bytes += event.value.size();
      put_column(event.at_wall_ms);
      put_column(event.at_cell_ms);
      put_event_.bind(++event_index_, event_sum_.take());
      put_event_.run();
    }
    meta_.events += events.size();
  }

  void put_column(uint64_t value) {
    event_sum_.add(value);
    put_event_.bind(++event_index_, value);
  }
  void put_column(std::string_view text) {
    event_sum_.add(text);
    put_event_.bind_text(++event_index_, text);
  }

  // Bounded by count, by age and by the bytes of values (DESIGN 8). Revisions and cell time grow
  // together, so what goes is always the lowest revisions.
  void prune_history(uint64_t added) {
    uint64_t budget = kPrunedPerWrite + added;
    const uint64_t excess =
        meta_.events > base::kMaxHistoryEvents ? meta_.events - base::kMaxHistoryEvents : 0;
    const uint64_t now = meta_.row.cell_time_ms;
    const uint64_t oldest_kept = now - std::min(now, base::kMaxHistoryAgeMs);
    uint64_t pruned = 0;
    uint64_t last_pruned = 0;
    while (budget-- > 0 && oldest_events_.step()) {
      const bool is_needed = pruned >= excess && oldest_events_.number(1) >= oldest_kept;
      if (is_needed && meta_.event_bytes <= base::kMaxHistoryBytes) break;
      last_pruned = oldest_events_.number(0);
      meta_.event_bytes -= oldest_events_.number(2);
      ++pruned;
    }
    oldest_events_.reset();
    if (pruned == 0) return;
    prune_events_.bind(1, last_pruned);
    prune_events_.run();
    meta_.events -= pruned;
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
  Statement put_event_{db_, "INSERT INTO event VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"};
  RowSum event_sum_{"event"};
  int event_index_ = 0;
  Statement oldest_events_{db_,
                           "SELECT revision, cell_ms, length(value) FROM event ORDER BY revision"};
  Statement prune_events_{db_, "DELETE FROM event WHERE revision <= ?"};
};

StateDb::StateDb(const std::string& dir, const std::string& file, base::Incarnation incarnation,
                 FileSystem& files)
    : impl_(std::make_unique<Impl>(dir, file, incarnation, files)) {}

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
