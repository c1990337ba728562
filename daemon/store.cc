#include "daemon/store.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <utility>

#include "daemon/exit_codes.h"
#include "daemon/log.h"
#include "daemon/random.h"
#include "lockcore/store/mend_state.h"

namespace holdfast::daemon {
namespace {

// Another one after each start of the machine; empty where the kernel tells none.
std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

using Kind = store::StoreError::Kind;

void refuse_lost_disk(const base::RecoveredLog& log) {
  if (!log.disk_lost.empty()) throw store::StoreError(Kind::kDiskLost, log.disk_lost);
}

// P11: what was chosen is to be had from somebody else. A cell of one must not wait for that.
bool others_vote(const base::Config& cell, base::NodeId self) {
  return std::ranges::any_of(cell.members, [self](const base::Member& member) {
    return member.voter && member.id != self;
  });
}

// log.db names it as this node's record, so it was one: its first page is damaged.
bool is_no_database(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string magic(15, ' ');
  file.read(magic.data(), static_cast<std::streamsize>(magic.size()));
  return magic != "SQLite format 3";
}

// state.db is only derived: if it is damaged and other nodes have one, this one begins anew.
base::StateRows load_state(const Config& config, OpenedStore& opened) {
  try {
    opened.state = std::make_unique<store::StateDb>(config.data_dir, opened.log->state_file(),
                                                    opened.log->incarnation());
    return opened.state->load();
  } catch (const store::StoreError& damage) {
    const std::string path = config.data_dir + "/" + opened.log->state_file();
    const bool is_rubbish = damage.kind == Kind::kForeign && is_no_database(path);
    if (damage.kind != Kind::kDamaged && !is_rubbish) throw;
    const base::RecoveredLog log = opened.log->recover({});
    refuse_lost_disk(log);
    if (!others_vote(log.config, config.id) || config.force_new_cell) throw;
    log_error("the record is damaged, and not used: begins with an empty one",
              {{"reason", damage.what()},
               {"kept_as", fmt::format("{}/{}", config.data_dir, store::kDamagedStateFile)}});
  }
  opened.state.reset();
  opened.state = store::begin_state_anew(config.data_dir, *opened.log);
  return opened.state->load();
}

void refuse_unless_mendable(const Config& config, const base::Config& recorded,
                            const base::RecoveredLog& log) {
  if (log.damage.empty()) return;
  const base::Config& cell = recorded.version > log.config.version ? recorded : log.config;
  if (others_vote(cell, config.id) && !config.force_new_cell) return;
  throw store::StoreError(Kind::kDamaged, log.damage + "; " + store::kReplaceAdvice);
}

}  // namespace

OpenedStore open_store(const Config& config) {
  OpenedStore opened;
  opened.log = std::make_unique<store::LogDb>(config.data_dir, config.id,
                                              base::Incarnation{random_number()}, boot_id());
  base::StateRows rows = load_state(config, opened);
  opened.recovered = opened.log->recover(rows.meta.applied);
  refuse_lost_disk(opened.recovered);
  refuse_unless_mendable(config, rows.config, opened.recovered);
  if (auto contradiction = opened.table.restore(std::move(rows))) {
    throw store::StoreError(
        Kind::kDamaged, fmt::format("{}/{} contradicts itself: {}. Keep a copy for a report, and "
                                    "replace this node (member replace)",
                                    config.data_dir, opened.log->state_file(), *contradiction));
  }
  return opened;
}

int exit_code(store::StoreError::Kind kind) {
  using Kind = store::StoreError::Kind;
  return kind == Kind::kIo || kind == Kind::kFull || kind == Kind::kInUse ? kExitIo : kExitConfig;
}

}  // namespace holdfast::daemon
