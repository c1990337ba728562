// Cell: what happened, and why somebody waits.
#include <holdfast/holdfast.h>

#include "bindings/cpp/src/cell_state.h"
#include "bindings/cpp/src/reading.h"

namespace holdfast {

EventsPage Cell::events(const EventsQuery& query) {
  return detail::wait_for_value<EventsPage>(
      *state_, [&](Callback<EventsPage> done) { events_async(query, std::move(done)); });
}

void Cell::events_async(const EventsQuery& query, Callback<EventsPage> done) {
  client::EventsRequest request;
  request.query = query;
  state_->start(detail::reading(std::move(request)), detail::report_value(std::move(done)));
}

std::vector<Event> Cell::history(EventsQuery query) {
  std::vector<Event> all;
  std::optional<uint64_t> end;
  for (;;) {
    EventsPage page = events(query);
    if (!end) end = page.revision;
    for (Event& event : page.events) {
      if (event.revision > *end) return all;
      all.push_back(std::move(event));
    }
    if (page.upto >= *end) return all;
    query.after = page.upto;
  }
}

SqlRows Cell::sql(std::string_view query) {
  client::SqlRequest request{std::string(query)};
  return detail::wait_for_value<SqlRows>(*state_, [&](Callback<SqlRows> done) {
    state_->start(detail::reading(std::move(request)), detail::report_value(std::move(done)));
  });
}

Why Cell::why(std::string_view name) {
  client::WhyRequest request{std::string(name), {}};
  if (name.empty()) throw Error(Code::invalid_argument, "the name of a lock is missing");
  return detail::wait_for_value<Why>(*state_, [&](Callback<Why> done) {
    state_->start(detail::reading(std::move(request)), detail::report_value(std::move(done)));
  });
}

Why Cell::why_lease(std::string_view id) {
  client::WhyRequest request{{}, detail::lease_named(id)};
  return detail::wait_for_value<Why>(*state_, [&](Callback<Why> done) {
    state_->start(detail::reading(std::move(request)), detail::report_value(std::move(done)));
  });
}

}  // namespace holdfast
