#include "daemon/force_new_cell.h"

#include <algorithm>
#include <ctime>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "daemon/log.h"
#include "daemon/random.h"
#include "lockcore/locks/command.h"
#include "lockcore/store/new_cell.h"

namespace holdfast::daemon {
namespace {

using Kind = store::StoreError::Kind;

uint64_t wall_clock_ms() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1'000'000;
}

void check_need(const Config& config, const base::RecoveredLog& log) {
  if (log.founding != base::FoundingState::kFounded) {
    throw store::StoreError(Kind::kForeign,
                            config.data_dir +
                                ": belongs to no founded cell: there is nothing to force. Start "
                                "the node without --force-new-cell");
  }
  if (log.config.members.size() == 1 && log.config.members.front().id == config.id) {
    throw store::StoreError(Kind::kForeign,
                            config.data_dir +
                                ": this node is a cell of its own already. Start it without "
                                "--force-new-cell, which would end all leases again");
  }
}

// What this node accepted behind its record may have been chosen, and with that told to somebody:
// nobody is left who could say that it wasn't.
void apply_accepted(const base::RecoveredLog& log, locks::LockTable& table) {
  locks::Applied ignored;
  for (const base::Entry& entry : log.entries) {
    if (entry.slot != table.meta().applied.next()) return;
    std::optional<locks::Batch> batch;
    if (entry.kind != base::EntryKind::kNoOp) {
      std::string why;
      batch = locks::decode_batch(*entry.value, why);
      if (!batch) {
        throw store::StoreError(Kind::kForeign,
                                fmt::format("slot {} can't be applied: {}; use the version of "
                                            "holdfastd that wrote it",
                                            entry.slot.value, why));
      }
    }
    ignored.clear();
    table.apply(entry.slot, batch ? &*batch : nullptr, ignored);
  }
}

}  // namespace

void force_new_cell(const Config& config, OpenedStore opened) {
  const base::RecoveredLog& log = opened.recovered;
  check_need(config, log);
  const base::Slot recorded = opened.table.meta().applied;
  apply_accepted(log, opened.table);
  const base::MetaRow last = opened.table.meta();
  if (last.applied != recorded) opened.state->write(opened.table.take_changes());
  opened.state->checkpoint();
  opened.state.reset();

  store::NewCell cell;
  cell.config = {base::CellId{random_number()},
                 base::ConfigVersion{1},
                 {{config.id, log.incarnation, config.advertise, true}}};
  cell.applied = std::max(log.last_slot, last.applied).next();
  cell.wall_ms = wall_clock_ms();
  cell.revision = store::revision_of_new_cell(last.revision, cell.wall_ms, {});
  cell.note = fmt::format(
      "--force-new-cell on node {}: a new cell of this node alone, from slot {} of the old one; "
      "what only the lost nodes knew is lost, all leases ended",
      config.id.value, last.applied.value);
  log_error(
      "FORCING A NEW CELL of this node alone: all leases end, what only the lost nodes knew "
      "is lost, and the old cell must never run again",
      {{"old_cell", fmt::format("{:016x}", log.config.cell.value)},
       {"new_cell", fmt::format("{:016x}", cell.config.cell.value)},
       {"slot", std::to_string(last.applied.value)},
       {"revision", std::to_string(cell.revision.value)}});
  store::found_from(fmt::format("{}/{}", config.data_dir, opened.log->state_file()),
                    config.data_dir, *opened.log, cell);
}

}  // namespace holdfast::daemon
