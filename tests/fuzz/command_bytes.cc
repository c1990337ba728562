// Feeds: bytes as what lies in a log row (a batch of commands) and in a row of table `answer`.
// Checks: they are refused with a reason or decoded, and what was decoded is encoded, decoded and
// encoded again to the same bytes; a decoded batch can be applied to any state; and the bound on a
// command's size, by which batches are cut, holds.
#include <string>

#include "lockcore/base/assert.h"
#include "lockcore/locks/command.h"
#include "lockcore/locks/lock_table.h"

namespace holdfast::fuzz {
namespace {

void check_batch(std::string_view bytes) {
  std::string why;
  const auto batch = locks::decode_batch(bytes, why);
  HF_ASSERT(batch.has_value() == why.empty());
  if (!batch) return;
  const std::string encoded = locks::encode_batch(*batch);
  const auto again = locks::decode_batch(encoded, why);
  HF_ASSERT(again.has_value());
  HF_ASSERT(locks::encode_batch(*again) == encoded);
  size_t bound = 0;
  for (const locks::Command& command : batch->commands) bound += locks::command_bytes(command);
  constexpr size_t kBatchItself = 64;
  HF_ASSERT(encoded.size() <= bound + kBatchItself);

  locks::LockTable table;
  locks::Applied applied;
  for (uint64_t slot = 1; slot <= 2; ++slot) {  // the second meets what the first has done
    applied.clear();
    table.apply(base::Slot{slot}, &*batch, applied);
    table.check_invariants();
  }
}

void check_answer(std::string_view bytes) {
  const auto answer = locks::decode_answer(bytes);
  if (!answer) return;
  const auto again = locks::decode_answer(locks::encode_answer(*answer));
  HF_ASSERT(again == answer);
}

}  // namespace
}  // namespace holdfast::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  holdfast::fuzz::check_batch(bytes);
  holdfast::fuzz::check_answer(bytes);
  return 0;
}
