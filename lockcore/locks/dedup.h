// Exactly once (DESIGN 7a): what each client asked, and what it was answered.
//
// After RIFL (Lee et al., SOSP'15). Every operation has a number of its client's. Its record is
// kept until the client says that it has the answer; from then on the number is settled: any copy
// that still arrives does nothing.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "lockcore/base/state_rows.h"
#include "lockcore/locks/command.h"
#include "lockcore/locks/dirty_rows.h"
#include "lockcore/locks/lock_table.h"

namespace holdfast::locks {

struct Claim;

// Numbers as closed ranges, ascending, not touching each other.
using NumberRanges = std::vector<std::pair<uint64_t, uint64_t>>;
bool contains(const NumberRanges& ranges, uint64_t number);
void add_number(NumberRanges& ranges, uint64_t number);
// Cuts off everything below `lowest`. Returns the lowest number from there on that isn't in them,
// and cuts off what is below that as well.
uint64_t drop_below(NumberRanges& ranges, uint64_t lowest);

// An operation whose client hasn't got its answer, as far as the client has said.
struct OpRecord {
  base::AnswerKey key;
  Claim* waiting = nullptr;  // not null: pending, this waiter will bring the answer
  Answer answer;             // meaningless while pending
  RowMark mark;
};

struct Client {
  base::ClientRow row;  // everything below row.lowest_unanswered and in row.acked is settled
  std::map<uint64_t, OpRecord> ops;  // none of them settled
  uint64_t lease_count = 0;          // live leases that it opened
  uint64_t wait_count = 0;           // pending ones among ops
  size_t answer_bytes = 0;           // sum of answer_bytes() over ops
  RowMark mark;
};

class ClientTable {
 public:
  Client* find(base::ClientId id);
  const Client* find(base::ClientId id) const;
  size_t size() const { return clients_.size(); }
  size_t op_count() const { return op_count_; }  // of all clients, pending ones included

  size_t answer_bytes() const { return answer_bytes_; }  // of all clients

  Client& add(base::ClientRow row);
  // Nothing of it waits any more.
  void remove(Client& client);
  // The client was heard of. Its row follows in steps of a part of its TTL: a write for every
  // operation would buy nothing.
  void touch(Client& client, uint64_t cell_time_ms);
  // Looks at a few clients that have been idle longest, and removes those that are idle longer than
  // their TTL. A live lease or a waiting acquire counts as use.
  void drop_idle(uint64_t cell_time_ms);

  // Takes note of what the client has the answers of. Pending acquires among them are told to
  // give_up: its client says that it doesn't wait. Refuses, having done part, what would
  // need more ranges than `limit`.
  std::optional<base::Error> acknowledge(Client& client, const OpId& op, size_t limit,
                                         std::vector<Claim*>& give_up);

  OpState state(const Client& client, uint64_t number) const;
  // The record's answer; null: none is recorded.
  const Answer* recorded(const Client& client, uint64_t number) const;

  // Returns the answer where it is kept.
  const Answer& record(Client& client, uint64_t number, Answer answer);
  void record_waiting(Client& client, uint64_t number, Claim& waiter);
  // The waiter of this pending operation has come to its end. Records its answer, and returns it
  // where it is kept. The client counts as heard of: it must have time to fetch it.
  const Answer& settle_wait(base::ClientId client, uint64_t number, Answer answer,
                            uint64_t cell_time_ms);
  // The same, without an answer for anybody.
  void forget_wait(Client& client, uint64_t number);

  // A lease of this client, which may be gone, was opened.
  void lease_opened(base::ClientId client);
  // It has ended. It counted as use until now, and answers outlive it.
  void lease_ended(base::ClientId client, uint64_t cell_time_ms);

  template <class Visit>
  void visit_clients(Visit visit) const {
    for (const auto& [id, client] : clients_) visit(client);
  }

  void take_changes(base::StateWrite& out);
  // As if all had been taken: what was just restored is on the disk.
  void mark_recorded();

 private:
  using IdleKey = std::pair<uint64_t, base::ClientId>;  // idle since + TTL, id
  static IdleKey idle_key(const Client& client) {
    return {client.row.last_use_cell_ms + client.row.ttl_ms, client.row.id};
  }
  void set_last_use(Client& client, uint64_t cell_time_ms);
  OpRecord& add_op(Client& client, uint64_t number);
  void erase_op(Client& client, std::map<uint64_t, OpRecord>::iterator op);

  std::unordered_map<base::ClientId, Client> clients_;
  size_t op_count_ = 0;
  size_t answer_bytes_ = 0;
  // By when they may go. A function of the rows alone, so that a node that was restarted drops the
  // same clients as the others.
  std::set<IdleKey> by_idle_end_;
  DirtyRows<Client> dirty_clients_;
  DirtyRows<OpRecord> dirty_ops_;
  std::vector<base::ClientId> erased_clients_;
  std::vector<base::AnswerKey> erased_ops_;
};

base::AnswerRow answer_row(const OpRecord& record);  // of one that isn't pending

}  // namespace holdfast::locks
