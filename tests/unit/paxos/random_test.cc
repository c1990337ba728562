// Many random histories: loss, repetition, reordering, crashes, lost links, slow disks. The cell
// itself checks after every event that no slot has two values; at the end all must agree.
#include <doctest/doctest.h>

#include <algorithm>

#include "lockcore/base/random.h"
#include "tests/unit/paxos/cell.h"

using namespace holdfast;
using namespace holdfast::paxos;
using namespace holdfast::paxos::test;

namespace {

class Storm {
 public:
  Storm(uint64_t seed, size_t voters) : random_(seed), cell_(voters, Cell::Start::kFounded, seed) {}

  void run(int steps) {
    for (int i = 0; i < steps; ++i) step();
  }

  // Faults end: a leader must come, and everybody must learn everything.
  void calm() {
    for (uint64_t id = 1; id <= cell_.size(); ++id) {
      if (!cell_.node(id).replica) cell_.start(id);
    }
    for (uint64_t a = 1; a <= cell_.size(); ++a) {
      for (uint64_t b = a + 1; b <= cell_.size(); ++b) cell_.link(a, b);
    }
    for (int i = 0; i < 400 && !all_agree(); ++i) {
      cell_.settle();
      cell_.pass(10);
      cell_.tick_due();
      lead();
    }
    CHECK(all_agree());
  }

 private:
  void step() {
    const uint64_t dice = random_.below(1000);
    if (dice < 600) {
      deliver_one();
    } else if (dice < 760) {
      const uint64_t id = anybody();
      if (cell_.node(id).replica) cell_.flush(id, 1 + random_.below(3));
    } else if (dice < 900) {
      cell_.pass(static_cast<int64_t>(random_.below(random_.chance(0.02) ? 900 : 25)));
      cell_.tick_due();
    } else if (dice < 985) {
      lead();
    } else {
      break_something();
    }
  }

  void deliver_one() {
    if (cell_.mail.empty()) return;
    const auto i =
        static_cast<std::ptrdiff_t>(random_.below(std::min<size_t>(cell_.mail.size(), 40)));
    const Envelope envelope = cell_.mail[static_cast<size_t>(i)];
    if (!random_.chance(0.05)) cell_.mail.erase(cell_.mail.begin() + i);  // else it comes again
    if (!random_.chance(0.10)) cell_.deliver(envelope);
  }

  void break_something() {
    const uint64_t id = anybody(), other = anybody();
    if (!cell_.node(id).replica) {
      cell_.restart(id);
    } else if (random_.chance(0.3)) {
      // What state.db holds: something up to what is durable.
      cell_.node(id).disk.recorded =
          std::max(cell_.node(id).disk.recorded,
                   base::Slot{random_.below(
                       std::min<uint64_t>(cell_[id].durable_upto().value,
                                          cell_.node(id).applied.size()) + 1)});
      cell_.crash(id);
    } else if (id != other && cell_.node(other).replica) {
      cell_.cut(id, other);
      cell_.link(id, other);
    }
  }

  void lead() {
    const uint64_t id = cell_.leader();
    if (id == 0 || !cell_[id].can_propose()) return;
    if (announced_ != cell_[id].ballot()) {
      announced_ = cell_[id].ballot();
      cell_.announce(id);
    } else if (random_.chance(0.5)) {
      cell_.propose(id, "value " + std::to_string(++values_));
    } else {
      cell_[id].want_confirm();
      cell_.turn(id);
    }
  }

  bool all_agree() {
    const uint64_t id = cell_.leader();
    if (id == 0 || announced_ != cell_[id].ballot()) return false;
    for (uint64_t other = 1; other <= cell_.size(); ++other) {
      if (cell_.node(other).fatal) return true;  // reported below
      if (cell_.node(other).applied.size() != cell_.node(id).applied.size()) return false;
    }
    return cell_[id].chosen_upto().value == cell_.node(id).applied.size() &&
           cell_[id].chosen_upto() > base::Slot{};
  }

  uint64_t anybody() { return 1 + random_.below(cell_.size()); }

 public:
  base::Random random_;
  Cell cell_;

 private:
  base::Ballot announced_;
  uint64_t values_ = 0;
};

}  // namespace

TEST_CASE("paxos: no slot has two values, and a cell left in peace agrees again") {
  // Each rule has its own test; this one looks for the interplay that nobody thought of.
  uint64_t slots = 0;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    CAPTURE(seed);
    Storm storm(seed, seed % 3 == 0 ? 5 : 3);
    storm.run(3000);
    storm.calm();
    for (uint64_t id = 1; id <= storm.cell_.size(); ++id) {
      REQUIRE_MESSAGE(!storm.cell_.node(id).fatal, *storm.cell_.node(id).fatal);
    }
    slots += storm.cell_.node(1).applied.size();
  }
  MESSAGE("slots chosen: ", slots);
  CHECK(slots > 5000);
}
