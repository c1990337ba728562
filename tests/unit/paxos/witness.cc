#include "tests/unit/paxos/witness.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/unit/paxos/cell.h"

namespace holdfast::paxos::test {

namespace {

bool same(const base::Entry& a, const base::Entry& b) {
  return a.kind == b.kind && *a.value == *b.value;
}

// The row itself, or one of a higher ballot that has replaced it.
bool holds(const Disk& disk, base::Slot slot, const base::Ballot& ballot) {
  const auto row = disk.rows.find(slot);
  return row != disk.rows.end() && row->second.ballot >= ballot;
}

// P11: a row whose value nobody knows any more, or slots that neither log nor record speak of.
bool is_mending(const Disk& disk) {
  return !disk.damaged.empty() || disk.recorded.next() < disk.log.first_retained;
}

}  // namespace

void Witness::on_durable(uint64_t node, const base::LogWrite& write) {
  for (const base::Entry& entry : write.entries) {
    Proposal& proposal = proposals_[{entry.slot, entry.ballot}];
    if (proposal.durable_on.empty()) proposal.entry = entry;
    REQUIRE_MESSAGE(same(proposal.entry, entry), "one ballot, two values: slot ", entry.slot.value);
    proposal.durable_on.insert(node);
    if (proposal.durable_on.size() < quorum_) continue;
    const auto [first, fresh] = chosen_.try_emplace(entry.slot, entry);
    REQUIRE_MESSAGE(same(first->second, entry), "two values are chosen: slot ", entry.slot.value);
  }
}

void Witness::on_said(const Disk& disk, const Message& message) const {
  if (is_mending(disk)) {
    REQUIRE_FALSE(std::holds_alternative<Probe>(message));
    REQUIRE_FALSE(std::holds_alternative<Prepare>(message));
    REQUIRE_FALSE(std::holds_alternative<Promise>(message));
    REQUIRE_FALSE(std::holds_alternative<Accepted>(message));
    if (const auto* reply = std::get_if<ProbeReply>(&message)) REQUIRE_FALSE(reply->yes);
  }
  if (const auto* prepare = std::get_if<Prepare>(&message)) {
    REQUIRE(disk.log.promised >= prepare->ballot);
  } else if (const auto* promise = std::get_if<Promise>(&message)) {
    REQUIRE(disk.log.promised >= promise->ballot);
    for (const base::Entry& row : promise->entries) REQUIRE(holds(disk, row.slot, row.ballot));
  } else if (const auto* accepted = std::get_if<Accepted>(&message)) {
    REQUIRE(disk.log.promised >= accepted->ballot);
    for (const base::Slot slot : accepted->slots) REQUIRE(holds(disk, slot, accepted->ballot));
  }
}

void Witness::on_applied(const base::Entry& entry) const {
  const auto chosen = chosen_.find(entry.slot);
  REQUIRE_MESSAGE(chosen != chosen_.end(), "not chosen yet: slot ", entry.slot.value);
  REQUIRE_MESSAGE(same(chosen->second, entry), "not what was chosen: slot ", entry.slot.value);
}

void Witness::on_leads(const base::Ballot& ballot) {
  highest_led_ = std::max(highest_led_, ballot);
}

void Witness::on_drawn(uint64_t node, const base::Ballot& ballot, base::Confirm counter) {
  drawn_.push_back({node, ballot, counter, highest_led_});
}

void Witness::on_confirmed(uint64_t node, const base::Ballot& ballot, base::Confirm upto) {
  std::erase_if(drawn_, [&](const Drawn& drawn) {
    if (drawn.node != node) return false;
    if (drawn.ballot != ballot) return true;  // it leads no more in that one
    if (drawn.counter > upto) return false;
    REQUIRE_MESSAGE(drawn.highest_led <= ballot, "a deposed leader's round was confirmed");
    return true;
  });
}

}  // namespace holdfast::paxos::test
