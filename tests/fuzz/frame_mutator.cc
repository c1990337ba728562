// Mutations for inputs that are Cap'n Proto frames one after another: most change one frame's body
// and leave its segment table right, or repeat, drop or swap whole frames. Blind mutations hardly
// ever get past the table. For libFuzzer only.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "lockcore/base/random.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace holdfast::fuzz {
namespace {

constexpr size_t kWord = 8;

// The frames at the head of `bytes`, each with its table; the last may be anything that is left.
std::vector<std::string> split(std::string_view bytes) {
  std::vector<std::string> frames;
  while (!bytes.empty()) {
    uint32_t table[2] = {};
    std::memcpy(table, bytes.data(), std::min(bytes.size(), sizeof table));
    size_t size = kWord + size_t{table[1]} * kWord;
    if (table[0] != 0 || size > bytes.size()) size = bytes.size();  // of several segments, or none
    frames.emplace_back(bytes.substr(0, size));
    bytes.remove_prefix(size);
  }
  return frames;
}

void mutate_body(std::string& frame, size_t room) {
  if (frame.size() <= kWord) return;
  std::string body = frame.substr(kWord);
  const size_t before = body.size();
  body.resize(before + room);
  body.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(body.data()), before, body.size()));
  body.resize((body.size() + kWord - 1) / kWord * kWord);
  uint32_t table[2] = {0, static_cast<uint32_t>(body.size() / kWord)};
  frame.assign(reinterpret_cast<const char*>(table), sizeof table);
  frame += body;
}

}  // namespace
}  // namespace holdfast::fuzz

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  using namespace holdfast;
  base::Random random(seed);
  std::vector<std::string> frames = fuzz::split({reinterpret_cast<const char*>(data), size});
  if (frames.empty() || random.below(8) == 0) return LLVMFuzzerMutate(data, size, max_size);
  const auto some = [&] { return static_cast<size_t>(random.below(frames.size())); };
  const size_t room = std::min<size_t>(max_size - size, 64);
  switch (random.below(8)) {
    case 0: {
      const std::string copy = frames[some()];
      frames.insert(frames.begin() + static_cast<std::ptrdiff_t>(some()), copy);
      break;
    }
    case 1: frames.erase(frames.begin() + static_cast<std::ptrdiff_t>(some())); break;
    case 2: std::swap(frames[some()], frames[some()]); break;
    default: fuzz::mutate_body(frames[some()], room); break;
  }
  std::string all;
  for (const std::string& frame : frames) all += frame;
  all.resize(std::min(all.size(), max_size));
  std::memcpy(data, all.data(), all.size());
  return all.size();
}
