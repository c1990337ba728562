// LogSizes: what is left is within the limits, and what goes is whole pieces.
#include <doctest/doctest.h>

#include "lockcore/paxos/log_sizes.h"

using namespace holdfast;
using base::Slot;
using paxos::LogSizes;

namespace {

LogSizes sizes_of(uint64_t slots, uint64_t bytes_each, uint64_t piece_slots) {
  LogSizes sizes({}, piece_slots);
  for (uint64_t slot = 1; slot <= slots; ++slot) sizes.add({slot}, bytes_each);
  return sizes;
}

}  // namespace

TEST_CASE("log sizes: a limit by count leaves at most so many slots, from the start of a piece") {
  LogSizes sizes = sizes_of(100, 10, 8);
  CHECK(sizes.first_within(100, 10'000) == Slot{});
  const Slot first = sizes.first_within(30, 10'000);
  CHECK(first == Slot{73});  // 28 are left: with the piece before it there would be 36
  sizes.forget_below(first);
  CHECK(sizes.slots() == 28);
  CHECK(sizes.bytes() == 280);
}

TEST_CASE("log sizes: a limit by bytes counts as well") {
  CHECK(sizes_of(100, 1'000, 8).first_within(100, 30'000) == Slot{73});
}

TEST_CASE("log sizes: a piece ends early when it has enough bytes") {
  // Ten slots of half a mebibyte must not have to go together.
  const LogSizes sizes = sizes_of(10, 512 * 1024, 64);
  CHECK(sizes.first_within(64, 3 * 1024 * 1024) == Slot{5});
}

TEST_CASE("log sizes: the last piece stays, whatever the limits are") {
  CHECK(sizes_of(100, 10, 8).first_within(1, 1) == Slot{97});
}

TEST_CASE("log sizes: what goes at once is bounded, and lies below what is needed") {
  const LogSizes sizes = sizes_of(100, 10, 8);
  CHECK(sizes.first_behind({97}, 3) == Slot{25});
  CHECK(sizes.first_behind({20}, 3) == Slot{17});
  CHECK(sizes.first_behind({8}, 3) == Slot{});
}

TEST_CASE("log sizes: what was found at a start counts as what came later") {
  LogSizes sizes({{Slot{63}, 63, 630}, {Slot{127}, 64, 640}}, 64);
  sizes.add({128}, 10);
  CHECK(sizes.slots() == 128);
  CHECK(sizes.first_within(70, 10'000) == Slot{64});
}
