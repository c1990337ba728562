// A cell of Replicas for tests: every message, write and moment is the test's to move.
//
// Nothing happens by itself: messages lie in `mail` until delivered or dropped, writes lie with the
// disk until flush(), time stands until the test moves it. settle() delivers and flushes everything
// until all is quiet. After every event the invariants are checked, and a witness compares what was
// said and applied with what is durable.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "lockcore/paxos/replica.h"
#include "tests/unit/paxos/witness.h"

namespace holdfast::paxos::test {

struct Envelope {
  uint64_t from = 0, to = 0;
  Message message;
};

// What survives a crash, and what doesn't yet.
struct Disk {
  base::RecoveredLog log;  // without the entries
  std::map<base::Slot, base::Entry> rows;
  std::set<base::Slot> damaged;        // rows that fail their checksum; not in `rows`
  base::Slot recorded;                 // of state.db
  std::deque<base::LogWrite> pending;  // handed over, lost at a crash
  bool writes_at_once = false;
};

struct TestNode {
  Options options;
  Disk disk;
  std::unique_ptr<Replica> replica;  // null: it is down
  std::vector<base::Entry> applied;  // in slot order, from slot 1
  std::optional<std::string> fatal;
  std::vector<std::string> notices;
  // Its clock showed `clock_then` at `clock_since`, and has run at this rate since.
  double clock_rate = 1;
  base::Instant clock_then, clock_since;
};

class Cell {
 public:
  // `voters` nodes that are up, linked and founded already, or with empty disks.
  enum class Start { kFounded, kEmpty };
  // `timing` gives heartbeat, election and rest_delay; by default every message goes to everybody
  // at once, so that a test sees it where it looks for it.
  explicit Cell(size_t voters, Start start = Start::kFounded, uint64_t seed = 1,
                const Options& timing = at_once());
  static Options at_once();

  TestNode& node(uint64_t id) { return nodes_.at(id - 1); }
  Replica& operator[](uint64_t id) { return *node(id).replica; }
  size_t size() const { return nodes_.size(); }
  base::Instant now() const { return now_; }

  // -- time, disk, links
  void pass(int64_t ms) { now_ = now_ + base::Duration::from_ms(ms); }
  base::Instant clock(uint64_t id) const;  // what this node's clock shows: now(), if it runs well
  void set_clock_rate(uint64_t id, double rate);
  void tick(uint64_t id);  // calls on_tick, whether due or not
  // Lets time pass, in steps, until this node's patience ends and it probes.
  void ask_to_lead(uint64_t id);
  void tick_due();  // every node whose next_tick() has come
  void flush(uint64_t id, size_t writes = SIZE_MAX);
  void link(uint64_t a, uint64_t b);  // both hellos, and refusals if there are any
  void cut(uint64_t a, uint64_t b);   // both lose the link, what is under way is lost
  std::optional<Refusal> greet(uint64_t to, const Hello& hello);
  // Of the writes that are pending the first `kept` are on the disk all the same; the rest is lost.
  void crash(uint64_t id, size_t kept = 0);
  void damage(uint64_t id, uint64_t slot);  // this row of a node that is down (P11)
  // state.db of a node that is down holds nothing, though the log begins with this slot.
  void lose_record(uint64_t id, uint64_t first_retained);
  void record(uint64_t id);   // all that is applied is in state.db
  void start(uint64_t id);    // a new process with the same disk; no links yet
  void restart(uint64_t id);  // crash, start, link with everybody who is up

  // -- messages
  std::vector<Envelope> mail;
  using Filter = std::function<bool(const Envelope&)>;
  void deliver(const Envelope& envelope);
  size_t deliver_if(const Filter& wanted);  // those now in the mail, in order; how many
  size_t drop_if(const Filter& wanted);
  template <class M>
  const M* find(uint64_t from, uint64_t to) const {
    for (const Envelope& envelope : mail) {
      if (envelope.from != from || envelope.to != to) continue;
      if (const M* message = std::get_if<M>(&envelope.message)) return message;
    }
    return nullptr;
  }
  template <class M>
  size_t count(uint64_t from = 0, uint64_t to = 0) const {
    size_t n = 0;
    for (const Envelope& e : mail) {
      n += std::holds_alternative<M>(e.message) && (from == 0 || e.from == from) &&
           (to == 0 || e.to == to);
    }
    return n;
  }
  void say(uint64_t from, uint64_t to, Message message);  // as if `from` had sent it; now

  // -- whole stretches
  void settle();  // deliver and flush until nothing is left
  // Waits until nobody counts as heard, lets `id` ask, and settles. NewLeader is chosen after it.
  void elect(uint64_t id);
  base::Slot propose(uint64_t id, const std::string& value);  // and ends the turn
  base::Confirm want_confirm(uint64_t id);                    // likewise
  void announce(uint64_t id);                                 // proposes NewLeader
  // Proposes this configuration, and ends the turn. Whoever applies it obeys.
  base::Slot reconfigure(uint64_t id, const base::Config& config);
  // One more node, with an empty disk, which waits to be told of a cell; it has the next id.
  uint64_t add_joining();
  void join(uint64_t id, const base::Config& config);
  void turn(uint64_t id);   // finish_turn, and what follows from the effects
  uint64_t leader() const;  // 0: none
  std::string value_at(uint64_t id, uint64_t slot) const;    // applied; "-" if not
  const base::Entry* row(uint64_t id, uint64_t slot) const;  // durable

 private:
  void absorb(uint64_t id);
  bool drain(TestNode& node);  // true: it has applied a change of the membership
  void apply_write(TestNode& node, const base::LogWrite& write);

  std::vector<TestNode> nodes_;
  Effects fx_;
  base::Instant now_ = base::Instant{} + base::Duration::from_ms(10'000);
  std::map<base::Slot, base::Entry> applied_;  // by anybody: one value per slot
  Witness witness_;
  std::map<std::string, base::Config> configs_;  // by the value that stands for them in the log
  bool imagined_ = false;  // the test said something in a node's name that it never did
  uint64_t next_nonce_ = 100;
};

// A message kind to filter by: cell.deliver_if(is<Accept>(1, 2)); 0: anybody.
template <class M>
Cell::Filter is(uint64_t from = 0, uint64_t to = 0) {
  return [from, to](const Envelope& envelope) {
    return std::holds_alternative<M>(envelope.message) && (from == 0 || envelope.from == from) &&
           (to == 0 || envelope.to == to);
  };
}
inline bool everything(const Envelope&) {
  return true;
}

base::Entry entry(uint64_t slot, base::Ballot ballot, const std::string& value,
                  base::EntryKind kind = base::EntryKind::kCommands);
// The address of a node in these tests.
std::string address(uint64_t id);

}  // namespace holdfast::paxos::test
