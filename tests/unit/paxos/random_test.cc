// Many random histories: loss, repetition, reordering, crashes, lost links, slow disks, late
// hellos. After every event the cell's witness compares what is said and applied with what is
// durable; at the end all must agree.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>

#include "lockcore/base/random.h"
#include "tests/unit/paxos/cell.h"

using namespace holdfast;
using namespace holdfast::paxos;
using namespace holdfast::paxos::test;

namespace {

class Storm {
 public:
  Storm(uint64_t seed, size_t voters, Cell::Start start = Cell::Start::kFounded)
      : random_(base::Random(seed).next()), cell_(voters, start, seed, timing(seed)) {
    // Every history has a temper of its own: rare faults let much happen in between, frequent ones
    // meet each other.
    loss_ = 0.07 * static_cast<double>(random_.below(5));
    repeat_ = 0.07 * static_cast<double>(random_.below(4));
    reorder_ = 1 + random_.below(60);
    slow_disk_ = random_.chance(0.3);
    breaks_ = random_.between(2, 40);
  }

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
    for (int i = 0; i < 600 && !all_agree(); ++i) {
      cell_.settle();
      cell_.pass(10);
      cell_.tick_due();
      lead();
    }
    CHECK(all_agree());
  }

  Cell& cell() { return cell_; }

 private:
  // Quick elections let many more ballots meet; a long rest_delay lets a voter lag.
  static Options timing(uint64_t seed) {
    Options options;
    if (seed % 2 == 1) {
      options.heartbeat = base::Duration::from_ms(10);
      options.election = base::Duration::from_ms(60);
    }
    const int64_t delays_ms[] = {0, 1, 5, 40};
    options.rest_delay = base::Duration::from_ms(delays_ms[seed / 2 % 4]);
    return options;
  }

  void step() {
    const uint64_t dice = random_.below(1000);
    if (dice < 600) {
      deliver_one();
    } else if (dice < (slow_disk_ ? 640 : 760)) {
      const uint64_t id = anybody();
      if (cell_.node(id).replica) cell_.flush(id, 1 + random_.below(3));
    } else if (dice < 900) {
      cell_.pass(static_cast<int64_t>(random_.below(random_.chance(0.02) ? 900 : 25)));
      cell_.tick_due();
    } else if (dice < 1000 - breaks_) {
      lead();
    } else if (random_.chance(0.2)) {
      greet_late();
    } else {
      break_something();
    }
  }

  void deliver_one() {
    if (cell_.mail.empty()) return;
    const auto i =
        static_cast<std::ptrdiff_t>(random_.below(std::min<size_t>(cell_.mail.size(), reorder_)));
    const Envelope envelope = cell_.mail[static_cast<size_t>(i)];
    if (!random_.chance(repeat_)) cell_.mail.erase(cell_.mail.begin() + i);  // else it comes again
    if (!random_.chance(loss_)) cell_.deliver(envelope);
  }

  void break_something() {
    const uint64_t id = anybody(), other = anybody();
    if (!cell_.node(id).replica) {
      cell_.restart(id);
    } else if (random_.chance(0.3)) {
      // What state.db holds: something up to what is durable.
      cell_.node(id).disk.recorded =
          std::max(cell_.node(id).disk.recorded,
                   base::Slot{random_.below(std::min<uint64_t>(cell_[id].durable_upto().value,
                                                               cell_.node(id).applied.size()) +
                                            1)});
      cell_.crash(id, random_.below(4));
    } else if (id != other && cell_.node(other).replica) {
      cell_.cut(id, other);
      cell_.link(id, other);
    }
  }

  // A hello that a process said a while ago comes by a second connection. It is no sign of loss.
  void greet_late() {
    const uint64_t from = anybody(), to = anybody();
    if (!late_.empty() && random_.chance(0.5)) {
      const Hello hello = late_[random_.below(late_.size())];
      const TestNode& sender = cell_.node(hello.node.value);
      if (to == hello.node.value || !cell_.node(to).replica) return;
      if (sender.options.process_nonce != hello.process_nonce) return;
      const std::optional<Refusal> refusal = cell_.greet(to, hello);
      if (refusal) CHECK_MESSAGE(!refusal->disk_lost, refusal->reason);
    } else if (cell_.node(from).replica) {
      late_.push_back(cell_[from].hello());
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
      cell_.want_confirm(id);
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

  base::Random random_;
  Cell cell_;
  double loss_, repeat_;
  uint64_t reorder_, breaks_;
  bool slow_disk_;
  std::vector<Hello> late_;
  base::Ballot announced_;
  uint64_t values_ = 0;
};

// $HOLDFAST_STORMS: how many histories, for whoever goes hunting.
uint64_t histories() {
  const char* given = std::getenv("HOLDFAST_STORMS");
  return given == nullptr ? 300 : std::strtoull(given, nullptr, 10);
}

void check_nobody_ended(Cell& cell) {
  for (uint64_t id = 1; id <= cell.size(); ++id) {
    REQUIRE_MESSAGE(!cell.node(id).fatal, *cell.node(id).fatal);
  }
}

}  // namespace

TEST_CASE("paxos: no slot has two values, and a cell left in peace agrees again") {
  // Each rule has its own test; this one looks for the interplay that nobody thought of.
  uint64_t slots = 0;
  for (uint64_t seed = 1; seed <= histories(); ++seed) {
    CAPTURE(seed);
    const size_t sizes[] = {3, 5, 3, 5, 3, 4, 3, 2, 3, 1};
    Storm storm(seed, sizes[seed % 10]);
    storm.run(3000);
    storm.calm();
    check_nobody_ended(storm.cell());
    slots += storm.cell().node(1).applied.size();
  }
  MESSAGE("slots chosen: ", slots);
  CHECK(slots > 5000);
}

TEST_CASE("paxos: founding survives any interplay of crashes, losses and late hellos") {
  for (uint64_t seed = 1; seed <= histories(); ++seed) {
    CAPTURE(seed);
    Storm storm(seed, seed % 3 == 0 ? 5 : 3, Cell::Start::kEmpty);
    storm.run(static_cast<int>(20 + seed % 300));
    storm.calm();
    check_nobody_ended(storm.cell());
    for (uint64_t id = 1; id <= storm.cell().size(); ++id) {
      CHECK(storm.cell()[id].config() == storm.cell()[1].config());
    }
  }
}
