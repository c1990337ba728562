// Feeds: bytes as the life of one live Node: its peers' hellos and messages (sensible answers,
// half-sensible ones and nonsense), its clients' calls, ticks, writes done, crashes and restarts
// from what was durable.
// Checks, after each turn: the node's invariants; that nothing is said before it is durable (P1,
// P2); and that a call is answered once.
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "lockcore/base/assert.h"
#include "lockcore/node/node.h"
#include "tests/fuzz/commands.h"
#include "tests/fuzz/input.h"

namespace holdfast::fuzz {
namespace {

using base::Ballot;
using base::NodeId;
using base::Slot;
using node::ClientRef;

constexpr int kMaxEvents = 300;  // of one input: it must not take long
constexpr NodeId kSelf{1};

base::Incarnation incarnation_of(NodeId id) {
  return {id.value + 1000};
}

std::vector<base::Member> members(uint64_t count) {
  std::vector<base::Member> all;
  for (uint64_t id = 1; id <= count; ++id) {
    all.push_back({{id}, incarnation_of({id}), "n" + std::to_string(id) + ":1", true});
  }
  return all;
}

// What log.db and state.db hold.
struct Disk {
  base::RecoveredLog log;  // without entries
  std::map<Slot, base::Entry> entries;
  base::StateRows rows;

  void write(const base::LogWrite& write) {
    if (write.promised) {
      HF_ASSERT(*write.promised >= log.promised);
      log.promised = *write.promised;
    }
    if (write.config) log.config = *write.config;
    if (write.founding) log.founding = *write.founding;
    if (write.disk_lost) log.disk_lost = *write.disk_lost;
    for (const base::PeerMark& mark : write.peers) {
      std::erase_if(log.peers, [&](const auto& old) { return old.node == mark.node; });
      log.peers.push_back(mark);
    }
    for (const base::Entry& entry : write.entries) entries[entry.slot] = entry;
  }
  base::RecoveredLog recover() {
    ++log.start_count;
    base::RecoveredLog recovered = log;
    for (const auto& [slot, entry] : entries) {
      if (slot > rows.meta.applied) recovered.entries.push_back(entry);
    }
    if (!entries.empty()) recovered.last_slot = entries.rbegin()->first;
    return recovered;
  }
};

class Run {
 public:
  explicit Run(Input& in) : in_(in) {
    const uint8_t how = in_.byte();
    cluster_ = members(how % 8 == 0 ? 1 : how % 8 == 1 ? 5 : 3);
    disk_.log.self = kSelf;
    disk_.log.incarnation = incarnation_of(kSelf);
    if (how >= 64) {
      disk_.log.founding = base::FoundingState::kFounded;
      disk_.log.config = {{77}, {1}, cluster_};
    }
    start();
  }

  void go() {
    for (int i = 0; i < kMaxEvents && !in_.empty() && !ended_; ++i) {
      event();
      if (in_.below(4) != 0) finish_turn();  // else the turn has several events
    }
    if (!ended_) finish_turn();
  }

 private:
  void start() {
    node::Options options;
    options.paxos.self = kSelf;
    options.paxos.address = "n1:1";
    options.paxos.cluster = cluster_;
    for (base::Member& member : options.paxos.cluster) member.incarnation = {};
    options.paxos.random_seed = in_.byte();
    options.paxos.process_nonce = disk_.log.start_count + 500;
    options.paxos.new_cell = {77};
    locks::LockTable table;
    HF_ASSERT(!table.restore(disk_.rows));
    unwritten_.clear();
    reads_.clear();
    sent_.clear();
    recording_.reset();
    asked_.clear();
    fx_.clear();
    node_ =
        std::make_unique<node::Node>(std::move(options), disk_.recover(), std::move(table), now_);
    finish_turn();
    for (size_t i = 1; i < cluster_.size() && !ended_; ++i) {
      node_->on_hello(hello(cluster_[i].id), now_, fx_);
    }
  }

  // -- events -------------------------------------------------------------------------------------
  void event() {
    const uint8_t kind = in_.byte();
    if (kind < 60) return answer_honestly();
    if (kind < 120) {
      const NodeId from = some_peer();
      return node_->on_message(from, some_message(), now_, fx_);
    }
    if (kind < 150) return written();
    if (kind < 180) return tick();
    if (kind < 220) return client_call();
    if (kind < 230) return say_hello();
    if (kind < 236) return log_read();
    if (kind < 242) return recorded();
    if (kind < 246) return node_->on_peer_lost(some_peer(), now_, fx_);
    if (kind < 248) {
      const NodeId by = some_peer();
      return node_->on_refused(by, {in_.text(4), in_.below(64) == 0}, now_, fx_);
    }
    if (kind < 252) return start();  // a crash: what is not written is lost
    now_ = now_ + base::Duration::from_ms(static_cast<int64_t>(in_.byte()) * 20);  // a pause
  }
  void tick() {
    const base::Instant due = node_->next_tick();
    const base::Duration step = base::Duration::from_ms(in_.byte() % 64);
    now_ = std::max(now_, std::min(due, now_ + step * 100));
    node_->on_tick(now_, fx_);
  }
  void written() {
    base::WriteId last;
    for (uint64_t i = in_.below(8) + 1; i > 0 && !unwritten_.empty(); --i) {
      last = unwritten_.front().id;
      disk_.write(unwritten_.front());
      unwritten_.pop_front();
    }
    if (last) node_->on_written(last, now_, fx_);
  }
  void recorded() {
    if (!recording_) return;
    disk_.rows = std::move(*recording_);
    recording_.reset();
    node_->on_recorded(disk_.rows.meta.applied, now_, fx_);
  }
  void log_read() {
    if (reads_.empty()) return;
    const paxos::LogRead read = reads_.front();
    reads_.pop_front();
    std::vector<base::Entry> found;
    for (auto at = disk_.entries.lower_bound(read.from);
         at != disk_.entries.end() && at->first <= read.to && found.size() < 4; ++at) {
      found.push_back(at->second);
    }
    node_->on_log_read(read.id, std::move(found), now_, fx_);
  }
  void client_call() {
    const ClientRef ref = ++last_ref_;
    switch (in_.below(8)) {
      case 0: {
        std::vector<base::LeaseId> leases;
        for (uint64_t i = in_.below(4); i > 0; --i) leases.push_back(some_id(in_, known_.leases));
        asked_.insert(ref);
        return node_->on_renew(ref, {std::move(leases), {}}, now_, fx_);
      }
      case 1:
        asked_.insert(ref);
        return in_.flag() ? node_->on_read(ref, now_, fx_) : node_->on_read_here(ref, now_, fx_);
      case 2: {
        const ClientRef dropped = ref - std::min(ref, in_.number());
        node_->on_dropped(dropped);
        return;
      }
      default: break;
    }
    locks::Body body = some_request(in_, known_, node_->table());
    asked_.insert(ref);
    node_->on_command(ref, {some_op(in_, known_), std::move(body)}, now_, fx_);
  }

  // -- peers --------------------------------------------------------------------------------------
  NodeId some_peer() {
    const uint8_t choice = in_.byte();
    if (choice >= 250 || cluster_.size() == 1) return {in_.number()};
    return cluster_[1 + choice % (cluster_.size() - 1)].id;
  }
  // As a healthy peer says it.
  paxos::Hello hello(NodeId id) {
    paxos::Hello hello = node_->hello();
    hello.node = id;
    hello.incarnation = incarnation_of(id);
    hello.start_count = ++peer_starts_;
    hello.process_nonce = peer_starts_;
    hello.promised = {};
    hello.highest_accepted = {};
    hello.address = "n" + std::to_string(id.value) + ":1";
    return hello;
  }
  void say_hello() {
    paxos::Hello said = hello(some_peer());
    switch (in_.below(12)) {
      case 0: said.founding = static_cast<base::FoundingState>(in_.below(3)); break;
      case 1: said.promised = some_ballot(said.node); break;
      case 2: said.highest_accepted = {in_.number()}; break;
      case 3: said.start_count = in_.number(); break;
      case 4: said.process_nonce = in_.number(); break;
      case 5: said.incarnation = {in_.number()}; break;
      case 6: said.cluster = in_.text(8); break;
      case 7: said.cell = {in_.near(said.cell.value)}; break;
      default: break;
    }
    node_->on_hello(said, now_, fx_);
  }

  Ballot some_ballot(NodeId from) {
    const paxos::Replica& replica = node_->replica();
    switch (in_.below(8)) {
      case 0: return replica.ballot();
      case 1: return replica.promised();
      case 2: return {in_.number(), {in_.number()}};
      case 3: return {in_.near(replica.promised().round), from};
      default: break;
    }
    // What a leader that goes on, or a new one, would use.
    const Ballot promised = replica.promised();
    if (promised.node == from) return {promised.round + in_.below(2), from};
    return {promised.round + (promised.node < from ? 0 : 1), from};
  }
  Slot some_slot() { return {in_.near(node_->replica().chosen_upto().value)}; }
  std::string some_value() {
    if (in_.below(16) == 0) return in_.text(32);
    locks::Batch batch{in_.number() * 100, in_.number(), {}};
    for (uint64_t i = in_.below(3) + 1; i > 0; --i) {
      batch.commands.push_back(some_command(in_, known_, node_->table()));
    }
    return locks::encode_batch(batch);
  }
  base::Entry some_entry(Slot slot, Ballot ballot) {
    base::Entry entry{slot, ballot, base::EntryKind::kCommands, nullptr};
    const uint8_t how = in_.byte();
    if (how < 40) {
      entry.kind = base::EntryKind::kNewLeader;
      const locks::Batch batch{0, 0, {{{}, locks::NewLeader{ballot}}}};
      entry.value = std::make_shared<const std::string>(locks::encode_batch(batch));
      return entry;
    }
    if (how < 80) {
      entry.kind = base::EntryKind::kNoOp;
      entry.value = std::make_shared<const std::string>();
      return entry;
    }
    if (how >= 250) entry.kind = static_cast<base::EntryKind>(in_.below(5));
    if (how == 249) entry.ballot = some_ballot(ballot.node);
    if (how == 248) entry.slot = some_slot();
    entry.value = std::make_shared<const std::string>(some_value());
    return entry;
  }
  std::vector<base::Entry> some_entries(Slot first, Ballot ballot) {
    std::vector<base::Entry> entries;
    for (uint64_t i = in_.below(4); i > 0; --i) {
      entries.push_back(some_entry(first, ballot));
      first = {first.value + (in_.below(16) == 0 ? 2 : 1)};
    }
    return entries;
  }
  std::vector<Slot> some_slots() {
    std::vector<Slot> slots;
    for (uint64_t i = in_.below(4); i > 0; --i) slots.push_back(some_slot());
    return slots;
  }
  base::SnapshotPart some_part() {
    base::SnapshotPart part{in_.near(9), some_slot(), in_.near(2000), in_.near(1000), {}, 0};
    part.bytes = std::make_shared<const std::string>(in_.below(2000), 'p');
    part.checksum = in_.flag() ? base::checksum_of(part) : 0;
    return part;
  }
  base::Instant some_moment() { return in_.flag() ? now_ : base::Instant{int64_t(in_.number())}; }
  paxos::Message some_message() {
    const Ballot ballot = some_ballot(cluster_.back().id);
    switch (in_.below(20)) {
      case 0: return paxos::FoundPropose{{{in_.near(77)}, {in_.near(1)}, members(in_.below(7))}};
      case 1: return paxos::FoundAck{{in_.near(77)}};
      case 2: return paxos::FoundCommit{{in_.near(77)}};
      case 3: return paxos::Probe{ballot};
      case 4: return paxos::ProbeReply{ballot, in_.flag(), some_ballot(kSelf)};
      case 5: return paxos::Prepare{ballot, some_slot()};
      case 6: {
        paxos::Promise promise{ballot, some_slot(), some_slot(), {}, 0, 1};
        const Slot first = some_slot();
        promise.entries = some_entries(first, some_ballot(kSelf));
        if (in_.below(4) == 0) promise.parts = static_cast<uint32_t>(in_.number());
        if (in_.below(4) == 0) promise.part = static_cast<uint32_t>(in_.number());
        return promise;
      }
      case 7: {
        const Slot first = some_slot();
        return paxos::Accept{ballot, some_entries(first, ballot), some_slot(), {in_.number()}};
      }
      case 8: return paxos::Accepted{ballot, some_slots(), {in_.number()}};
      case 9: return paxos::Heartbeat{ballot, some_slot(), {in_.number()}};
      case 10:
        return paxos::HeartbeatReply{ballot, {in_.number()}, some_slot(), some_slot(), some_slot()};
      case 11: return paxos::Reject{ballot, some_ballot(kSelf)};
      case 12: return paxos::Fetch{some_slot(), some_slot()};
      case 13: return paxos::SnapshotFetch{in_.number(), in_.number(), in_.number()};
      case 14: return paxos::SnapshotReply{in_.flag() ? 0 : in_.near(9), some_part()};
      case 15: {
        const Slot from = some_slot();
        return paxos::FetchReply{from, {in_.near(1)}, some_slot(), some_entries(from, ballot)};
      }
      case 16: return paxos::ClockQuery{some_moment()};
      case 17: return paxos::ClockReply{some_moment(), some_moment()};
      case 18: return paxos::ReadIndexQuery{in_.near(1), in_.near(3)};
      default: return paxos::ReadIndexReply{ballot, in_.near(501), in_.near(3), some_slot()};
    }
  }

  // The answer that a working peer would give to something that the node has sent.
  struct Honest {
    Run& run;
    Input& in;

    std::optional<paxos::Message> operator()(const paxos::FoundPropose& m) {
      return paxos::FoundAck{m.config.cell};
    }
    std::optional<paxos::Message> operator()(const paxos::Probe& m) {
      return paxos::ProbeReply{m.ballot, true, {}};
    }
    std::optional<paxos::Message> operator()(const paxos::Prepare& m) {
      paxos::Promise promise{m.ballot, {1}, {m.from.value - 1}, {}, 0, 1};
      promise.entries = run.some_entries(m.from, {in.below(8) + 1, {2}});
      return promise;
    }
    std::optional<paxos::Message> operator()(const paxos::Accept& m) {
      paxos::Accepted accepted{m.ballot, {}, m.confirm};
      for (const base::Entry& entry : m.entries) accepted.slots.push_back(entry.slot);
      return accepted;
    }
    std::optional<paxos::Message> operator()(const paxos::Heartbeat& m) {
      return paxos::HeartbeatReply{m.ballot, m.confirm, m.chosen_upto, {}, {}};
    }
    std::optional<paxos::Message> operator()(const paxos::Fetch& m) {
      const Ballot ballot{in.below(8) + 1, {2}};
      return paxos::FetchReply{m.from, {1}, m.to, run.some_entries(m.from, ballot)};
    }
    std::optional<paxos::Message> operator()(const paxos::ClockQuery& m) {
      return paxos::ClockReply{m.sent, m.sent + base::Duration::from_ms(in.byte())};
    }
    std::optional<paxos::Message> operator()(const paxos::ReadIndexQuery& m) {
      const paxos::Replica& replica = run.node_->replica();
      return paxos::ReadIndexReply{replica.ballot(), m.process, m.number, replica.chosen_upto()};
    }
    template <class Answer>
    std::optional<paxos::Message> operator()(const Answer&) {
      return std::nullopt;  // it is one itself
    }
  };
  void answer_honestly() {
    if (sent_.empty()) return;
    const size_t which = in_.byte() % sent_.size();
    const paxos::Outgoing sent = sent_[which];
    if (in_.below(8) != 0) sent_.erase(sent_.begin() + static_cast<std::ptrdiff_t>(which));
    auto answer = std::visit(Honest{*this, in_}, sent.message);
    if (answer) node_->on_message(sent.to, std::move(*answer), now_, fx_);
  }

  // -- the turn's end -----------------------------------------------------------------------------
  void finish_turn() {
    node_->finish_turn(now_, node::WallClock{1'700'000'000'000}, fx_);
    node_->check_invariants();
    node::Effects fx = std::exchange(fx_, {});
    // The driver ends the process: it met a log that has diverged, or was told that its disk is
    // lost. What its peers say is believed, so they can bring that about.
    if (fx.paxos.fatal) ended_ = true;
    for (base::LogWrite& write : fx.paxos.writes) unwritten_.push_back(std::move(write));
    for (const paxos::LogRead& read : fx.paxos.reads) reads_.push_back(read);
    for (paxos::Outgoing& out : fx.paxos.messages) {
      std::visit([this](const auto& message) { check_durable(message); }, out.message);
      sent_.push_back(std::move(out));
      if (sent_.size() > 16) sent_.pop_front();
    }
    for (const node::CommandReply& reply : fx.replies) {
      answered(reply.ref);
      known_.note(reply.answer);
    }
    for (const node::RenewReply& reply : fx.renewals) answered(reply.ref);
    for (const node::ReadReply& reply : fx.reads) answered(reply.ref);
    if (fx.record) {
      HF_ASSERT(!recording_);
      recording_ = node_->table().rows();
      HF_ASSERT(recording_->meta == fx.record->meta);
    }
  }
  void answered(ClientRef ref) { HF_ASSERT(asked_.erase(ref) == 1); }

  // P1, P2: what this node says, it has on its disk.
  void check_durable(const paxos::Prepare& m) { HF_ASSERT(disk_.log.promised >= m.ballot); }
  void check_durable(const paxos::Promise& m) { HF_ASSERT(disk_.log.promised >= m.ballot); }
  void check_durable(const paxos::Accepted& m) {
    HF_ASSERT(disk_.log.promised >= m.ballot);
    for (const Slot slot : m.slots) {
      const auto row = disk_.entries.find(slot);
      HF_ASSERT(row != disk_.entries.end());
      HF_ASSERT(row->second.ballot >= m.ballot);
    }
  }
  void check_durable(const paxos::FoundAck& m) { HF_ASSERT(disk_.log.config.cell == m.cell); }
  template <class Other>
  void check_durable(const Other&) {}

  Input& in_;
  std::vector<base::Member> cluster_;
  Disk disk_;
  std::unique_ptr<node::Node> node_;
  node::Effects fx_;
  base::Instant now_{1'000'000'000};
  std::deque<base::LogWrite> unwritten_;
  std::deque<paxos::LogRead> reads_;
  std::deque<paxos::Outgoing> sent_;          // the node's latest, to be answered
  std::optional<base::StateRows> recording_;  // on its way to state.db
  std::set<ClientRef> asked_;                 // calls without an answer
  ClientRef last_ref_ = 0;
  uint64_t peer_starts_ = 0;
  Known known_;
  bool ended_ = false;
};

}  // namespace
}  // namespace holdfast::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  holdfast::fuzz::Input in(data, size);
  holdfast::fuzz::Run(in).go();
  return 0;
}
