// A lock table with one hand on its log: each command is a slot of its own unless batched.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "lockcore/base/limits.h"
#include "lockcore/locks/lock_table.h"

namespace holdfast::locks {

struct TableFixture {
  LockTable table;
  Applied applied;  // of the last slot
  uint64_t cell_time_ms = 1000;
  uint64_t wall_ms = 1'700'000'000'000;

  void apply(std::vector<Command> commands) {
    applied.clear();
    Batch batch{cell_time_ms, wall_ms, std::move(commands)};
    // Through the bytes, as on a real node.
    std::string why;
    const auto decoded = decode_batch(encode_batch(batch), why);
    REQUIRE_MESSAGE(decoded.has_value(), why);
    table.apply(table.meta().applied.next(), &*decoded, applied);
    table.check_invariants();
  }

  // The answer given to this operation in the last slot, if any.
  std::optional<Answer> answer_to(base::ClientId client, uint64_t number) const {
    std::optional<Answer> found;
    for (const Reply& reply : applied.replies) {
      if (reply.client != client || reply.number != number) continue;
      CHECK_FALSE(found.has_value());  // at most one answer a slot
      found = reply.answer;
    }
    return found;
  }

  std::optional<Answer> send(OpId op, Body body) {
    apply({{op, std::move(body)}});
    return answer_to(op.client, op.number);
  }

  base::ClientId register_client(uint64_t ttl_ms = 0) {
    const auto answer = send({}, RegisterClient{ttl_ms});
    REQUIRE(answer.has_value());
    return std::get<ClientRegistered>(*answer).client;
  }

  void lead(uint64_t round, uint64_t node = 1) {
    apply({{{}, NewLeader{{round, base::NodeId{node}}}}});
  }
  void expire(std::vector<base::LeaseId> leases) {
    apply({{{}, ExpireLeases{table.meta().leader, std::move(leases)}}});
  }
};

// A client that numbers its operations and says at once what it has the answers of.
struct TestClient {
  TableFixture& cell;
  base::ClientId id;
  uint64_t last_number = 0;
  std::vector<uint64_t> waiting = {};  // numbers without an answer

  explicit TestClient(TableFixture& fixture) : cell(fixture), id(fixture.register_client()) {}

  OpId next_op() {
    OpId op{id, ++last_number, waiting.empty() ? last_number : waiting.front(), {}};
    for (uint64_t n = op.lowest_unanswered + 1; n < last_number; ++n) {
      if (std::find(waiting.begin(), waiting.end(), n) == waiting.end()) op.answered.push_back(n);
    }
    return op;
  }
  // nullopt: it waits.
  std::optional<Answer> send(Body body) {
    const OpId op = next_op();
    auto answer = cell.send(op, std::move(body));
    if (!answer) waiting.push_back(op.number);
    return answer;
  }
  // The client has seen the answer of an operation that waited.
  void settle(uint64_t number) { std::erase(waiting, number); }

  base::LeaseId open(uint64_t ttl_ms = 10'000) {
    const auto answer = send(OpenLease{ttl_ms, 0, std::string(base::kSecretBytes, 's'), {}});
    REQUIRE(answer.has_value());
    return std::get<LeaseOpened>(*answer).lease;
  }
  std::optional<Answer> acquire(base::LeaseId lease, const std::string& lock,
                                base::Mode mode = base::Mode::kExclusive, uint64_t holder = 1,
                                bool wait = true, base::AgentId agent = {}) {
    return send(Acquire{lease, base::HolderId{holder}, agent, {{lock, mode, 1, 0}}, wait, ""});
  }
  base::Token acquired(base::LeaseId lease, const std::string& lock,
                       base::Mode mode = base::Mode::kExclusive, uint64_t holder = 1) {
    const auto answer = acquire(lease, lock, mode, holder, false);
    REQUIRE(answer.has_value());
    REQUIRE(std::holds_alternative<Granted>(*answer));
    return std::get<Granted>(*answer).tokens.at(0);
  }
  // Queues, and returns the number of the acquire that waits.
  uint64_t queue(base::LeaseId lease, const std::string& lock,
                 base::Mode mode = base::Mode::kExclusive, uint64_t holder = 1) {
    REQUIRE_FALSE(acquire(lease, lock, mode, holder, true).has_value());
    return last_number;
  }
  std::optional<Answer> release(base::LeaseId lease, const std::string& lock, base::Token token) {
    return send(Release{lease, lock, token});
  }
};

inline base::ErrorCode code_of(const std::optional<Answer>& answer) {
  REQUIRE(answer.has_value());
  REQUIRE(std::holds_alternative<base::Error>(*answer));
  return std::get<base::Error>(*answer).code;
}
inline std::string message_of(const std::optional<Answer>& answer) {
  REQUIRE(answer.has_value());
  REQUIRE(std::holds_alternative<base::Error>(*answer));
  return std::get<base::Error>(*answer).message;
}
template <class Kind>
bool is(const std::optional<Answer>& answer) {
  return answer.has_value() && std::holds_alternative<Kind>(*answer);
}
inline base::Token token_of(const std::optional<Answer>& answer) {
  REQUIRE(is<Granted>(answer));
  return std::get<Granted>(*answer).tokens.at(0);
}

}  // namespace holdfast::locks
