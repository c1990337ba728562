#include "lockcore/store/log_db.h"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <optional>
#include <utility>

#include "lockcore/base/assert.h"
#include "lockcore/base/limits.h"
#include "lockcore/store/data_dir.h"
#include "lockcore/store/row_sum.h"
#include "lockcore/store/sqlite.h"
#include "lockcore/store/wal_mark.h"

namespace holdfast::store {
namespace {

using Kind = StoreError::Kind;

constexpr FileFormat kFormat{"log database", 0x48464c47 /* HFLG */, 3};
constexpr const char* kFile = "log.db";
constexpr const char* kFirstStateFile = "state.db";
constexpr int kCacheKib = 256;
constexpr size_t kVerifiedBytes = 512 * 1024;  // of rows looked at in one go
constexpr base::Slot kLastSlot{std::numeric_limits<int64_t>::max()};
// No row is of a slot above a limit that `meta` keeps, and that is raised by so much at a time: if
// all rows are lost, this many slots more than there were are in doubt, at most (P11).
constexpr uint64_t kAcceptedStep = 256;
// The transaction that passes the limit must fit as well.
constexpr uint64_t kPreallocatedWalBytes = LogDb::kWalBytes + 1024 * 1024;

// `meta` has one row. `log` may have gaps; a row's ballot is the one in which it was accepted.
// `slot_sum` covers the slot alone: when `sum`, which covers all, fails, it says whether the row is
// still known to be that slot's (P11). Through slot `doubt_upto` rows were lost with their tree.
constexpr const char* kSchema = R"sql(
CREATE TABLE meta (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  node INTEGER NOT NULL, incarnation INTEGER NOT NULL, start_count INTEGER NOT NULL,
  founding INTEGER NOT NULL, promised_round INTEGER NOT NULL, promised_node INTEGER NOT NULL,
  cell INTEGER NOT NULL, config_version INTEGER NOT NULL, members INTEGER NOT NULL,
  first_retained INTEGER NOT NULL, accepted_limit INTEGER NOT NULL, doubt_upto INTEGER NOT NULL,
  state_file TEXT NOT NULL, disk_lost TEXT NOT NULL, boot_id TEXT NOT NULL,
  sum INTEGER NOT NULL) STRICT;
CREATE TABLE member (
  node INTEGER PRIMARY KEY, incarnation INTEGER NOT NULL, address TEXT NOT NULL,
  voter INTEGER NOT NULL, sum INTEGER NOT NULL) STRICT;
CREATE TABLE peer (
  node INTEGER PRIMARY KEY, start_count INTEGER NOT NULL, process_nonce INTEGER NOT NULL,
  promised_round INTEGER NOT NULL, promised_node INTEGER NOT NULL,
  highest_accepted INTEGER NOT NULL, sum INTEGER NOT NULL) STRICT;
CREATE TABLE log (
  slot INTEGER PRIMARY KEY, round INTEGER NOT NULL, node INTEGER NOT NULL,
  slot_sum INTEGER NOT NULL, kind INTEGER NOT NULL, value BLOB NOT NULL,
  sum INTEGER NOT NULL) STRICT;
)sql";

// The row of table `meta`.
struct Meta {
  base::NodeId node;
  base::Incarnation incarnation;
  uint64_t start_count = 0;
  base::FoundingState founding = base::FoundingState::kEmpty;
  base::Ballot promised;
  base::CellId cell;
  base::ConfigVersion config_version;
  uint64_t members = 0;  // rows of table `member`: one that went missing is noticed
  base::Slot first_retained{1};
  base::Slot accepted_limit;
  base::Slot doubt_upto;  // <= accepted_limit
  std::string state_file = kFirstStateFile;
  std::string disk_lost;
  std::string boot_id;  // of the boot in which this was written

  // What the row says about this node's past, all zero in a directory that never took part.
  bool is_untouched() const { return founding == base::FoundingState::kEmpty && !promised; }
};

uint64_t sum_of(const Meta& meta) {
  RowSum sum("meta");
  for (const uint64_t value :
       {meta.node.value, meta.incarnation.value, meta.start_count,
        static_cast<uint64_t>(meta.founding), meta.promised.round, meta.promised.node.value,
        meta.cell.value, meta.config_version.value, meta.members, meta.first_retained.value,
        meta.accepted_limit.value, meta.doubt_upto.value}) {
    sum.add(value);
  }
  sum.add(meta.state_file);
  sum.add(meta.disk_lost);
  sum.add(meta.boot_id);
  return sum.take();
}

uint64_t sum_of(const base::Member& member) {
  RowSum sum("member");
  sum.add(member.id.value);
  sum.add(member.incarnation.value);
  sum.add(member.address);
  sum.add(uint64_t{member.voter});
  return sum.take();
}

uint64_t sum_of(const base::PeerMark& peer) {
  RowSum sum("peer");
  for (const uint64_t value :
       {peer.node.value, peer.start_count, peer.process_nonce, peer.promised.round,
        peer.promised.node.value, peer.highest_accepted.value}) {
    sum.add(value);
  }
  return sum.take();
}

uint64_t sum_of(base::Slot slot) {
  RowSum sum("slot");
  sum.add(slot.value);
  return sum.take();
}

// INSERT OR REPLACE of the one row of `meta`.
class MetaWriter {
 public:
  explicit MetaWriter(Connection& db)
      : statement_(db, "INSERT OR REPLACE INTO meta VALUES (1,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)") {}

  void put(const Meta& meta) {
    statement_.bind(1, meta.node.value);
    statement_.bind(2, meta.incarnation.value);
    statement_.bind(3, meta.start_count);
    statement_.bind(4, static_cast<uint64_t>(meta.founding));
    statement_.bind(5, meta.promised.round);
    statement_.bind(6, meta.promised.node.value);
    statement_.bind(7, meta.cell.value);
    statement_.bind(8, meta.config_version.value);
    statement_.bind(9, meta.members);
    statement_.bind(10, meta.first_retained.value);
    statement_.bind(11, meta.accepted_limit.value);
    statement_.bind(12, meta.doubt_upto.value);
    statement_.bind_text(13, meta.state_file);
    statement_.bind_text(14, meta.disk_lost);
    statement_.bind_text(15, meta.boot_id);
    statement_.bind(16, sum_of(meta));
    statement_.run();
  }

 private:
  Statement statement_;
};

// All rows of a table, as they are: their checksums come along.
void copy_rows(Connection& from, Connection& to, const std::string& table, int columns) {
  Statement select(from, "SELECT * FROM " + table);
  std::string places = "?";
  for (int i = 1; i < columns; ++i) places += ",?";
  Statement put(to, "INSERT INTO " + table + " VALUES (" + places + ")");
  while (select.step()) {
    for (int i = 0; i < columns; ++i) {
      sqlite3_bind_value(put.handle(), i + 1, sqlite3_column_value(select.handle(), i));
    }
    put.run();
  }
}

}  // namespace

struct LogDb::Impl {
  Impl(const std::string& dir, base::NodeId self, base::Incarnation new_incarnation,
       const std::string& boot_id, FileSystem& files)
      : files_(files),
        dir_(dir),
        hold_(files.hold(dir)),
        path_(dir + "/" + kFile),
        db_(files, prepare_file(self, new_incarnation),
            {.exclusive = true, .cache_kib = kCacheKib, .wal_limit_bytes = kPreallocatedWalBytes}) {
    lost_rows_ = has_lost_rows();
    read_meta();
    check_owner(self);
    check_boot(boot_id);
    check_state_file();
    if (lost_rows_) return;
    remove_old_state_files(files, dir, meta_.state_file);
    ++meta_.start_count;
    meta_.boot_id = boot_id;
    begin_.run();
    put_meta_.put(meta_);
    commit();
    db_.preallocate_wal(kPreallocatedWalBytes);
  }

  // -- opening -----------------------------------------------------------------------------------
  const std::string& prepare_file(base::NodeId self, base::Incarnation new_incarnation) {
    if (!files_.exists(path_)) {
      // Without log.db its promises are gone, so nothing beside it makes this an empty node (P10).
      if (files_.exists(path_ + "-wal") || has_state_file(files_, dir_)) {
        throw StoreError(Kind::kDiskLost,
                         path_ +
                             ": is missing, but the directory was in use: this node's promises "
                             "are lost, and it must not vote again; " +
                             kReplaceAdvice);
      }
      create_database(files_, dir_, kFile, kFormat, [&](Connection& db) {
        db.exec(kSchema);
        Meta meta;
        meta.node = self;
        meta.incarnation = new_incarnation;
        MetaWriter(db).put(meta);
      });
    }
    mark_.emplace(files_, path_ + "-mark");
    wal_ = examine_database(files_, path_, kFormat, mark_->found().value_or(WalMark{}));
    return path_;
  }

  // Rows may be missing for good reasons: only the whole tree tells that none was lost to damage.
  // True: some may be, and nothing else; and there are others who know what was chosen (P11).
  bool has_lost_rows() {
    if (!db_.find_damage()) return false;
    bool is_rest_whole = true;
    for (const char* table : {"meta", "member", "peer"}) {
      is_rest_whole = is_rest_whole && !db_.find_damage_in(table);
    }
    if (is_rest_whole) {
      read_meta();
      const base::Config cell = read_config();
      is_rest_whole = std::ranges::any_of(cell.members, [this](const base::Member& member) {
        return member.voter && member.id != meta_.node;
      });
    }
    if (!is_rest_whole) db_.check({"meta", "member", "peer", "log"});
    return is_rest_whole;
  }

  // A log.db without rows takes this one's place, which is put aside for people. It remembers that
  // there may have been any, through the limit. Ends the use of this one.
  static void leave_rows_behind(std::unique_ptr<Impl> old) {
    FileSystem& files = old->files_;
    const std::string dir = old->dir_, path = old->path_;
    const std::unique_ptr<DirectoryHold> hold = std::move(old->hold_);
    const std::string draft = create_draft(files, dir, kFile, kFormat, [&](Connection& db) {
      db.exec(kSchema);
      Meta meta = old->meta_;
      meta.doubt_upto = meta.accepted_limit;
      MetaWriter(db).put(meta);
      copy_rows(old->db_, db, "member", 5);
      copy_rows(old->db_, db, "peer", 7);
    });
    // Without its WAL the old one must say the same: the promise is in there, if we die in between.
    old->db_.checkpoint();
    old.reset();
    const std::string aside = dir + "/" + kDamagedLogFile;
    files.remove(aside);
    {
      const std::unique_ptr<File> from = files.open(path);
      const std::unique_ptr<File> to = files.create(aside);
      std::string bytes(1 << 20, '\0');
      for (uint64_t at = 0; const size_t n = from->read(at, bytes.data(), bytes.size()); at += n) {
        to->write(at, std::string_view(bytes).substr(0, n));
      }
    }
    files.remove(path + "-wal");
    files.sync_directory(dir);
    files.rename(draft, path);
    files.sync_directory(dir);
  }

  void read_meta() {
    Statement select(db_,
                     "SELECT node, incarnation, start_count, founding, promised_round,"
                     " promised_node, cell, config_version, members, first_retained,"
                     " accepted_limit, doubt_upto, state_file, disk_lost, boot_id, sum FROM meta");
    if (!select.step()) damaged("table `meta`: its row is missing");
    meta_.node = {select.number(0)};
    meta_.incarnation = {select.number(1)};
    meta_.start_count = select.number(2);
    meta_.founding = static_cast<base::FoundingState>(select.number(3));
    meta_.promised = {select.number(4), {select.number(5)}};
    meta_.cell = {select.number(6)};
    meta_.config_version = {select.number(7)};
    meta_.members = select.number(8);
    meta_.first_retained = {select.number(9)};
    meta_.accepted_limit = {select.number(10)};
    meta_.doubt_upto = {select.number(11)};
    meta_.state_file = select.bytes(12);
    meta_.disk_lost = select.bytes(13);
    meta_.boot_id = select.bytes(14);
    if (sum_of(meta_) != select.number(15)) damaged("table `meta`: its row fails its checksum");
  }

  void check_owner(base::NodeId self) const {
    if (meta_.node == self) return;
    const std::string owner = std::to_string(meta_.node.value);
    throw StoreError(Kind::kForeign, path_ + ": belongs to node " + owner + ", not to node " +
                                         std::to_string(self.value) + "; start it as node " +
                                         owner + " or give a directory of its own (--data-dir)");
  }

  // Without the mark, which is never lost while the machine runs, the last transaction may have
  // been acknowledged; and while it runs no write is torn but by a kill in its middle.
  void check_boot(const std::string& boot_id) {
    const bool is_same = !boot_id.empty() && meta_.boot_id == boot_id;
    if (mark_->found() || wal_.torn_frame == 0 || !is_same) return;
    throw StoreError(Kind::kDamaged,
                     path_ + "-wal: frame " + std::to_string(wal_.torn_frame) +
                         " is unreadable, though the machine has run without a break since it was "
                         "written, and " +
                         path_ +
                         "-mark, which would say whether it counts, is missing or damaged; " +
                         kReplaceAdvice);
  }

  void check_state_file() {
    const std::string state = dir_ + "/" + meta_.state_file;
    if (files_.exists(state)) return;
    if (meta_.is_untouched() && last_slot() == base::Slot{}) return;
    throw StoreError(Kind::kDiskLost,
                     state + ": is missing, and " + path_ +
                         " names it as this node's record; put "
                         "it back if it was moved away while the node was down, else " +
                         kReplaceAdvice);
  }

  // -- reading -----------------------------------------------------------------------------------
  base::Slot last_slot() {
    Statement select(db_, "SELECT max(slot) FROM log");
    select.step();
    return {select.number(0)};
  }

  base::RecoveredLog recover(base::Slot applied) {
    base::RecoveredLog log;
    log.self = meta_.node;
    log.incarnation = meta_.incarnation;
    log.start_count = meta_.start_count;
    log.founding = meta_.founding;
    log.promised = meta_.promised;
    log.first_retained = meta_.first_retained;
    log.disk_lost = meta_.disk_lost;
    log.config = read_config();
    log.peers = read_peers();
    log.last_slot = last_slot();
    check_applied(applied, log.last_slot);
    read_rows(applied, log);
    log.first_retained = meta_.first_retained;
    log.damage = damage_of(applied, log);
    // What was trimmed, or lost, had been accepted: peers remember how far this log reached (P10).
    const base::Slot trimmed{meta_.first_retained.value - 1};
    log.last_slot = std::max({log.last_slot, trimmed, meta_.doubt_upto});
    log.pieces = read_pieces(applied);
    return log;
  }

  // Every row there is. P11: what a damaged one did may be recorded; then nobody but laggards would
  // need it, and they have other nodes and snapshots: the log begins behind it. Else it is told.
  void read_rows(base::Slot applied, base::RecoveredLog& log) {
    base::Slot recorded_damage;
    if (applied >= meta_.first_retained && !has_row(applied)) recorded_damage = applied;  // lost
    select_log_.bind(1, 0);
    select_log_.bind(2, kLastSlot.value);
    while (select_log_.step()) {
      base::Entry row = row_as_it_is();
      const bool is_whole = is_whole_row(row);
      // The key says the row's place: a flipped bit in it makes two wrongs, a row where there was
      // none, and none where there was one.
      if (!is_whole && !is_known_slot(row.slot)) row_damaged(row.slot);
      if (row.slot < meta_.first_retained) {
        damaged("table `log`: has a row for slot " + std::to_string(row.slot.value) +
                ", which was trimmed");
      }
      if (row.slot <= applied) {
        if (!is_whole) recorded_damage = std::max(recorded_damage, row.slot);
      } else if (is_whole) {
        log.entries.push_back(std::move(row));
      } else {
        log.damaged.push_back(row.slot);
      }
    }
    select_log_.reset();
    doubt_lost_rows(applied, log);
    if (!recorded_damage) return;
    base::LogWrite trim;
    trim.first_retained = recorded_damage.next();
    write({&trim, 1});
  }

  // As long as a slot is in doubt nothing is written but what is chosen, so that rows that stand
  // through doubt_upto without a gap are all there is to know. Else the last gap is in doubt.
  void doubt_lost_rows(base::Slot applied, base::RecoveredLog& log) {
    lost_through_ = {};
    base::Slot gap = meta_.doubt_upto;
    for (auto row = log.entries.rbegin(); row != log.entries.rend(); ++row) {
      if (row->slot == gap) gap = {gap.value - 1};
    }
    if (gap <= applied || std::ranges::find(log.damaged, gap) != log.damaged.end()) return;
    log.damaged.insert(std::ranges::upper_bound(log.damaged, gap), gap);
    lost_through_ = gap;
  }

  // What only the other nodes can mend.
  std::string damage_of(base::Slot applied, const base::RecoveredLog& log) const {
    if (lost_through_) {
      return path_ + ": table `log` was damaged: what was accepted through slot " +
             std::to_string(lost_through_.value) + " is lost";
    }
    if (!log.damaged.empty()) {
      std::string text = path_ + ": table `log`: ";
      for (const base::Slot slot : log.damaged) {
        text += (slot == log.damaged.front() ? "the row of slot " : ", the row of slot ") +
                std::to_string(slot.value);
      }
      return text + (log.damaged.size() == 1 ? " fails its checksum" : " fail their checksums");
    }
    if (applied.next() >= meta_.first_retained) return {};
    return dir_ + "/" + meta_.state_file + ": ends at slot " + std::to_string(applied.value) +
           ", but " + path_ + " begins at slot " + std::to_string(meta_.first_retained.value);
  }

  void check_applied(base::Slot applied, base::Slot last) {
    // A slot is recorded only once this log holds it durably, and rows go only with first_retained.
    if (applied < meta_.first_retained || has_row(applied) || applied <= meta_.doubt_upto) return;
    throw StoreError(Kind::kDiskLost,
                     path_ + ": has no row for slot " + std::to_string(applied.value) +
                         " (its last "
                         "is " +
                         std::to_string(last.value) + "), but " + meta_.state_file +
                         " holds what that slot did: the log lost acknowledged rows, perhaps by a "
                         "restored copy; " +
                         kReplaceAdvice);
  }

  std::vector<base::LogPiece> read_pieces(base::Slot applied) {
    Statement select(db_,
                     "SELECT max(slot), count(*), sum(length(value) + 32) FROM log"
                     " WHERE slot BETWEEN ? AND ? GROUP BY slot / ? ORDER BY 1");
    select.bind(1, meta_.first_retained.value);
    select.bind(2, applied.value);
    select.bind(3, base::kLogPieceSlots);
    std::vector<base::LogPiece> pieces;
    while (select.step()) {
      pieces.push_back({{select.number(0)}, select.number(1), select.number(2)});
    }
    return pieces;
  }

  bool has_row(base::Slot slot) {
    select_log_.bind(1, slot.value);
    select_log_.bind(2, slot.value);
    const bool is_there = select_log_.step();
    select_log_.reset();
    return is_there;
  }

  base::Config read_config() {
    base::Config config{meta_.cell, meta_.config_version, {}};
    Statement select(db_,
                     "SELECT node, incarnation, address, voter, sum FROM member ORDER BY node");
    while (select.step()) {
      base::Member member{{select.number(0)},
                          {select.number(1)},
                          std::string(select.bytes(2)),
                          select.number(3) != 0};
      if (sum_of(member) != select.number(4)) {
        damaged("table `member`: the row of node " + std::to_string(member.id.value) +
                " fails its checksum");
      }
      config.members.push_back(std::move(member));
    }
    if (config.members.size() != meta_.members) {
      damaged("table `member`: has " + std::to_string(config.members.size()) + " rows instead of " +
              std::to_string(meta_.members));
    }
    return config;
  }

  std::vector<base::PeerMark> read_peers() {
    std::vector<base::PeerMark> peers;
    Statement select(db_,
                     "SELECT node, start_count, process_nonce, promised_round, promised_node,"
                     " highest_accepted, sum FROM peer ORDER BY node");
    while (select.step()) {
      const base::PeerMark peer{{select.number(0)},
                                select.number(1),
                                select.number(2),
                                {select.number(3), {select.number(4)}},
                                {select.number(5)}};
      if (sum_of(peer) != select.number(6)) {
        damaged("table `peer`: the row of node " + std::to_string(peer.node.value) +
                " fails its checksum");
      }
      peers.push_back(peer);
    }
    return peers;
  }

  std::vector<base::Entry> read(base::Slot from, base::Slot to, size_t max_bytes,
                                std::optional<base::Slot>* damaged) {
    db_.require_usable();
    std::vector<base::Entry> entries;
    size_t bytes = 0;
    select_log_.bind(1, from.value);
    select_log_.bind(2, to.value);
    while (bytes < max_bytes && select_log_.step()) {
      base::Entry entry = row_as_it_is();
      // P11: a row that fails its checksum is never used, not even as "nothing was accepted here".
      if (!is_whole_row(entry)) {
        if (damaged == nullptr || !is_known_slot(entry.slot)) row_damaged(entry.slot);
        *damaged = entry.slot;
        break;
      }
      bytes += entry.bytes();
      entries.push_back(std::move(entry));
    }
    select_log_.reset();
    return entries;
  }

  VerifiedSlice verify_slice(base::Slot from, base::Slot recorded) {
    VerifiedSlice slice;
    slice.next = std::max(from, meta_.first_retained);
    bool is_missing = false;
    try {
      if (from < meta_.first_retained) db_.exec("PRAGMA shrink_memory");  // the file is what counts
      const auto rows = read(slice.next, kLastSlot, kVerifiedBytes, &slice.damaged);
      for (size_t i = 0; i < rows.size() && !is_missing; ++i) {
        is_missing = rows[i].slot != slice.next && slice.next <= recorded;
        if (!is_missing) slice.next = rows[i].slot.next();
      }
      slice.is_last = rows.empty() && !slice.damaged;
      const base::Slot end = slice.damaged ? *slice.damaged : recorded.next();
      if (slice.damaged || slice.is_last) is_missing |= slice.next < std::min(end, recorded.next());
      if (slice.damaged && !is_missing) {
        slice.damage = path_ + ": " + row_damage(*slice.damaged);
        slice.next = slice.damaged->next();
      }
    } catch (const StoreError& error) {
      if (error.kind != Kind::kDamaged) throw;
      select_log_.reset();
      db_.go_on_after_damage();
      slice.damage = error.what();
    }
    if (is_missing) {
      slice.damaged.reset();
      slice.damage = path_ + ": table `log`: the row of slot " + std::to_string(slice.next.value) +
                     " is missing";
    }
    return slice;
  }

  base::Entry row_as_it_is() {
    base::Entry entry;
    entry.slot = {select_log_.number(0)};
    entry.ballot = {select_log_.number(1), {select_log_.number(2)}};
    entry.kind = static_cast<base::EntryKind>(select_log_.number(4));
    entry.value = std::make_shared<const std::string>(select_log_.bytes(5));
    return entry;
  }
  bool is_known_slot(base::Slot slot) const { return sum_of(slot) == select_log_.number(3); }
  bool is_whole_row(const base::Entry& row) const {
    return base::entry_checksum(row) == select_log_.number(6) && is_known_slot(row.slot);
  }

  static std::string row_damage(base::Slot slot) {
    return "table `log`: the row of slot " + std::to_string(slot.value) + " fails its checksum";
  }
  [[noreturn]] void row_damaged(base::Slot slot) { damaged(row_damage(slot)); }

  [[noreturn]] void damaged(const std::string& what) {
    db_.fail(Kind::kDamaged, what + "; " + kReplaceAdvice);
  }

  // -- writing -----------------------------------------------------------------------------------
  void write(std::span<const base::LogWrite> writes) {
    db_.require_usable();
    bool meta_changed = false;
    begin_.run();
    for (const base::LogWrite& write : writes) {
      for (const base::Entry& entry : write.entries) {
        if (entry.slot < meta_.first_retained) continue;
        put_entry(entry);
        if (entry.slot <= meta_.accepted_limit) continue;
        meta_.accepted_limit = {entry.slot.value + kAcceptedStep - 1};
        meta_changed = true;
      }
      for (const base::PeerMark& peer : write.peers) put_peer(peer);
      if (write.config) put_config(*write.config);
      if (write.promised) {
        // P2: a promise never goes back.
        HF_ASSERT(*write.promised >= meta_.promised);
        meta_.promised = *write.promised;
      }
      if (write.founding) meta_.founding = *write.founding;
      if (write.disk_lost) meta_.disk_lost = *write.disk_lost;
      if (write.state_file) meta_.state_file = *write.state_file;
      if (write.first_retained) trim_below(*write.first_retained);
      meta_changed |= write.promised || write.config || write.founding || write.disk_lost ||
                      write.first_retained || write.state_file;
    }
    if (meta_changed) put_meta_.put(meta_);
    commit();
  }

  void trim_below(base::Slot first) {
    HF_ASSERT(first >= meta_.first_retained);
    meta_.first_retained = first;
    trim_.bind(1, first.value);
    trim_.run();
  }

  // Durable when it returns. One pwrite more than the transaction itself, and no fsync.
  void commit() {
    const bool may_be_new_wal = db_.wal_bytes() == 0;
    commit_.run();
    try {
      if (may_be_new_wal) {
        const std::unique_ptr<File> wal = files_.open(path_ + "-wal");
        if (!wal) fail_io(path_ + "-wal", "was removed while in use", ENOENT);
        wal_salt_ = wal_salt(*wal);
      }
      mark_->put({wal_salt_, db_.wal_frames()});
    } catch (...) {
      db_.abandon();
      throw;
    }
  }

  void put_entry(const base::Entry& entry) {
    put_log_.bind(1, entry.slot.value);
    put_log_.bind(2, entry.ballot.round);
    put_log_.bind(3, entry.ballot.node.value);
    put_log_.bind(4, sum_of(entry.slot));
    put_log_.bind(5, static_cast<uint64_t>(entry.kind));
    put_log_.bind_blob(6, *entry.value);
    put_log_.bind(7, base::entry_checksum(entry));
    put_log_.run();
  }

  void put_peer(const base::PeerMark& peer) {
    Statement put(db_, "INSERT OR REPLACE INTO peer VALUES (?,?,?,?,?,?,?)");
    put.bind(1, peer.node.value);
    put.bind(2, peer.start_count);
    put.bind(3, peer.process_nonce);
    put.bind(4, peer.promised.round);
    put.bind(5, peer.promised.node.value);
    put.bind(6, peer.highest_accepted.value);
    put.bind(7, sum_of(peer));
    put.run();
  }

  void put_config(const base::Config& config) {
    db_.exec("DELETE FROM member");
    Statement put(db_, "INSERT INTO member VALUES (?,?,?,?,?)");
    for (const base::Member& member : config.members) {
      put.bind(1, member.id.value);
      put.bind(2, member.incarnation.value);
      put.bind_text(3, member.address);
      put.bind(4, member.voter);
      put.bind(5, sum_of(member));
      put.run();
    }
    meta_.cell = config.cell;
    meta_.config_version = config.version;
    meta_.members = config.members.size();
  }

  FileSystem& files_;
  const std::string dir_;
  std::unique_ptr<DirectoryHold> hold_;  // before anything of the directory is touched
  const std::string path_;
  std::optional<WalMarkFile> mark_;
  WalScan wal_;  // as this start found it
  uint64_t wal_salt_ = 0;
  Connection db_;
  bool lost_rows_ = false;   // it is to be left behind, and isn't used
  base::Slot lost_through_;  // as last recovered
  Meta meta_;                // as in the database, or as the transaction under way will leave it
  Statement begin_{db_, "BEGIN IMMEDIATE"};
  Statement commit_{db_, "COMMIT"};
  Statement put_log_{db_, "INSERT OR REPLACE INTO log VALUES (?,?,?,?,?,?,?)"};
  Statement trim_{db_, "DELETE FROM log WHERE slot < ?"};
  MetaWriter put_meta_{db_};
  Statement select_log_{db_,
                        "SELECT slot, round, node, slot_sum, kind, value, sum FROM log"
                        " WHERE slot BETWEEN ? AND ? ORDER BY slot"};
};

LogDb::LogDb(const std::string& dir, base::NodeId self, base::Incarnation new_incarnation,
             const std::string& boot_id, FileSystem& files)
    : impl_(std::make_unique<Impl>(dir, self, new_incarnation, boot_id, files)) {
  if (!impl_->lost_rows_) return;
  // It may have been the reading that failed, and rows are not given up for that: once more, with
  // nothing of the files in memory.
  impl_.reset();
  impl_ = std::make_unique<Impl>(dir, self, new_incarnation, boot_id, files);
  if (!impl_->lost_rows_) return;
  Impl::leave_rows_behind(std::move(impl_));
  impl_ = std::make_unique<Impl>(dir, self, new_incarnation, boot_id, files);
}

LogDb::~LogDb() = default;

base::RecoveredLog LogDb::recover(base::Slot applied) {
  return impl_->recover(applied);
}

base::Incarnation LogDb::incarnation() const {
  return impl_->meta_.incarnation;
}

std::string LogDb::state_file() const {
  return impl_->meta_.state_file;
}

void LogDb::write(std::span<const base::LogWrite> writes) {
  impl_->write(writes);
}

LogDb::VerifiedSlice LogDb::verify_slice(base::Slot from, base::Slot recorded) {
  return impl_->verify_slice(from, recorded);
}

std::vector<base::Entry> LogDb::read(base::Slot from, base::Slot to, size_t max_bytes,
                                     std::optional<base::Slot>* damaged) {
  return impl_->read(from, to, max_bytes, damaged);
}

uint64_t LogDb::bytes() const {
  return impl_->db_.file_bytes();
}

uint64_t LogDb::wal_bytes() const {
  return impl_->db_.wal_bytes();
}

void LogDb::checkpoint() {
  impl_->db_.checkpoint();
}

}  // namespace holdfast::store
