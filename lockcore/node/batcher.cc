#include "lockcore/node/batcher.h"

#include <utility>

#include "lockcore/base/assert.h"
#include "lockcore/base/limits.h"
#include "lockcore/base/mutant.h"

namespace holdfast::node {

void Batcher::add(locks::Command command) {
  const size_t bytes = locks::command_bytes(command);
  queued_bytes_ += bytes;
  queue_.push_back(Queued{std::move(command), bytes});
}

bool Batcher::full() const {
  return queue_.size() >= base::kMaxBatchCommands || queued_bytes_ >= base::kMaxBatchBytes;
}

locks::Batch Batcher::seal(uint64_t cell_time_ms, uint64_t wall_ms) {
  HF_ASSERT(!queue_.empty());
  locks::Batch batch{.cell_time_ms = cell_time_ms, .wall_ms = wall_ms, .commands = {}};
  batch.commands.reserve(std::min(queue_.size(), base::kMaxBatchCommands));
  size_t bytes = 0;
  // At least one, whatever its size: validate() bounds a single command far below a message.
  while (!queue_.empty() && batch.commands.size() < base::kMaxBatchCommands &&
         (batch.commands.empty() || bytes + queue_.front().bytes <= base::kMaxBatchBytes)) {
    bytes += queue_.front().bytes;
    batch.commands.push_back(std::move(queue_.front().command));
    queue_.pop_front();
  }
  queued_bytes_ -= bytes;
  if (HF_MUTANT(batch_loses_a_command) && batch.commands.size() > 1) batch.commands.pop_back();
  return batch;
}

void Batcher::proposed(base::Slot slot, locks::Batch batch) {
  HF_ASSERT(proposed_.empty() || proposed_.back().slot < slot);
  proposed_commands_ += batch.commands.size();
  proposed_.push_back(Proposed{slot, std::move(batch)});
}

std::optional<locks::Batch> Batcher::take_proposed(base::Slot slot) {
  // Slots are applied in order, and everything proposed here in this ballot is applied if it leads
  // on.
  if (proposed_.empty() || proposed_.front().slot != slot) return std::nullopt;
  locks::Batch batch = std::move(proposed_.front().batch);
  proposed_.pop_front();
  proposed_commands_ -= batch.commands.size();
  return batch;
}

void Batcher::clear() {
  queue_.clear();
  queued_bytes_ = 0;
  proposed_.clear();
  proposed_commands_ = 0;
}

}  // namespace holdfast::node
