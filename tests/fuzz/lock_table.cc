// Feeds: bytes as batches of commands of clients and leaders, applied slot by slot.
// Checks, after each: the table's invariants; a command survives its encoding; two tables that
// apply the same stay the same. And at the end of a stretch: the rows that changed add up to the
// table's rows, a table restored from them is the same table, and goes on in the old one's place.
#include <map>
#include <string>
#include <vector>

#include "lockcore/base/assert.h"
#include "lockcore/locks/lock_table.h"
#include "tests/fuzz/commands.h"
#include "tests/fuzz/input.h"

namespace holdfast::fuzz {
namespace {

constexpr int kMaxSlots = 200;  // of one input: it must not take long

// Small enough to be reached by an input.
constexpr locks::TableLimits kLimits{.leases = 5,
                                     .holds = 12,
                                     .holds_per_lease = 4,
                                     .waiters_per_lock = 3,
                                     .clients = 4,
                                     .answers = 40,
                                     .keys = 6,
                                     .key_bytes = 200};

// The keys of the rows that state.db would have.
template <class Row, class Key>
class Shadow {
 public:
  explicit Shadow(Key Row::*key) : key_(key) {}

  void apply(const base::Changes<Row, Key>& changes) {
    for (const Key& gone : changes.erase) HF_ASSERT(rows_.erase(gone) == 1);
    for (const Row& row : changes.put) rows_[row.*key_] = row;
  }
  std::vector<Row> rows() const {
    std::vector<Row> all;
    for (const auto& [key, row] : rows_) all.push_back(row);
    return all;
  }

 private:
  Key Row::*const key_;
  std::map<Key, Row> rows_;
};

struct Record {
  Shadow<base::LeaseRow, base::LeaseId> leases{&base::LeaseRow::id};
  Shadow<base::LockRow, std::string> locks{&base::LockRow::name};
  Shadow<base::HoldRow, base::Token> holds{&base::HoldRow::token};
  Shadow<base::WaiterRow, base::Revision> waiters{&base::WaiterRow::queued};
  Shadow<base::ClientRow, base::ClientId> clients{&base::ClientRow::id};
  Shadow<base::AnswerRow, base::AnswerKey> answers{&base::AnswerRow::key};
  Shadow<base::KeyRow, std::string> keys{&base::KeyRow::key};
  Shadow<base::SequenceRow, std::string> sequences{&base::SequenceRow::prefix};
  Shadow<base::PolicyRow, base::PolicyKey> policies{&base::PolicyRow::key};
  base::Config config;

  base::StateRows add(const base::StateWrite& write) {
    leases.apply(write.leases);
    locks.apply(write.locks);
    holds.apply(write.holds);
    waiters.apply(write.waiters);
    clients.apply(write.clients);
    answers.apply(write.answers);
    keys.apply(write.keys);
    sequences.apply(write.sequences);
    policies.apply(write.policies);
    if (write.config) config = *write.config;
    return {write.meta,     leases.rows(),    locks.rows(),   holds.rows(),
            waiters.rows(), clients.rows(),   answers.rows(), config,
            keys.rows(),    sequences.rows(), policies.rows()};
  }
};

class Run {
 public:
  explicit Run(Input& in) : in_(in) {}

  void go() {
    for (int slot = 0; slot < kMaxSlots && !in_.empty(); ++slot) {
      if (in_.below(8) == 0) restart();
      step();
    }
    restart();
  }

 private:
  void step() {
    locks::Batch batch{cell_time_ms_ += in_.number(), in_.number(), {}};
    const bool no_op = in_.below(32) == 31;
    for (uint64_t i = in_.below(3) + 1; i > 0; --i) {
      batch.commands.push_back(some_command(in_, known_, table_));
    }
    std::string why;
    const auto decoded = locks::decode_batch(locks::encode_batch(batch), why);
    HF_ASSERT(decoded.has_value());
    const base::Slot slot = table_.meta().applied.next();
    const base::Revision before = table_.meta().revision;
    applied_.clear();
    table_.apply(slot, no_op ? nullptr : &*decoded, applied_);
    for (const locks::Reply& reply : applied_.replies) {
      known_.note(reply.answer);
      check_tokens(reply.answer, before);
    }
    table_.check_invariants();
    applied_.clear();
    twin_.apply(slot, no_op ? nullptr : &batch, applied_);
    HF_ASSERT(twin_.digest() == table_.digest());
  }

  // A token that is new in this slot is above all that were before it; an old one is a retry's.
  void check_tokens(const locks::Answer& answer, base::Revision before) {
    const auto* granted = std::get_if<locks::Granted>(&answer);
    if (granted == nullptr) return;
    for (const base::Token token : granted->tokens) {
      HF_ASSERT(token <= table_.meta().revision);
      HF_ASSERT(token > before || token <= last_token_);
      last_token_ = std::max(last_token_, token);
    }
  }

  void restart() {
    base::StateRows rows = record_.add(table_.take_changes());
    HF_ASSERT(!table_.has_changes());
    locks::LockTable restored(kLimits);
    const auto problem = restored.restore(std::move(rows));
    HF_ASSERT(!problem);
    HF_ASSERT(used_of(restored) == used_of(table_));
    restored.check_invariants();
    HF_ASSERT(restored.digest() == table_.digest());
    table_ = std::move(restored);
  }

  // Of the quotas: counted as things came and went, and from what is there.
  static std::vector<base::QuotaLimits> used_of(const locks::LockTable& table) {
    std::vector<base::QuotaLimits> used;
    for (const locks::PolicyInfo& policy : table.policies()) used.push_back(policy.used);
    return used;
  }

  Input& in_;
  Known known_;
  locks::LockTable table_{kLimits};
  locks::LockTable twin_{kLimits};  // never restarted, and fed without encoding
  locks::Applied applied_;
  Record record_;
  uint64_t cell_time_ms_ = 0;
  base::Token last_token_;
};

}  // namespace
}  // namespace holdfast::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  holdfast::fuzz::Input in(data, size);
  holdfast::fuzz::Run(in).go();
  return 0;
}
