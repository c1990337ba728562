#include "tests/unit/paxos/cell.h"

#include <doctest/doctest.h>

#include <algorithm>

namespace holdfast::paxos::test {

using base::NodeId;
using base::Slot;

std::string address(uint64_t id) {
  return "127.9.9." + std::to_string(id) + ":9100";
}

base::Entry entry(uint64_t slot, base::Ballot ballot, const std::string& value,
                  base::EntryKind kind) {
  return {Slot{slot}, ballot, kind, std::make_shared<const std::string>(value)};
}

Options Cell::at_once() {
  Options options;
  options.rest_delay = {};
  return options;
}

Cell::Cell(size_t voters, Start start_as, uint64_t seed, const Options& timing) : witness_(voters) {
  std::vector<base::Member> members;
  for (uint64_t id = 1; id <= voters; ++id) {
    members.push_back({NodeId{id}, {}, address(id), true});
  }
  base::Config config{base::CellId{77}, base::ConfigVersion{1}, members};
  for (base::Member& member : config.members) member.incarnation.value = 1000 + member.id.value;
  for (uint64_t id = 1; id <= voters; ++id) {
    TestNode node;
    node.options = timing;
    node.options.self = NodeId{id};
    node.options.address = address(id);
    node.options.cluster = members;
    node.options.random_seed = seed * 100 + id;
    node.options.new_cell = base::CellId{seed * 1000 + id};
    node.disk.log.self = NodeId{id};
    node.disk.log.incarnation.value = 1000 + id;
    if (start_as == Start::kFounded) {
      node.disk.log.founding = base::FoundingState::kFounded;
      node.disk.log.config = config;
    }
    nodes_.push_back(std::move(node));
  }
  for (uint64_t id = 1; id <= voters; ++id) start(id);
  for (uint64_t a = 1; a <= voters; ++a) {
    for (uint64_t b = a + 1; b <= voters; ++b) link(a, b);
  }
  if (start_as == Start::kFounded) settle();  // each has stored what it knows of the others
}

void Cell::start(uint64_t id) {
  TestNode& node = this->node(id);
  REQUIRE(node.replica == nullptr);
  base::RecoveredLog& log = node.disk.log;
  ++log.start_count;
  log.entries.clear();
  log.last_slot = {};
  for (const auto& [slot, row] : node.disk.rows) {
    log.last_slot = slot;
    if (slot > node.disk.recorded) log.entries.push_back(row);
  }
  log.damaged.assign(node.disk.damaged.begin(), node.disk.damaged.end());
  if (!log.damaged.empty()) log.last_slot = std::max(log.last_slot, log.damaged.back());
  log.last_slot = std::max(log.last_slot, Slot{log.first_retained.value - 1});
  node.applied.resize(node.disk.recorded.value);
  node.fatal.reset();
  node.options.process_nonce = next_nonce_++;
  node.replica = std::make_unique<Replica>(node.options, log, node.disk.recorded, clock(id));
  turn(id);
}

void Cell::damage(uint64_t id, uint64_t slot) {
  Disk& disk = node(id).disk;
  REQUIRE(node(id).replica == nullptr);
  REQUIRE(Slot{slot} > disk.recorded);
  REQUIRE(disk.rows.erase(Slot{slot}) == 1);
  disk.damaged.insert(Slot{slot});
}

void Cell::lose_record(uint64_t id, uint64_t first_retained) {
  Disk& disk = node(id).disk;
  REQUIRE(node(id).replica == nullptr);
  disk.recorded = {};
  disk.log.first_retained = {first_retained};
  disk.rows.erase(disk.rows.begin(), disk.rows.lower_bound({first_retained}));
}

void Cell::record(uint64_t id) {
  node(id).disk.recorded = std::min(Slot{node(id).applied.size()}, (*this)[id].durable_upto());
  turn(id);
}

void Cell::crash(uint64_t id, size_t kept) {
  std::deque<base::LogWrite>& pending = node(id).disk.pending;
  for (size_t i = 0; i < std::min(kept, pending.size()); ++i) apply_write(node(id), pending[i]);
  pending.clear();
  node(id).replica.reset();
  for (uint64_t other = 1; other <= size(); ++other) {
    if (other != id && node(other).replica) cut(other, id);
  }
}

void Cell::restart(uint64_t id) {
  if (node(id).replica) crash(id);
  start(id);
  for (uint64_t other = 1; other <= size(); ++other) {
    if (other != id && node(other).replica) link(id, other);
  }
}

std::optional<Refusal> Cell::greet(uint64_t to, const Hello& hello) {
  std::optional<Refusal> refusal = (*this)[to].on_hello(hello, clock(to), fx_);
  absorb(to);
  return refusal;
}

void Cell::link(uint64_t a, uint64_t b) {
  const Hello hello_a = (*this)[a].hello();
  const Hello hello_b = (*this)[b].hello();
  const std::optional<Refusal> by_b = greet(b, hello_a);
  const std::optional<Refusal> by_a = greet(a, hello_b);
  if (by_b) (*this)[a].on_refused(NodeId{b}, *by_b, clock(a), fx_);
  absorb(a);
  if (by_a) (*this)[b].on_refused(NodeId{a}, *by_a, clock(b), fx_);
  absorb(b);
}

void Cell::cut(uint64_t a, uint64_t b) {
  drop_if(
      [=](const Envelope& e) { return (e.from == a && e.to == b) || (e.from == b && e.to == a); });
  for (const auto& [self, other] : {std::pair{a, b}, std::pair{b, a}}) {
    if (!node(self).replica) continue;
    (*this)[self].on_peer_lost(NodeId{other}, clock(self), fx_);
    absorb(self);
  }
}

base::Instant Cell::clock(uint64_t id) const {
  const TestNode& node = nodes_.at(id - 1);
  const auto passed = static_cast<double>((now_ - node.clock_since).ns) * node.clock_rate;
  return node.clock_then + base::Duration{static_cast<int64_t>(passed)};
}

void Cell::set_clock_rate(uint64_t id, double rate) {
  node(id).clock_then = clock(id);
  node(id).clock_since = now_;
  node(id).clock_rate = rate;
}

void Cell::tick(uint64_t id) {
  (*this)[id].on_tick(clock(id), fx_);
  absorb(id);
}

void Cell::ask_to_lead(uint64_t id) {
  flush(id);
  for (int i = 0; i < 100 && (*this)[id].role() == Role::kFollower; ++i) {
    pass(25);
    tick(id);
  }
  REQUIRE((*this)[id].role() != Role::kFollower);
}

void Cell::tick_due() {
  for (uint64_t id = 1; id <= size(); ++id) {
    if (node(id).replica && (*this)[id].next_tick() <= clock(id)) tick(id);
  }
}

void Cell::apply_write(TestNode& node, const base::LogWrite& write) {
  base::RecoveredLog& log = node.disk.log;
  if (write.promised) log.promised = *write.promised;
  for (const base::Entry& row : write.entries) {
    if (row.slot < log.first_retained) continue;
    node.disk.rows[row.slot] = row;
    if (node.disk.damaged.erase(row.slot) != 0) witness_.on_mended(row);
  }
  if (write.config) log.config = *write.config;
  if (write.founding) log.founding = *write.founding;
  for (const base::PeerMark& mark : write.peers) {
    std::erase_if(log.peers, [&](const auto& known) { return known.node == mark.node; });
    log.peers.push_back(mark);
  }
  if (write.disk_lost) log.disk_lost = *write.disk_lost;
  witness_.on_durable(node.options.self.value, write);
}

void Cell::flush(uint64_t id, size_t writes) {
  TestNode& node = this->node(id);
  if (!node.replica) return;
  base::WriteId last;
  for (; writes > 0 && !node.disk.pending.empty(); --writes) {
    apply_write(node, node.disk.pending.front());
    last = node.disk.pending.front().id;
    node.disk.pending.pop_front();
  }
  if (!last) return;
  node.replica->on_written(last, clock(id), fx_);
  absorb(id);
}

bool Cell::drain(TestNode& node) {
  bool reconfigured = false;
  while (std::optional<base::Entry> next = node.replica->next_chosen()) {
    REQUIRE(next->slot.value == node.applied.size() + 1);
    const auto [place, first] = applied_.try_emplace(next->slot, *next);
    REQUIRE_MESSAGE(place->second.kind == next->kind, "slot ", next->slot.value);
    REQUIRE_MESSAGE(*place->second.value == *next->value, "slot ", next->slot.value);
    if (!imagined_) witness_.on_applied(*next);
    node.applied.push_back(*next);
    if (next->kind != base::EntryKind::kReconfigure) continue;
    node.replica->on_reconfigured(next->slot, configs_.at(*next->value),
                                  clock(node.options.self.value), fx_);
    reconfigured = true;
  }
  node.replica->set_progress(Slot{node.applied.size()}, node.disk.recorded);
  return reconfigured;
}

void Cell::turn(uint64_t id) {
  absorb(id);
}

void Cell::absorb(uint64_t id) {
  TestNode& node = this->node(id);
  node.replica->finish_turn(clock(id), fx_);
  Effects fx = std::move(fx_);
  fx_.clear();
  for (const Outgoing& out : fx.messages) witness_.on_said(node.disk, out.message);
  for (Outgoing& out : fx.messages) mail.push_back({id, out.to.value, std::move(out.message)});
  for (Notice& notice : fx.notices) node.notices.push_back(std::move(notice.text));
  for (base::LogWrite& write : fx.writes) node.disk.pending.push_back(std::move(write));
  if (fx.fatal) node.fatal = fx.fatal;
  if (node.fatal) {
    // The process ends in order: what it had to write is written.
    for (const base::LogWrite& write : node.disk.pending) apply_write(node, write);
    node.disk.pending.clear();
    return;
  }
  node.replica->check_invariants();
  if (node.replica->role() == Role::kLeader) {
    witness_.on_leads(node.replica->ballot());
    if (!imagined_) {
      witness_.on_confirmed(id, node.replica->ballot(), node.replica->confirmed());
    }
  }
  const bool reconfigured = drain(node);
  for (const LogRead& read : fx.reads) {
    std::vector<base::Entry> rows;
    size_t bytes = 0;
    for (auto row = node.disk.rows.lower_bound(read.from);
         row != node.disk.rows.end() && row->first <= read.to && bytes < read.max_bytes; ++row) {
      rows.push_back(row->second);
      bytes += row->second.bytes();
    }
    node.replica->on_log_read(read.id, std::move(rows), clock(id), fx_);
    absorb(id);
  }
  if (reconfigured) absorb(id);
  if (node.disk.writes_at_once) flush(id);
}

void Cell::say(uint64_t from, uint64_t to, Message message) {
  imagined_ = true;
  deliver({from, to, std::move(message)});
}

void Cell::deliver(const Envelope& envelope) {
  TestNode& to = node(envelope.to);
  if (!to.replica || to.fatal) return;
  to.replica->on_message(NodeId{envelope.from}, envelope.message, clock(envelope.to), fx_);
  absorb(envelope.to);
}

size_t Cell::deliver_if(const Filter& wanted) {
  std::vector<Envelope> batch, rest;
  for (Envelope& envelope : mail) (wanted(envelope) ? batch : rest).push_back(std::move(envelope));
  mail = std::move(rest);
  for (const Envelope& envelope : batch) deliver(envelope);
  return batch.size();
}

size_t Cell::drop_if(const Filter& wanted) {
  return std::erase_if(mail, wanted);
}

void Cell::settle() {
  for (int round = 0; round < 10'000; ++round) {
    bool quiet = deliver_if(everything) == 0;
    for (uint64_t id = 1; id <= size(); ++id) {
      if (!node(id).replica || node(id).disk.pending.empty()) continue;
      quiet = false;
      flush(id);
    }
    if (quiet) return;
  }
  FAIL("the cell never gets quiet");
}

void Cell::elect(uint64_t id) {
  settle();
  const uint64_t old = leader();
  if (old != 0 && old != id) {
    const base::Ballot ballot = (*this)[old].ballot();
    say(id, old, Reject{ballot, {ballot.round + 1, NodeId{id}}});  // it would defend itself
  }
  pass(600);  // nobody's word is younger than the election timeout
  for (int i = 0; i < 200 && (*this)[id].role() != Role::kLeader; ++i) {
    pass(25);
    tick(id);
    settle();
  }
  REQUIRE((*this)[id].role() == Role::kLeader);
  announce(id);
  settle();
}

void Cell::announce(uint64_t id) {
  while (!(*this)[id].can_propose()) settle();
  (*this)[id].propose(base::EntryKind::kNewLeader, "leader " + std::to_string(id), clock(id), fx_);
  absorb(id);
}

base::Slot Cell::reconfigure(uint64_t id, const base::Config& config) {
  const std::string value = "configuration " + std::to_string(config.version.value);
  configs_[value] = config;
  const Slot slot = (*this)[id].propose(base::EntryKind::kReconfigure, value, clock(id), fx_);
  absorb(id);
  return slot;
}

uint64_t Cell::add_joining() {
  const uint64_t id = size() + 1;
  TestNode node;
  node.options = nodes_.front().options;
  node.options.self = NodeId{id};
  node.options.address = address(id);
  node.options.cluster.clear();
  node.options.join = true;
  node.disk.log.self = NodeId{id};
  node.disk.log.incarnation.value = 1000 + id;
  nodes_.push_back(std::move(node));
  start(id);
  return id;
}

void Cell::join(uint64_t id, const base::Config& config) {
  (*this)[id].on_joined(config, clock(id), fx_);
  absorb(id);
  settle();
  for (uint64_t other = 1; other <= size(); ++other) {
    if (other != id && node(other).replica) link(id, other);
  }
  settle();
}

base::Slot Cell::propose(uint64_t id, const std::string& value) {
  const Slot slot = (*this)[id].propose(base::EntryKind::kCommands, value, clock(id), fx_);
  absorb(id);
  return slot;
}

base::Confirm Cell::want_confirm(uint64_t id) {
  const base::Confirm wanted = (*this)[id].want_confirm();
  witness_.on_drawn(id, (*this)[id].ballot(), wanted);
  absorb(id);
  return wanted;
}

uint64_t Cell::leader() const {
  for (const TestNode& node : nodes_) {
    if (node.replica && node.replica->role() == Role::kLeader) return node.options.self.value;
  }
  return 0;
}

std::string Cell::value_at(uint64_t id, uint64_t slot) const {
  const TestNode& node = nodes_.at(id - 1);
  if (slot > node.applied.size()) return "-";
  return *node.applied[slot - 1].value;
}

const base::Entry* Cell::row(uint64_t id, uint64_t slot) const {
  const auto& rows = nodes_.at(id - 1).disk.rows;
  const auto place = rows.find(Slot{slot});
  return place == rows.end() ? nullptr : &place->second;
}

}  // namespace holdfast::paxos::test
