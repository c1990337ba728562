// Witness: sees all that the nodes of a test cell write, say and apply, and fails the test at the
// first thing that may not be. It asks no node what it thinks.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "lockcore/paxos/message.h"

namespace holdfast::paxos::test {

struct Disk;

class Witness {
 public:
  explicit Witness(size_t voters) : quorum_(voters / 2 + 1) {}

  // This write is durable now.
  void on_durable(uint64_t node, const base::LogWrite& write);
  // P11: this row took the place of a damaged one.
  void on_mended(const base::Entry& entry) const { on_applied(entry); }
  // P1, P2: what a message claims is durable already. P11: whoever has damage votes on nothing.
  // `disk` is the sender's.
  void on_said(const Disk& disk, const Message& message) const;
  // P4: what is handed out as chosen is durable on a quorum, in one ballot; and it is one value.
  void on_applied(const base::Entry& entry) const;

  // P8: once a counter is confirmed, nobody led in a higher ballot when it was drawn.
  void on_leads(const base::Ballot& ballot);
  void on_drawn(uint64_t node, const base::Ballot& ballot, base::Confirm counter);
  void on_confirmed(uint64_t node, const base::Ballot& ballot, base::Confirm upto);

 private:
  struct Proposal {
    base::Entry entry;
    std::set<uint64_t> durable_on;
  };
  struct Drawn {
    uint64_t node;
    base::Ballot ballot;
    base::Confirm counter;
    base::Ballot highest_led;  // by anybody, when it was drawn
  };

  const size_t quorum_;
  std::map<std::pair<base::Slot, base::Ballot>, Proposal> proposals_;
  std::map<base::Slot, base::Entry> chosen_;
  base::Ballot highest_led_;
  std::vector<Drawn> drawn_;
};

}  // namespace holdfast::paxos::test
