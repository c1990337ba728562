#include "lockcore/locks/dedup.h"

#include <algorithm>

#include "lockcore/base/mutant.h"
#include "lockcore/locks/refusal.h"

namespace holdfast::locks {

// -- numbers --------------------------------------------------------------------------------------

namespace {

// The first range that ends at or above `number`.
template <class Ranges>
auto range_at(Ranges& ranges, uint64_t number) {
  return std::lower_bound(ranges.begin(), ranges.end(), number,
                          [](const auto& range, uint64_t n) { return range.second < n; });
}

}  // namespace

bool contains(const NumberRanges& ranges, uint64_t number) {
  const auto range = range_at(ranges, number);
  return range != ranges.end() && range->first <= number;
}

void add_number(NumberRanges& ranges, uint64_t number) {
  const auto after = range_at(ranges, number);
  if (after != ranges.end() && after->first <= number) return;
  const bool joins_after = after != ranges.end() && after->first == number + 1;
  const bool joins_before = after != ranges.begin() && std::prev(after)->second + 1 == number;
  if (joins_before && joins_after) {
    std::prev(after)->second = after->second;
    ranges.erase(after);
  } else if (joins_before) {
    std::prev(after)->second = number;
  } else if (joins_after) {
    after->first = number;
  } else {
    ranges.insert(after, {number, number});
  }
}

uint64_t drop_below(NumberRanges& ranges, uint64_t lowest) {
  auto range = range_at(ranges, lowest);
  if (range != ranges.end() && range->first <= lowest) {
    lowest = range->second + 1;
    ++range;
  }
  ranges.erase(ranges.begin(), range);
  return lowest;
}

// -- clients --------------------------------------------------------------------------------------

Client* ClientTable::find(base::ClientId id) {
  const auto found = clients_.find(id);
  return found == clients_.end() ? nullptr : &found->second;
}

const Client* ClientTable::find(base::ClientId id) const {
  return const_cast<ClientTable*>(this)->find(id);
}

Client& ClientTable::add(base::ClientRow row) {
  const auto [place, inserted] = clients_.try_emplace(row.id);
  HF_ASSERT(inserted);
  Client& client = place->second;
  client.row = std::move(row);
  by_idle_end_.insert(idle_key(client));
  dirty_clients_.add(client);
  return client;
}

void ClientTable::remove(Client& client) {
  HF_ASSERT(client.wait_count == 0);
  while (!client.ops.empty()) erase_op(client, client.ops.begin());
  by_idle_end_.erase(idle_key(client));
  dirty_clients_.forget(client);
  if (client.mark.recorded) erased_clients_.push_back(client.row.id);
  clients_.erase(base::ClientId{client.row.id});
}

void ClientTable::touch(Client& client, uint64_t cell_time_ms) {
  constexpr uint64_t kStepsPerTtl = 64;
  const uint64_t idle_ms = cell_time_ms - client.row.last_use_cell_ms;
  if (idle_ms > client.row.ttl_ms / kStepsPerTtl) set_last_use(client, cell_time_ms);
}

void ClientTable::set_last_use(Client& client, uint64_t cell_time_ms) {
  auto node = by_idle_end_.extract(idle_key(client));
  client.row.last_use_cell_ms = cell_time_ms;
  node.value() = idle_key(client);
  by_idle_end_.insert(std::move(node));
  dirty_clients_.add(client);
}

void ClientTable::drop_idle(uint64_t cell_time_ms) {
  constexpr int kLookedAt = 4;  // more than come in at a time, so that the idle ones run out
  for (int i = 0; i < kLookedAt && !by_idle_end_.empty(); ++i) {
    const auto [end_ms, id] = *by_idle_end_.begin();
    if (end_ms >= cell_time_ms) return;
    Client& client = *find(id);
    if (client.lease_count != 0 || client.wait_count != 0) {
      set_last_use(client, cell_time_ms);
    } else {
      remove(client);
    }
  }
}

void ClientTable::lease_opened(base::ClientId client) {
  Client* opener = find(client);
  if (opener != nullptr) ++opener->lease_count;
}

void ClientTable::lease_ended(base::ClientId client, uint64_t cell_time_ms) {
  Client* opener = find(client);
  if (opener == nullptr) return;
  --opener->lease_count;
  touch(*opener, cell_time_ms);
}

// -- operations -----------------------------------------------------------------------------------

std::optional<base::Error> ClientTable::acknowledge(Client& client, const OpId& op, size_t limit,
                                                    std::vector<Claim*>& give_up) {
  base::ClientRow& row = client.row;
  const auto drop = [&](std::map<uint64_t, OpRecord>::iterator record) {
    if (record->second.waiting != nullptr)
      give_up.push_back(record->second.waiting);
    else
      erase_op(client, record);
  };
  if (op.lowest_unanswered > row.lowest_unanswered) {
    row.lowest_unanswered = drop_below(row.acked, op.lowest_unanswered);
    if (HF_MUTANT(answers_dropped_early)) row.lowest_unanswered += 1;
    dirty_clients_.add(client);
    for (auto i = client.ops.begin(); i != client.ops.end() && i->first < row.lowest_unanswered;) {
      drop(i++);
    }
  }
  for (uint64_t number : op.answered) {
    if (state(client, number) == OpState::kSettled) continue;
    if (row.acked.size() >= limit) {
      return exhausted("ackRangesPerClient", limit,
                       "too many gaps between the answered operations of client " +
                           std::to_string(row.id.value) + "; answer the oldest ones first");
    }
    add_number(row.acked, number);
    row.lowest_unanswered = drop_below(row.acked, row.lowest_unanswered);
    dirty_clients_.add(client);
    const auto record = client.ops.find(number);
    if (record != client.ops.end()) drop(record);
  }
  return std::nullopt;
}

OpState ClientTable::state(const Client& client, uint64_t number) const {
  const base::ClientRow& row = client.row;
  if (number < row.lowest_unanswered || contains(row.acked, number)) return OpState::kSettled;
  const auto record = client.ops.find(number);
  if (record == client.ops.end()) return OpState::kNew;
  return record->second.waiting != nullptr ? OpState::kWaiting : OpState::kAnswered;
}

const Answer* ClientTable::recorded(const Client& client, uint64_t number) const {
  const auto record = client.ops.find(number);
  if (record == client.ops.end() || record->second.waiting != nullptr) return nullptr;
  return &record->second.answer;
}

OpRecord& ClientTable::add_op(Client& client, uint64_t number) {
  // Numbers mostly come in ascending order.
  const size_t before = client.ops.size();
  OpRecord& record = client.ops.try_emplace(client.ops.end(), number)->second;
  HF_ASSERT(client.ops.size() == before + 1);
  ++op_count_;
  record.key = {client.row.id, number};
  return record;
}

void ClientTable::erase_op(Client& client, std::map<uint64_t, OpRecord>::iterator op) {
  OpRecord& record = op->second;
  HF_ASSERT(record.waiting == nullptr);
  dirty_ops_.forget(record);
  if (record.mark.recorded) erased_ops_.push_back(record.key);
  const size_t bytes = locks::answer_bytes(record.answer);
  client.answer_bytes -= bytes;
  answer_bytes_ -= bytes;
  client.ops.erase(op);
  --op_count_;
}

const Answer& ClientTable::record(Client& client, uint64_t number, Answer answer) {
  OpRecord& record = add_op(client, number);
  record.answer = std::move(answer);
  const size_t bytes = locks::answer_bytes(record.answer);
  client.answer_bytes += bytes;
  answer_bytes_ += bytes;
  dirty_ops_.add(record);
  return record.answer;
}

// A pending record has no row of its own: the waiter's row names it.
void ClientTable::record_waiting(Client& client, uint64_t number, Claim& waiter) {
  add_op(client, number).waiting = &waiter;
  ++client.wait_count;
}

const Answer& ClientTable::settle_wait(base::ClientId client, uint64_t number, Answer answer,
                                       uint64_t cell_time_ms) {
  Client* waiting = find(client);
  HF_ASSERT(waiting != nullptr);
  const auto op = waiting->ops.find(number);
  HF_ASSERT(op != waiting->ops.end() && op->second.waiting != nullptr);
  --waiting->wait_count;
  touch(*waiting, cell_time_ms);
  op->second.waiting = nullptr;
  op->second.answer = std::move(answer);
  dirty_ops_.add(op->second);
  return op->second.answer;
}

void ClientTable::forget_wait(Client& client, uint64_t number) {
  const auto op = client.ops.find(number);
  HF_ASSERT(op != client.ops.end() && op->second.waiting != nullptr);
  client.ops.erase(op);
  --op_count_;
  --client.wait_count;
}

// -- recording ------------------------------------------------------------------------------------

void ClientTable::take_changes(base::StateWrite& out) {
  dirty_clients_.take([&](const Client& client) { out.clients.put.push_back(client.row); });
  dirty_ops_.take([&](const OpRecord& record) { out.answers.put.push_back(answer_row(record)); });
  out.clients.erase.swap(erased_clients_);
  out.answers.erase.swap(erased_ops_);
}

void ClientTable::mark_recorded() {
  dirty_clients_.take([](const Client&) {});
  dirty_ops_.take([](const OpRecord&) {});
}

base::AnswerRow answer_row(const OpRecord& record) {
  return {record.key, encode_answer(record.answer)};
}

}  // namespace holdfast::locks
