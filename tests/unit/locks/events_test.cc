// What happened, as the table keeps it: the newest events in memory, and what each of them says.
#include "tests/unit/locks/table_fixture.h"

using namespace holdfast::locks;
using holdfast::base::EventRow;
using holdfast::base::EventRows;
using holdfast::base::EventType;
using holdfast::base::HolderId;
using holdfast::base::LeaseId;
using holdfast::base::LockKind;
using holdfast::base::Mode;
using holdfast::base::Revision;
using holdfast::base::Token;

namespace {

struct EventsTest : TableFixture {
  TestClient a{*this}, b{*this};
  LeaseId lease_a = a.open(), lease_b = b.open();

  std::vector<EventRow> above(Revision after) const {
    std::vector<EventRow> events;
    table.visit_events(after, [&](const EventRow& event) {
      events.push_back(event);
      return true;
    });
    return events;
  }
  EventRow last() const {
    const auto events = above(table.events_floor());
    REQUIRE_FALSE(events.empty());
    return events.back();
  }
};

}  // namespace

TEST_CASE_FIXTURE(EventsTest, "events: they stay readable while and after they are recorded") {
  const Revision before = table.meta().revision;
  const Token token = a.acquired(lease_a, "x");
  CHECK(above(before).size() == 1);
  const auto taken = table.take_changes().events;
  REQUIRE(taken != nullptr);
  a.release(lease_a, "x", token);
  const auto events = above(before);
  REQUIRE(events.size() == 2);
  CHECK(events[0].revision == Revision{token.value});
  CHECK(events[1].type == EventType::kRelease);
  CHECK(above(events[0].revision).size() == 1);
  CHECK(above(events[1].revision).empty());
}

TEST_CASE_FIXTURE(EventsTest, "events: what was restored is in the record, not in memory") {
  a.acquired(lease_a, "x");
  LockTable other;
  REQUIRE_FALSE(other.restore(table.rows()).has_value());
  CHECK(other.events_floor() == table.meta().revision);
}

TEST_CASE_FIXTURE(EventsTest, "events: memory keeps a bounded number, and never too few") {
  size_t count = 0;
  Revision recorded;  // all at or below it had been taken before the last take
  for (int slot = 0; slot < 60; ++slot) {
    std::vector<Command> commands;
    for (int i = 0; i < 500; ++i) {
      commands.push_back({{}, RegisterClient{}});
      const OpId op = a.next_op();
      commands.push_back({op, Acquire{lease_a, HolderId{op.number}, {}, {{"s", Mode::kShared}}}});
    }
    apply(std::move(commands));
    const Revision before = table.meta().revision;
    table.take_changes();
    CHECK(table.events_floor() <= recorded);
    recorded = before;
    count = above(table.events_floor()).size();
    CHECK(count <= holdfast::base::kEventRing + 500);
  }
  CHECK(table.events_floor() > Revision{0});
  CHECK(count > holdfast::base::kEventRing / 2);
}

TEST_CASE_FIXTURE(EventsTest, "events: they tell how long was waited and held, by cell time") {
  const Token first = a.acquired(lease_a, "x");
  cell_time_ms += 100;
  b.send(Acquire{lease_b, HolderId{1}, {}, {{"x"}}, true, "nightly run"});
  CHECK(last().type == EventType::kQueue);
  CHECK(last().note == "nightly run");
  CHECK(last().mode == Mode::kExclusive);
  cell_time_ms += 30;
  a.release(lease_a, "x", first);
  const auto events = above(Revision{table.meta().revision.value - 2});
  REQUIRE(events.size() == 2);
  CHECK(events[0].type == EventType::kRelease);
  CHECK(events[0].held_ms == 130);
  CHECK(events[0].token == first);
  CHECK(events[1].type == EventType::kGrant);
  CHECK(events[1].waited_ms == 30);
  CHECK(events[1].note == "nightly run");
  cell_time_ms += 7;
  expire({lease_b});
  CHECK(last().type == EventType::kExpire);
  CHECK(last().held_ms == 7);
  CHECK(last().cause == std::string("expired"));
}

TEST_CASE_FIXTURE(EventsTest, "events: a leader's value comes with its grant, waited for or not") {
  const LockRequest seat{"jobs", Mode::kExclusive, 1, 0, LockKind::kElection};
  const Token first = token_of(a.send(Acquire{lease_a, HolderId{1}, {}, {seat}, true, "", "one"}));
  CHECK(last().value == "one");
  CHECK(table.describe("jobs").holders.at(0).value == "one");
  b.send(Acquire{lease_b, HolderId{1}, {}, {seat}, true, "", "two"});
  CHECK(table.rows().waiters.at(0).value == "two");
  LockTable other;  // and it survives a restart while it waits
  REQUIRE_FALSE(other.restore(table.rows()).has_value());
  CHECK(other.digest() == table.digest());
  a.release(lease_a, "jobs", first);
  CHECK(last().type == EventType::kGrant);
  CHECK(last().value == "two");
  CHECK(table.describe("jobs").holders.at(0).value == "two");
}

TEST_CASE_FIXTURE(EventsTest, "events: a value is for the holder of one lock, and not too long") {
  const std::string long_value(holdfast::base::kMaxValueBytes + 1, 'v');
  CHECK(code_of(a.send(Acquire{lease_a, HolderId{1}, {}, {{"x"}}, true, "", long_value})) ==
        holdfast::base::ErrorCode::kResourceExhausted);
  CHECK(code_of(a.send(Acquire{lease_a, HolderId{1}, {}, {{"x"}, {"y"}}, true, "", "v"})) ==
        holdfast::base::ErrorCode::kInvalidArgument);
}

TEST_CASE_FIXTURE(EventsTest, "events: texts and values count against the memory for events") {
  CHECK(table.unrecorded_percent() == 0);
  const LockRequest seat{"jobs", Mode::kExclusive, 1, 0, LockKind::kElection};
  const Token token = token_of(a.send(Acquire{lease_a, HolderId{1}, {}, {seat}}));
  const std::string value(holdfast::base::kMaxValueBytes, 'v');
  const size_t half = holdfast::base::kMaxUnrecordedEventBytes / 2 / value.size();
  for (size_t i = 0; i <= half; ++i) a.send(SetHoldValue{lease_a, "jobs", token, value});
  CHECK(table.unrecorded_percent() >= 50);
  CHECK(table.unrecorded_percent() < 60);
  table.take_changes();
  CHECK(table.unrecorded_percent() == 0);
}
