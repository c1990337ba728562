#include "lockcore/paxos/write_gate.h"

#include <algorithm>
#include <utility>

#include "lockcore/base/assert.h"

namespace holdfast::paxos {

base::LogWrite& WriteGate::open() {
  if (!open_) {
    last_ = last_.next();
    open_.emplace();
    open_->id = last_;
  }
  return *open_;
}

void WriteGate::seal(base::Instant now, Effects& fx) {
  if (!open_) return;
  if (open_->promised) {
    HF_ASSERT(*open_->promised >= facts_.promised);
    facts_.promised = *open_->promised;
  }
  if (open_->founding) facts_.founding = *open_->founding;
  for (const base::Entry& entry : open_->entries) {
    facts_.highest_accepted = std::max(facts_.highest_accepted, entry.slot);
  }
  if (open_->first_retained) {
    const base::Slot below{open_->first_retained->value - 1};  // log.db had it, or a snapshot has
    facts_.highest_accepted = std::max(facts_.highest_accepted, below);
  }
  sealed_.push_back({open_->id, now, facts_});
  fx.writes.push_back(std::move(*open_));
  open_.reset();
}

void WriteGate::hold(Outgoing out, Effects& fx) {
  if (last_ == durable_) {
    fx.messages.push_back(std::move(out));
  } else {
    held_.push_back({last_, std::move(out)});
  }
}

bool WriteGate::written(base::WriteId id, Effects& fx) {
  if (id <= durable_) return false;
  HF_ASSERT(id <= last_);
  HF_ASSERT(!open_ || id < open_->id);
  durable_ = id;
  while (!sealed_.empty() && sealed_.front().id <= id) {
    durable_facts_ = sealed_.front().facts;
    sealed_.pop_front();
  }
  while (!held_.empty() && held_.front().after <= id) {
    fx.messages.push_back(std::move(held_.front().out));
    held_.pop_front();
  }
  return true;
}

std::optional<base::Instant> WriteGate::oldest() const {
  if (sealed_.empty()) return std::nullopt;
  return sealed_.front().at;
}

void WriteGate::forgive(base::Instant handed_over_at_the_earliest) {
  for (Sealed& write : sealed_) write.at = std::max(write.at, handed_over_at_the_earliest);
}

}  // namespace holdfast::paxos
