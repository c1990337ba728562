#include "daemon/record_calls.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <variant>

#include "daemon/event_polls.h"
#include "lockcore/base/assert.h"
#include "lockcore/base/limits.h"
#include "rpc/convert.h"
#include "rpc/event_convert.h"
#include "rpc/uv_event_port.h"

namespace holdfast::daemon {
namespace {

// Of one answer. Half a message leaves room for whatever an event has beside its texts.
constexpr size_t kMaxEvents = 1000;
constexpr size_t kMaxEventsBytes = base::kMaxMessageBytes / 2;
constexpr int64_t kMaxWaitMs = 60'000;

uint64_t wall_clock_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

base::Error too_many_read() {
  return {base::ErrorCode::kResourceExhausted,
          "too many read this node's record at once: ask again, or another node",
          {{"limit", "recordReads"}, {"value", std::to_string(kMaxRecordReads)}}};
}

base::Error compacted(base::Revision pruned_through) {
  const std::string oldest = std::to_string(pruned_through.value + 1);
  return {base::ErrorCode::kCompacted,
          "the history doesn't reach back that far: it begins with revision " + oldest,
          {{"oldest", oldest}}};
}

// What is asked for, as plain data: the call's parameters go when it is answered.
store::EventsQuery query_of(wire::Cell::EventsParams::Reader asked) {
  store::EventsQuery query;
  query.name = std::string(asked.getName().begin(), asked.getName().size());
  query.exact = asked.getExact();
  query.after = {asked.getAfter()};
  const uint64_t now = wall_clock_ms();
  if (asked.getMaxAgeMs() != 0) query.since_wall_ms = now - std::min(now, asked.getMaxAgeMs());
  query.limit = kMaxEvents;
  if (asked.getLimit() != 0) query.limit = std::min<size_t>(asked.getLimit(), kMaxEvents);
  query.max_bytes = kMaxEventsBytes;
  return query;
}

// Lives in the promise that the RPC system holds, as every call does (calls.h).
class EventsCall final : public Call, private EventPoll {
 public:
  EventsCall(kj::PromiseFulfiller<void>& fulfiller, NodeAccess& access, EventsContext context)
      : fulfiller_(fulfiller), access_(access), context_(context) {
    auto asked = context.getParams();
    query_ = query_of(asked);
    from_now_ = asked.getFromNow();
    const int64_t wait_ms = std::min<int64_t>(asked.getWaitMs(), kMaxWaitMs);
    until_ = rpc::boottime_now() + base::Duration::from_ms(wait_ms);
    const bool stale = asked.getStale();
    context.releaseParams();
    if (stale) {
      guarded_look();
    } else {
      ref_ = access.begin(*this);
      access.read(ref_);
    }
  }
  ~EventsCall() {
    if (!*alive_) return;
    if (ref_ != 0) access_.drop(ref_);
    if (reading_ != 0) access_.forget_record(reading_);
    access_.event_polls().forget(*this);
  }

  void on_reply(const node::ReadReply& reply) override {
    if (reply.error) return refuse(*reply.error);
    guarded_look();
  }

 private:
  void on_due() override { guarded_look(); }

  // An exception is the caller's to hear, as it would be from a method of the server.
  void guarded_look() {
    fulfiller_.rejectIfThrows([this] { look(); });
  }

  void look() {
    const locks::LockTable& table = access_.node().table();
    const base::Revision newest = table.meta().revision;
    if (from_now_) return answer({}, newest);
    if (query_.after < table.events_floor()) return read_record();
    base::EventRows events;
    base::Revision upto = std::max(query_.after, newest);
    size_t bytes = 0;
    table.visit_events(query_.after, [&](const base::EventRow& event) {
      const bool matches = store::names_match(query_.name, query_.exact, event.name) &&
                           event.at_wall_ms >= query_.since_wall_ms;
      if (!matches) return true;
      bytes += rpc::wire_bytes(event);
      if (events.size() == query_.limit || (bytes > query_.max_bytes && !events.empty())) {
        upto = events.back().revision;
        return false;
      }
      events.push_back(event);
      return true;
    });
    if (events.empty() && rpc::boottime_now() < until_) {
      query_.after = upto;
      access_.event_polls().wait(*this, query_.name, query_.exact, until_);
      return;
    }
    answer(events, upto);
  }

  void read_record() {
    reading_ = access_.ask_record(query_, [this](store::StateAnswer&& answered) {
      reading_ = 0;
      fulfiller_.rejectIfThrows([&] { take(std::move(answered)); });
    });
    if (reading_ == 0) refuse(too_many_read());
  }

  void take(store::StateAnswer&& answered) {
    if (const auto* error = std::get_if<base::Error>(&answered)) return refuse(*error);
    const auto& page = std::get<store::EventsPage>(answered);
    if (query_.after && query_.after < page.pruned_through) {
      return refuse(compacted(page.pruned_through));
    }
    answer(page.events, page.upto);
  }

  void answer(const base::EventRows& events, base::Revision upto) {
    size_t words = 64;
    for (const base::EventRow& event : events) words += rpc::wire_bytes(event) / 8;
    auto results = context_.getResults(capnp::MessageSize{words, 0});
    auto list = results.initEvents(static_cast<unsigned>(events.size()));
    for (unsigned i = 0; i < events.size(); ++i) rpc::fill_event(events[i], list[i]);
    results.setUpto(upto.value);
    results.setRevision(std::max(upto, access_.node().table().meta().revision).value);
    fulfiller_.fulfill();
  }

  void refuse(const base::Error& error) {
    rpc::fill_error(error, context_.getResults(capnp::MessageSize{64, 0}).initError());
    fulfiller_.fulfill();
  }

  kj::PromiseFulfiller<void>& fulfiller_;
  NodeAccess& access_;
  const std::shared_ptr<const bool> alive_ = access_.alive();
  EventsContext context_;
  store::EventsQuery query_;
  bool from_now_ = false;
  base::Instant until_;
  node::ClientRef ref_ = 0;
  uint64_t reading_ = 0;
};

void fill_value(const store::SqlValue& value, wire::SqlValue::Builder to) {
  if (const auto* number = std::get_if<int64_t>(&value)) {
    to.setInteger(*number);
  } else if (const auto* real = std::get_if<double>(&value)) {
    to.setReal(*real);
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    to.setText({text->data(), text->size()});
  } else if (const auto* blob = std::get_if<store::SqlBlob>(&value)) {
    to.setBlob({reinterpret_cast<const kj::byte*>(blob->bytes.data()), blob->bytes.size()});
  }
}

class SqlCall {
 public:
  SqlCall(kj::PromiseFulfiller<void>& fulfiller, NodeAccess& access, SqlContext context)
      : fulfiller_(fulfiller), access_(access), context_(context) {
    auto asked = context.getParams();
    store::SqlQuery query;
    query.text = std::string(asked.getQuery().begin(), asked.getQuery().size());
    query.max_rows = base::kMaxListedRows;
    if (asked.getLimit() != 0) query.max_rows = std::min<size_t>(asked.getLimit(), query.max_rows);
    query.max_bytes = base::kMaxMessageBytes / 2;
    reading_ = access.ask_record(std::move(query), [this](store::StateAnswer&& answered) {
      reading_ = 0;
      fulfiller_.rejectIfThrows([&] { take(std::move(answered)); });
      fulfiller_.fulfill();
    });
    if (reading_ != 0) return;
    rpc::fill_error(too_many_read(), context_.getResults().initError());
    fulfiller_.fulfill();
  }
  ~SqlCall() {
    if (reading_ != 0 && *alive_) access_.forget_record(reading_);
  }

 private:
  void take(store::StateAnswer&& answered) {
    auto results = context_.getResults();
    if (const auto* error = std::get_if<base::Error>(&answered)) {
      return rpc::fill_error(*error, results.initError());
    }
    const auto& found = std::get<store::SqlRows>(answered);
    auto columns = results.initColumns(static_cast<unsigned>(found.columns.size()));
    for (unsigned i = 0; i < columns.size(); ++i) columns.set(i, found.columns[i]);
    auto rows = results.initRows(static_cast<unsigned>(found.rows.size()));
    for (unsigned i = 0; i < rows.size(); ++i) {
      auto values = rows[i].initValues(static_cast<unsigned>(found.rows[i].size()));
      for (unsigned k = 0; k < values.size(); ++k) fill_value(found.rows[i][k], values[k]);
    }
    results.setMore(found.more);
  }

  kj::PromiseFulfiller<void>& fulfiller_;
  NodeAccess& access_;
  const std::shared_ptr<const bool> alive_ = access_.alive();
  SqlContext context_;
  uint64_t reading_ = 0;
};

}  // namespace

kj::Promise<void> answer_events(NodeAccess& access, EventsContext context) {
  context.allowCancellation();
  return kj::newAdaptedPromise<void, EventsCall>(access, context);
}

kj::Promise<void> answer_sql(NodeAccess& access, SqlContext context) {
  context.allowCancellation();
  return kj::newAdaptedPromise<void, SqlCall>(access, context);
}

}  // namespace holdfast::daemon
