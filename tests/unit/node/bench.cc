#include "tests/unit/node/bench.h"

#include <doctest/doctest.h>

#include <utility>

namespace holdfast::node::test {

using base::NodeId;

Bench::Bench(uint32_t nodes)
    : lost([](uint32_t, uint32_t, const paxos::Message&) { return false; }),
      disk_stalled(nodes, false),
      effects_(nodes),
      writes_(nodes) {
  for (uint32_t i = 0; i < nodes; ++i) {
    Options options;
    options.paxos.self = NodeId{i + 1};
    options.paxos.address = "n" + std::to_string(i + 1) + ":1";
    for (uint32_t j = 1; j <= nodes; ++j) {
      options.paxos.cluster.push_back({NodeId{j}, {}, "n" + std::to_string(j) + ":1", true});
    }
    options.paxos.rest_delay = {};  // tests see every message where they look for it
    options.paxos.random_seed = i + 1;
    options.paxos.process_nonce = i + 100;
    options.paxos.new_cell = base::CellId{77};
    base::RecoveredLog log;
    log.self = NodeId{i + 1};
    log.incarnation = base::Incarnation{i + 1000};
    log.start_count = 1;
    nodes_.push_back(
        std::make_unique<Node>(std::move(options), std::move(log), locks::LockTable{}, now_));
  }
  for (uint32_t from = 0; from < nodes; ++from) {
    for (uint32_t to = 0; to < nodes; ++to) {
      if (from != to) CHECK_FALSE(nodes_[to]->on_hello(nodes_[from]->hello(), now_, effects_[to]));
    }
  }
}

void Bench::turn(uint32_t index) {
  nodes_[index]->finish_turn(now_, WallClock{1'700'000'000'000}, effects_[index]);
  nodes_[index]->check_invariants();
  carry_out(index);
}

void Bench::carry_out(uint32_t index) {
  Effects fx = std::exchange(effects_[index], {});
  CHECK_FALSE(fx.paxos.fatal);
  for (auto& write : fx.paxos.writes) writes_[index].push_back(write.id);
  for (auto& out : fx.paxos.messages) {
    const auto to = static_cast<uint32_t>(out.to.value - 1);
    if (!lost(index, to, out.message)) network_.push_back({index, to, std::move(out.message)});
  }
  for (auto& reply : fx.replies) {
    CHECK(answers.commands.emplace(reply.ref, std::move(reply.answer)).second);
  }
  for (auto& reply : fx.renewals) CHECK(answers.renewals.emplace(reply.ref, reply).second);
  for (auto& reply : fx.reads) CHECK(answers.reads.emplace(reply.ref, reply).second);
  if (fx.record) {
    const base::Slot slot = fx.record->meta.applied;
    CHECK(slot <= nodes_[index]->replica().durable_upto());
    if (index == 0) recorded.push_back(std::move(*fx.record));
    nodes_[index]->on_recorded(slot, now_, effects_[index]);
  }
}

bool Bench::deliver_one() {
  if (network_.empty()) return false;
  InFlight next = std::move(network_.front());
  network_.pop_front();
  if (lost(next.from, next.to, next.message)) return true;
  nodes_[next.to]->on_message(NodeId{next.from + 1}, std::move(next.message), now_,
                              effects_[next.to]);
  turn(next.to);
  return true;
}

bool Bench::write_one() {
  for (uint32_t i = 0; i < nodes_.size(); ++i) {
    if (writes_[i].empty() || disk_stalled[i]) continue;
    const base::WriteId id = writes_[i].front();
    writes_[i].pop_front();
    nodes_[i]->on_written(id, now_, effects_[i]);
    turn(i);
    return true;
  }
  return false;
}

void Bench::settle() {
  for (uint32_t i = 0; i < nodes_.size(); ++i) turn(i);
  for (int steps = 0; deliver_one() || write_one(); ++steps) REQUIRE(steps < 100'000);
}

void Bench::pass_ms(int64_t ms) {
  for (int64_t left = ms; left > 0; left -= 5) {
    jump_ms(5);
    for (uint32_t i = 0; i < nodes_.size(); ++i) nodes_[i]->on_tick(now_, effects_[i]);
    settle();
  }
}

std::optional<uint32_t> Bench::active() const {
  for (uint32_t i = 0; i < nodes_.size(); ++i) {
    if (nodes_[i]->active()) return i;
  }
  return std::nullopt;
}

uint32_t Bench::elect() {
  settle();
  for (int tries = 0; tries < 1'000 && !active(); ++tries) pass_ms(20);
  REQUIRE(active());
  return *active();
}

ClientRef Bench::command(uint32_t index, locks::Command command) {
  const ClientRef ref = next_ref_++;
  nodes_[index]->on_command(ref, std::move(command), now_, effects_[index]);
  return ref;
}

ClientRef Bench::renew(uint32_t index, std::vector<base::LeaseId> leases) {
  const ClientRef ref = next_ref_++;
  nodes_[index]->on_renew(ref, {std::move(leases), {}}, now_, effects_[index]);
  return ref;
}

ClientRef Bench::read(uint32_t index) {
  const ClientRef ref = next_ref_++;
  nodes_[index]->on_read(ref, now_, effects_[index]);
  return ref;
}

ClientRef Bench::read_here(uint32_t index) {
  const ClientRef ref = next_ref_++;
  nodes_[index]->on_read_here(ref, now_, effects_[index]);
  return ref;
}

locks::Answer Bench::run(uint32_t index, locks::Command what) {
  const ClientRef ref = command(index, std::move(what));
  settle();
  REQUIRE(answers.commands.contains(ref));
  return answers.commands.at(ref);
}

base::ClientId Bench::register_client(uint32_t index) {
  const auto answer = run(index, make({}, 0, locks::RegisterClient{}));
  REQUIRE(std::holds_alternative<locks::ClientRegistered>(answer));
  return std::get<locks::ClientRegistered>(answer).client;
}

base::LeaseId Bench::open_lease(uint32_t index, base::ClientId client, uint64_t number,
                                uint64_t ttl_ms) {
  locks::OpenLease open;
  open.ttl_ms = ttl_ms;
  open.secret = "0123456789abcdef";
  const auto answer = run(index, make(client, number, std::move(open)));
  REQUIRE(std::holds_alternative<locks::LeaseOpened>(answer));
  return std::get<locks::LeaseOpened>(answer).lease;
}

locks::Command make(base::ClientId client, uint64_t number, locks::Body body) {
  return locks::Command{locks::OpId{client, number, number, {}}, std::move(body)};
}

locks::Acquire acquire(base::LeaseId lease, std::string lock, uint64_t holder) {
  locks::Acquire acquire;
  acquire.lease = lease;
  acquire.holder = base::HolderId{holder};
  acquire.agent = base::AgentId{holder};  // each of its holds is a thread's
  acquire.locks.push_back(locks::LockRequest{std::move(lock)});
  return acquire;
}

}  // namespace holdfast::node::test
