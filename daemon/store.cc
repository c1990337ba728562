#include "daemon/store.h"

#include <fmt/format.h>

#include <fstream>
#include <string>

#include "daemon/exit_codes.h"
#include "daemon/random.h"

namespace holdfast::daemon {
namespace {

// Another one after each start of the machine; empty where the kernel tells none.
std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

}  // namespace

OpenedStore open_store(const Config& config) {
  using Kind = store::StoreError::Kind;
  OpenedStore opened;
  opened.log = std::make_unique<store::LogDb>(config.data_dir, config.id,
                                              base::Incarnation{random_number()}, boot_id());
  opened.state = std::make_unique<store::StateDb>(config.data_dir, opened.log->state_file(),
                                                  opened.log->incarnation());
  base::StateRows rows = opened.state->load();
  opened.recovered = opened.log->recover(rows.meta.applied);
  if (!opened.recovered.disk_lost.empty()) {
    throw store::StoreError(Kind::kDiskLost, opened.recovered.disk_lost);
  }
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
