#include "tests/sim/checkers/model_checker.h"

#include <charconv>

namespace holdfast::sim {
namespace {

constexpr size_t kSlotsKept = 5'000;  // nodes that lag further are compared by digest alone

// "7#3 token 12" is the outcome "token 12" of client 7's number 3.
std::pair<base::AnswerKey, std::string> parse(const std::string& reply) {
  base::AnswerKey key;
  const char* const end = reply.data() + reply.size();
  const auto client = std::from_chars(reply.data(), end, key.client.value);
  const auto number = std::from_chars(client.ptr + 1, end, key.number);
  return {key, std::string(number.ptr + 1, end)};
}

// What a node answers for reasons of its own, without the log.
bool is_outside_the_log(const locks::Answer& answer) {
  const auto* error = std::get_if<base::Error>(&answer);
  if (error == nullptr) return false;
  switch (error->code) {
    case base::ErrorCode::kNotLeader:
    case base::ErrorCode::kUnavailable:
    case base::ErrorCode::kResourceExhausted:
    case base::ErrorCode::kUnknownClient: return true;
    default: return false;
  }
}

std::string claims_of(const base::StateRows& rows) {
  std::vector<locks::SimpleModel::ClaimText> claims;
  for (const base::HoldRow& hold : rows.holds) {
    claims.push_back({hold.lock, hold.lease.value, hold.holder.value, hold.token.value, hold.mode,
                      hold.permits});
  }
  for (const base::WaiterRow& waiter : rows.waiters) {
    claims.push_back(
        {waiter.lock, waiter.lease.value, waiter.holder.value, 0, waiter.mode, waiter.permits});
  }
  return locks::SimpleModel::text_of(rows.meta.revision.value, std::move(claims), rows.keys);
}

}  // namespace

void ModelChecker::on_chosen(base::Slot slot, base::EntryKind kind, const std::string& value) {
  if (kind != base::EntryKind::kNoOp) {
    std::string why;
    const auto batch = locks::decode_batch(value, why);
    if (!batch) {
      world_.fail("slot " + std::to_string(slot.value) + " has no readable batch: " + why);
      return;
    }
    check_cell_time(batch->cell_time_ms);
    model_.replies.clear();
    for (const locks::Command& command : batch->commands) {
      model_.apply(batch->cell_time_ms, command);
      if (listener_ != nullptr) listener_->on_command(command);
    }
    for (const std::string& reply : model_.replies) {
      auto [key, outcome] = parse(reply);
      note_grant(outcome);
      if (listener_ != nullptr) listener_->on_outcome(key, outcome);
      outcomes_[key].insert(std::move(outcome));
    }
  }
  claims_[slot] = model_.claims_text();
  if (claims_.size() > kSlotsKept) claims_.erase(claims_.begin());
}

void ModelChecker::note_grant(const std::string& outcome) {
  constexpr std::string_view kGranted = "token ";
  if (!outcome.starts_with(kGranted)) return;
  base::Token token;
  std::from_chars(outcome.data() + kGranted.size(), outcome.data() + outcome.size(), token.value);
  fence_.on_granted(token);
}

// Clocks run within 1 % of true time, and a leader's goes on from what was applied (DESIGN 5).
void ModelChecker::check_cell_time(uint64_t cell_time_ms) {
  const int64_t true_ms = world_.now() / 1'000'000;
  const auto cell_ms = static_cast<int64_t>(cell_time_ms);
  if (first_cell_ms_ < 0) {
    first_cell_ms_ = cell_ms;
    first_true_ms_ = true_ms;
  }
  const int64_t most = first_cell_ms_ + (true_ms - first_true_ms_) * 101 / 100 + 1'000;
  if (cell_ms > most && !wild_clocks_) {
    world_.fail("cell time is " + std::to_string(cell_ms) + " ms where it can be " +
                std::to_string(most) + " at most");
  }
}

void ModelChecker::on_told(base::NodeId node, const base::AnswerKey& key,
                           const locks::Answer& answer) {
  if (!key.client || is_outside_the_log(answer)) return;
  const std::string text = locks::SimpleModel::text_of(answer);
  const auto known = outcomes_.find(key);
  if (known != outcomes_.end() && known->second.contains(text)) return;
  // Copies are answered from the record.
  if (model_.told_again(key.client, key.number) == text) return;
  std::string expected;
  if (known != outcomes_.end()) {
    for (const std::string& outcome : known->second) {
      expected += (expected.empty() ? "" : " or ") + outcome;
    }
  }
  world_.fail("node " + std::to_string(node.value) + " told client " +
              std::to_string(key.client.value) + " '" + text + "' for its operation " +
              std::to_string(key.number) + "; by the chosen commands it is '" +
              (expected.empty() ? "pending" : expected) + "'");
}

void ModelChecker::on_state(base::NodeId node, const base::StateRows& rows) {
  const auto expected = claims_.find(rows.meta.applied);
  if (expected == claims_.end()) return;
  const std::string found = claims_of(rows);
  if (found == expected->second) return;
  world_.fail("node " + std::to_string(node.value) + " holds, at slot " +
              std::to_string(rows.meta.applied.value) + ", '" + found +
              "'; by the chosen commands it is '" + expected->second + "'");
}

}  // namespace holdfast::sim
