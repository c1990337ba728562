#include "daemon/event_polls.h"

#include <algorithm>

#include "lockcore/base/assert.h"

namespace holdfast::daemon {

void EventPolls::wait(EventPoll& poll, std::string name, bool exact, base::Instant until) {
  const auto [at, is_new] = polls_.try_emplace(&poll, Poll{std::move(name), exact, until});
  HF_ASSERT(is_new);
  const Poll& entry = at->second;
  (exact ? exact_ : prefixes_).emplace(entry.name, &poll);
  if (!exact) count_length(entry.name.size(), 1);
  deadlines_.emplace(until, &poll);
}

void EventPolls::forget(EventPoll& poll) {
  const auto at = polls_.find(&poll);
  if (at == polls_.end()) {
    // It may be about to be told.
    std::replace(due_.begin(), due_.end(), &poll, static_cast<EventPoll*>(nullptr));
    return;
  }
  const Poll& entry = at->second;
  erase_from(entry.exact ? exact_ : prefixes_, entry.name, &poll);
  if (!entry.exact) count_length(entry.name.size(), -1);
  deadlines_.erase({entry.until, &poll});
  polls_.erase(at);
}

void EventPolls::erase_from(ByName& polls, std::string_view name, EventPoll* poll) {
  const auto [first, last] = polls.equal_range(name);
  polls.erase(std::find_if(first, last, [poll](const auto& each) { return each.second == poll; }));
}

void EventPolls::count_length(size_t length, int change) {
  const auto at = prefix_lengths_.try_emplace(length, 0).first;
  at->second += change;
  if (at->second == 0) prefix_lengths_.erase(at);
}

bool EventPolls::look(const locks::LockTable& table, base::Instant now) {
  const base::Revision revision = table.meta().revision;
  if (!polls_.empty() && revision != seen_) {
    if (seen_ < table.events_floor()) {
      take_all();  // events went by that aren't in memory: a snapshot was installed
    } else {
      table.visit_events(seen_, [this](const base::EventRow& event) {
        find_due(event.name);
        return !polls_.empty();
      });
    }
  }
  seen_ = revision;
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    EventPoll* poll = deadlines_.begin()->second;
    forget(*poll);
    due_.push_back(poll);
  }
  if (due_.empty()) return false;
  // One that is told may end another's call: forget() takes it out.
  for (size_t i = 0; i < due_.size(); ++i) {
    if (due_[i] != nullptr) due_[i]->on_due();
  }
  due_.clear();
  return true;
}

void EventPolls::find_due(std::string_view name) {
  take_all(exact_, name);
  for (auto length = prefix_lengths_.begin();
       length != prefix_lengths_.end() && length->first <= name.size();) {
    const size_t bytes = length->first;
    ++length;  // the last one of a length takes it along
    take_all(prefixes_, name.substr(0, bytes));
  }
}

void EventPolls::take_all(ByName& polls, std::string_view name) {
  for (auto at = polls.find(name); at != polls.end(); at = polls.find(name)) {
    EventPoll* poll = at->second;
    forget(*poll);
    due_.push_back(poll);
  }
}

void EventPolls::take_all() {
  while (!polls_.empty()) {
    EventPoll* poll = polls_.begin()->first;
    forget(*poll);
    due_.push_back(poll);
  }
}

}  // namespace holdfast::daemon
