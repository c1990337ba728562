// The two threads that own the two databases, reached by queues (DESIGN 9).
//
// Results are reported by calling `wake` (thread-safe, given by the owner; the daemon's is
// uv_async_send); the owner then calls drain(). All that queued up while a transaction ran goes
// into the next one: group commit.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lockcore/base/log_row.h"
#include "lockcore/base/state_rows.h"
#include "lockcore/store/log_db.h"
#include "lockcore/store/state_db.h"

namespace holdfast::store {

struct LogReadResult {
  uint64_t id = 0;
  std::vector<base::Entry> entries;
};

// What the threads finished since the last drain.
struct Finished {
  base::WriteId written;  // every write through here is durable; 0: nothing new
  base::Slot recorded;    // state.db holds everything through here; 0: nothing new
  std::vector<LogReadResult> reads;
  std::optional<std::string> failed;  // an I/O error: the process must end now, with this reason
  uint64_t last_fsync_us = 0;         // how long the last log transaction took
  // What was written, to be freed by the thread that made it: an allocator that has to take memory
  // back from another thread waits for that thread, in the middle of a commit.
  std::vector<base::LogWrite> spent_log;
  std::vector<base::StateWrite> spent_state;
};

class WriterThreads {
 public:
  WriterThreads(std::unique_ptr<LogDb> log, std::unique_ptr<StateDb> state,
                std::function<void()> wake);
  ~WriterThreads();  // finishes what is queued, then joins

  void write_log(base::LogWrite write);
  void read_log(uint64_t id, base::Slot from, base::Slot to, size_t max_bytes);
  void write_state(base::StateWrite write);
  Finished drain();

  uint64_t log_bytes() const;  // any thread; as of the last checkpoint
  uint64_t state_bytes() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast::store
