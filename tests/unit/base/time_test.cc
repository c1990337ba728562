// Instants, ids and ballots: the plain data that everything else relies on.
#include <doctest/doctest.h>

#include "lockcore/base/ballot.h"
#include "lockcore/base/log_row.h"
#include "lockcore/base/time.h"

using namespace holdfast::base;

TEST_CASE("time: milliseconds round up, so that no lease is cut short by arithmetic") {
  CHECK(Duration{1}.ms_ceil() == 1);
  CHECK(Duration::from_ms(5).ms_ceil() == 5);
  CHECK(Duration{5'000'001}.ms_ceil() == 6);
}

TEST_CASE("ballot: rounds order first, node ids break ties") {
  CHECK(Ballot{2, NodeId{1}} > Ballot{1, NodeId{9}});
  CHECK(Ballot{2, NodeId{3}} > Ballot{2, NodeId{1}});
  CHECK_FALSE(static_cast<bool>(Ballot{}));
}

TEST_CASE("log row: the checksum covers every field") {
  // A row whose ballot alone was damaged would pass for a value of another ballot.
  Entry entry{Slot{7}, Ballot{3, NodeId{1}}, EntryKind::kCommands,
              std::make_shared<std::string>("value")};
  const uint64_t sum = entry_checksum(entry);
  Entry other = entry;
  other.slot = Slot{8};
  CHECK(entry_checksum(other) != sum);
  other = entry;
  other.ballot.node = NodeId{2};
  CHECK(entry_checksum(other) != sum);
  other = entry;
  other.kind = EntryKind::kNewLeader;
  CHECK(entry_checksum(other) != sum);
  other = entry;
  other.value = std::make_shared<std::string>("valuf");
  CHECK(entry_checksum(other) != sum);
}
