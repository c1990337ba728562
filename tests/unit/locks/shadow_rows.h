// What state.db would hold: the rows that all StateWrites so far add up to.
#pragma once

#include <doctest/doctest.h>

#include <map>

#include "lockcore/base/state_rows.h"

namespace holdfast::locks {

class ShadowRows {
 public:
  void apply(const base::StateWrite& write) {
    meta_ = write.meta;
    apply(leases_, write.leases, &base::LeaseRow::id);
    apply(locks_, write.locks, &base::LockRow::name);
    apply(holds_, write.holds, &base::HoldRow::token);
    apply(waiters_, write.waiters, &base::WaiterRow::queued);
    apply(clients_, write.clients, &base::ClientRow::id);
    apply(answers_, write.answers, &base::AnswerRow::key);
    if (write.config) config_ = *write.config;
    apply(keys_, write.keys, &base::KeyRow::key);
    apply(sequences_, write.sequences, &base::SequenceRow::prefix);
    apply(policies_, write.policies, &base::PolicyRow::key);
  }

  base::StateRows rows() const {
    return {meta_,
            values(leases_),
            values(locks_),
            values(holds_),
            values(waiters_),
            values(clients_),
            values(answers_),
            config_,
            values(keys_),
            values(sequences_),
            values(policies_)};
  }

 private:
  template <class Key, class Row>
  static void apply(std::map<Key, Row>& rows, const base::Changes<Row, Key>& changes,
                    Key Row::*key) {
    for (const Key& gone : changes.erase) {
      // A row that never reached the disk needs no erasing.
      CHECK(rows.erase(gone) == 1);
    }
    for (const Row& row : changes.put) rows[row.*key] = row;
  }
  template <class Key, class Row>
  static std::vector<Row> values(const std::map<Key, Row>& rows) {
    std::vector<Row> out;
    for (const auto& [key, row] : rows) out.push_back(row);
    return out;
  }

  base::MetaRow meta_;
  std::map<base::LeaseId, base::LeaseRow> leases_;
  std::map<std::string, base::LockRow> locks_;
  std::map<base::Token, base::HoldRow> holds_;
  std::map<base::Revision, base::WaiterRow> waiters_;
  std::map<base::ClientId, base::ClientRow> clients_;
  std::map<base::AnswerKey, base::AnswerRow> answers_;
  base::Config config_;
  std::map<std::string, base::KeyRow> keys_;
  std::map<std::string, base::SequenceRow> sequences_;
  std::map<base::PolicyKey, base::PolicyRow> policies_;
};

}  // namespace holdfast::locks
