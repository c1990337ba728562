#include "lockcore/store/mend_state.h"

#include "lockcore/base/log_row.h"

namespace holdfast::store {

std::unique_ptr<StateDb> begin_state_anew(const std::string& dir, LogDb& log, FileSystem& files) {
  const std::string damaged = log.state_file();
  // No snapshot is of slot 0. What an interrupted attempt left under this name is gone: LogDb
  // removes whatever log.db doesn't name.
  const std::string fresh = damaged == "state.db" ? "state-0.db" : "state.db";
  auto state = std::make_unique<StateDb>(dir, fresh, log.incarnation(), files);
  base::LogWrite write;
  write.state_file = fresh;
  log.write({&write, 1});
  // Only now: log.db must never name a file that isn't there, which counts as a lost disk.
  files.remove(dir + "/" + kDamagedStateFile);
  files.rename(dir + "/" + damaged, dir + "/" + kDamagedStateFile);
  for (const char* suffix : {"-wal", "-shm"}) files.remove(dir + "/" + damaged + suffix);
  files.sync_directory(dir);
  return state;
}

}  // namespace holdfast::store
