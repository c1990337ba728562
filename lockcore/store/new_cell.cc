#include "lockcore/store/new_cell.h"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>
#include <vector>

#include "lockcore/base/assert.h"
#include "lockcore/store/state_db.h"

namespace holdfast::store {
namespace {

constexpr uint64_t kRevisionsAhead = uint64_t{1} << 40;
constexpr int kRevisionBitsPerMs = 20;
constexpr size_t kCopyBytes = 1 << 20;

void copy_file(FileSystem& files, const std::string& from, const std::string& to) {
  const std::unique_ptr<File> source = files.open(from);
  if (!source) fail_io(from, "can't open it", ENOENT);
  for (const char* suffix : {"", "-wal", "-shm"}) files.remove(to + suffix);
  const std::unique_ptr<File> copy = files.create(to);
  std::vector<char> buffer(kCopyBytes);
  for (uint64_t offset = 0;;) {
    const size_t n = source->read(offset, buffer.data(), buffer.size());
    if (n == 0) break;
    copy->write(offset, {buffer.data(), n});
    offset += n;
  }
  copy->sync();
}

base::Incarnation incarnation_in(const base::Config& config, base::Incarnation self) {
  const auto is_self = [self](const base::Member& member) { return member.incarnation == self; };
  HF_ASSERT(std::ranges::any_of(config.members, is_self));
  return self;
}

// Whatever hangs on a lease ends, and clients are unknown: what they were told counts no more.
base::StateWrite endings_of(const base::StateRows& rows, const NewCell& cell) {
  base::StateWrite write;
  write.meta = rows.meta;
  write.meta.applied = cell.applied;
  write.meta.revision = cell.revision;
  write.meta.wall_ms = cell.wall_ms;
  write.meta.config_version = {};
  write.meta.leader = {};
  for (const base::LeaseRow& row : rows.leases) write.leases.erase.push_back(row.id);
  for (const base::LockRow& row : rows.locks) write.locks.erase.push_back(row.name);
  for (const base::HoldRow& row : rows.holds) write.holds.erase.push_back(row.token);
  for (const base::WaiterRow& row : rows.waiters) write.waiters.erase.push_back(row.queued);
  for (const base::ClientRow& row : rows.clients) write.clients.erase.push_back(row.id);
  for (const base::AnswerRow& row : rows.answers) write.answers.erase.push_back(row.key);
  for (const base::KeyRow& row : rows.keys) {
    if (row.lease) write.keys.erase.push_back(row.key);
  }
  write.config = base::Config{};  // as founded: log.db has the record
  base::EventRow event;
  event.revision = cell.revision;
  event.type = base::EventType::kForce;
  event.cause = "new cell";
  event.note = cell.note;
  event.at_wall_ms = cell.wall_ms;
  event.at_cell_ms = rows.meta.cell_time_ms;
  write.events = std::make_shared<const base::EventRows>(base::EventRows{std::move(event)});
  return write;
}

}  // namespace

base::Revision revision_of_new_cell(base::Revision old, uint64_t wall_ms, base::Revision at_least) {
  return std::max({base::Revision{old.value + kRevisionsAhead},
                   base::Revision{wall_ms << kRevisionBitsPerMs}, at_least});
}

BackupInfo inspect_backup(const std::string& path, FileSystem& files) {
  const StateDb::Contents contents = StateDb::inspect(path, files);
  const base::StateRows& rows = contents.rows;
  return {rows.meta,         contents.bytes,      rows.leases.size(),  rows.locks.size(),
          rows.holds.size(), rows.waiters.size(), rows.clients.size(), contents.events};
}

void found_from(const std::string& source, const std::string& dir, LogDb& log, const NewCell& cell,
                FileSystem& files) {
  const base::Incarnation self = incarnation_in(cell.config, log.incarnation());
  const std::string name = "state-" + std::to_string(cell.applied.value) + ".db";
  const std::string draft = dir + "/" + name + ".new";
  copy_file(files, source, draft);
  StateDb::take_over(files, draft, std::nullopt, self);
  files.remove(draft + "-wal");
  files.rename(draft, dir + "/" + name);
  files.sync_directory(dir);
  {
    StateDb state(dir, name, self, files);
    const base::StateRows rows = state.load();
    HF_ASSERT(rows.meta.applied < cell.applied);
    state.write(endings_of(rows, cell));
    state.checkpoint();
  }
  // Until now nothing has changed. From here on the directory is the new cell's.
  base::LogWrite write;
  write.config = cell.config;
  write.founding = base::FoundingState::kFounded;
  write.state_file = name;
  write.first_retained = cell.applied.next();
  log.write({&write, 1});
}

void restore_backup(const std::string& backup, const std::string& to, base::NodeId self,
                    const NewCell& cell, FileSystem& files) {
  std::string dir = to;
  while (dir.size() > 1 && dir.back() == '/') dir.pop_back();
  for (const std::string& taken : {dir, dir + ".restoring"}) {
    if (!files.exists(taken)) continue;
    throw StoreError(StoreError::Kind::kForeign,
                     taken +
                         ": exists already; a backup is restored into a directory of its own, "
                         "which must not exist yet (.restoring: an interrupted restore left "
                         "it, remove it)");
  }
  const auto member = std::ranges::find(cell.config.members, self, &base::Member::id);
  HF_ASSERT(member != cell.config.members.end());
  const std::string draft = dir + ".restoring";
  {
    LogDb log(draft, self, member->incarnation, "", files);
    found_from(backup, draft, log, cell, files);
  }
  files.rename(draft, dir);
  const size_t slash = dir.find_last_of('/');
  const std::string parent = dir.substr(0, std::max<size_t>(slash, 1));
  files.sync_directory(slash == std::string::npos ? "." : parent);
}

}  // namespace holdfast::store
