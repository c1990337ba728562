// What nodes tell about the past, the record and who waits for whom, into what callers see.
#include "bindings/cpp/src/infos.h"
#include "bindings/cpp/src/why_text.h"
#include "lockcore/base/lease_text.h"
#include "lockcore/base/state_rows.h"
#include "rpc/convert.h"

namespace holdfast::client {

namespace {

std::string text(capnp::Text::Reader from) {
  return {from.begin(), from.end()};
}

// An unknown type is of a later version.
const char* type_of(wire::EventType type) {
  return base::event_type_name(static_cast<base::EventType>(type));
}

Event event_of(wire::Event::Reader from) {
  Event to;
  to.revision = from.getRevision();
  to.type = type_of(from.getType());
  to.name = text(from.getName());
  to.value.assign(reinterpret_cast<const char*>(from.getValue().begin()), from.getValue().size());
  to.token = from.getToken();
  if (from.getLease() != 0) to.lease = base::lease_text(base::LeaseId{from.getLease()});
  if (from.hasOwner()) to.owner = public_owner(rpc::read_owner(from.getOwner()));
  to.cause = text(from.getCause());
  to.at_ms = static_cast<int64_t>(from.getAtMs());
  to.permits = from.getPermits();
  if (to.permits != 0) to.mode = base::mode_name(rpc::read_mode(from.getMode()));
  to.waited = milliseconds(from.getWaitedMs());
  to.held = milliseconds(from.getHeldMs());
  to.note = text(from.getNote());
  return to;
}

SqlValue value_of(wire::SqlValue::Reader from) {
  switch (from.which()) {
    case wire::SqlValue::INTEGER: return from.getInteger();
    case wire::SqlValue::REAL: return from.getReal();
    case wire::SqlValue::TEXT: return text(from.getText());
    case wire::SqlValue::BLOB:
      return std::vector<unsigned char>(from.getBlob().begin(), from.getBlob().end());
    case wire::SqlValue::NULL_: break;
  }
  return std::monostate();
}

const char* kind_of(wire::Blocker::Kind kind) {
  switch (kind) {
    case wire::Blocker::Kind::HOLDER: return "holder";
    case wire::Blocker::Kind::WAITER: return "waiter";
    case wire::Blocker::Kind::DELAY: return "delay";
    case wire::Blocker::Kind::DRAIN: return "drain";
  }
  return "unknown";
}

Blocker blocker_of(wire::Blocker::Reader from) {
  Blocker to;
  to.lock = text(from.getLock());
  to.kind = kind_of(from.getKind());
  to.remaining = milliseconds(from.getRemainingMs());
  to.seen = from.getSeen();
  to.age = milliseconds(from.getAgeMs());
  if (from.hasOwner()) to.owner = public_owner(rpc::read_owner(from.getOwner()));
  if (from.getReason().size() != 0) to.owner.reason = text(from.getReason());
  if (from.getLease() == 0) return to;
  to.lease = base::lease_text(base::LeaseId{from.getLease()});
  to.holder = from.getHolder();
  to.mode = base::mode_name(rpc::read_mode(from.getMode()));
  to.permits = from.getPermits();
  to.token = from.getToken();
  to.position = from.getPosition();
  return to;
}

}  // namespace

Response events_page(wire::Cell::EventsResults::Reader from) {
  if (from.hasError()) return rpc::read_error(from.getError());
  EventsPage page;
  page.events.reserve(from.getEvents().size());
  for (auto event : from.getEvents()) page.events.push_back(event_of(event));
  page.upto = from.getUpto();
  page.revision = from.getRevision();
  return page;
}

Response sql_rows(wire::Cell::SqlResults::Reader from) {
  if (from.hasError()) return rpc::read_error(from.getError());
  SqlRows rows;
  for (auto column : from.getColumns()) rows.columns.push_back(text(column));
  for (auto row : from.getRows()) {
    auto& values = rows.rows.emplace_back();
    for (auto value : row.getValues()) values.push_back(value_of(value));
  }
  rows.more = from.getMore();
  return rows;
}

// The list names parents before their children, each by its place in it.
Response why_told(wire::Cell::WhyResults::Reader from, std::string name) {
  if (from.hasError()) return rpc::read_error(from.getError());
  const auto list = from.getBlockers();
  std::vector<Blocker> all;
  for (auto blocker : list) all.push_back(blocker_of(blocker));
  Why why;
  why.name = std::move(name);
  why.truncated = from.getTruncated();
  // From the last to the first: each is complete before it moves to its parent.
  for (size_t i = all.size(); i > 0; --i) {
    const int32_t parent = list[static_cast<unsigned>(i - 1)].getParent();
    const bool is_root = parent < 0 || static_cast<size_t>(parent) >= i - 1;
    std::vector<Blocker>& siblings =
        is_root ? why.blockers : all[static_cast<size_t>(parent)].blockers;
    siblings.insert(siblings.begin(), std::move(all[i - 1]));
  }
  why.text = why_text(why);
  return why;
}

}  // namespace holdfast::client
