// Sets of voters, and how far a quorum of them has come.
#include <doctest/doctest.h>

#include <array>

#include "lockcore/paxos/log_window.h"
#include "lockcore/paxos/quorum.h"
#include "tests/unit/paxos/cell.h"

using namespace holdfast;
using namespace holdfast::paxos;
using base::NodeId;
using base::Slot;

namespace {

base::Config config_of(std::initializer_list<base::Member> members) {
  return {base::CellId{1}, base::ConfigVersion{1}, members};
}

}  // namespace

TEST_CASE("quorum: more than half of the voters, whatever the number of learners") {
  const Electorate electorate(config_of({{NodeId{1}, {}, "", true},
                                         {NodeId{2}, {}, "", false},
                                         {NodeId{3}, {}, "", true},
                                         {NodeId{4}, {}, "", true}}));
  CHECK(electorate.voters() == 3);
  CHECK_FALSE(electorate.is_voter(NodeId{2}));
  CHECK_FALSE(electorate.is_voter(NodeId{9}));
  VoterSet set;
  set.add(*electorate.index_of(NodeId{4}));
  set.add(*electorate.index_of(NodeId{4}));  // a voter counts once
  CHECK_FALSE(electorate.is_quorum(set));
  set.add(*electorate.index_of(NodeId{1}));
  CHECK(electorate.is_quorum(set));
}

TEST_CASE("quorum: what a quorum reached is the middle of an odd cell, the lower one of an even") {
  // Two of four are no quorum: two halves could each hold one.
  const auto reached = [](std::initializer_list<uint64_t> numbers) {
    base::Config config = config_of({});
    for (uint64_t id = 1; id <= numbers.size(); ++id) {
      config.members.push_back({NodeId{id}, {}, "", true});
    }
    const std::vector<uint64_t> by_voter(numbers);
    return Electorate(config).reached_by_quorum(by_voter);
  };
  CHECK(reached({7}) == 7);
  CHECK(reached({7, 3}) == 3);
  CHECK(reached({9, 1, 5}) == 5);
  CHECK(reached({9, 8, 1, 0}) == 1);
  CHECK(reached({9, 8, 2, 1, 0}) == 2);
}

TEST_CASE("log window: applied rows are dropped oldest first, rows above never") {
  LogWindow log(Slot{1});
  for (uint64_t slot = 1; slot <= 10; ++slot) {
    log.put(test::entry(slot, {1, NodeId{1}}, std::string(68, 'x')), {});  // 100 bytes each
    log.find(Slot{slot})->chosen = true;
  }
  log.cache_through(Slot{8}, 300);
  CHECK(log.first() == Slot{6});
  CHECK(log.find(Slot{5}) == nullptr);
  CHECK(log.find(Slot{6}) != nullptr);
  CHECK(log.cached_bytes() == 300);
  log.cache_through(Slot{8}, 0);
  CHECK(log.first() == Slot{9});
  CHECK(log.last() == Slot{10});
}

TEST_CASE("log window: gaps are no rows") {
  LogWindow log(Slot{5});
  CHECK(log.last() == Slot{4});
  log.put(test::entry(8, {1, NodeId{1}}, "x"), {});
  CHECK(log.last() == Slot{8});
  CHECK(log.find(Slot{7}) == nullptr);
  CHECK(log.find(Slot{4}) == nullptr);
  CHECK(log.find(Slot{9}) == nullptr);
}
