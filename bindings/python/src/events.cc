#include "bindings/python/src/events.h"

namespace holdfast::python {

void Events::jeopardy(uint64_t session, Deadline deadline) {
  {
    std::lock_guard lock(mutex_);
    for (Event& event : events_) {
      if (event.session != session || event.lost) continue;
      event.deadline = deadline;  // not fetched yet: the newer one counts
      return;
    }
    events_.push_back({session, deadline, std::nullopt});
  }
  signal_.post();
}

void Events::lost(uint64_t session, const Error& why) {
  {
    std::lock_guard lock(mutex_);
    events_.push_back({session, {}, why});
  }
  signal_.post();
}

void Events::close() {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }
  signal_.post();
}

std::optional<Event> Events::next() {
  while (true) {
    {
      std::lock_guard lock(mutex_);
      if (!events_.empty()) {
        Event event = std::move(events_.front());
        events_.pop_front();
        return event;
      }
      if (closed_) return std::nullopt;
    }
    signal_.wait();
  }
}

}  // namespace holdfast::python
