// The tables of state.db, and for each row type the list of its columns: statements, binding,
// reading and checksums all follow that one list. Names are for people: `lockctl sql` shows them.
//
// Table<Row>::visit(visitor, row) calls visitor(name, field) for each column in the table's order
// (a lease's owner: visitor.owner(pointer), which visits OwnerColumns). The row is const when it is
// written. Fields that aren't plain numbers, ids, texts, modes or kinds come wrapped: Blob,
// AckedRanges.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "lockcore/base/state_rows.h"

namespace holdfast::store {

template <class S>
struct Blob {
  S& bytes;
};
template <class S>
Blob(S&) -> Blob<S>;

template <class R>
struct AckedRanges {
  R& ranges;
};
template <class R>
AckedRanges(R&) -> AckedRanges<R>;

inline constexpr const char* kStateSchema = R"sql(
CREATE TABLE meta (
  id INTEGER PRIMARY KEY CHECK (id = 1), incarnation INTEGER NOT NULL,
  applied INTEGER NOT NULL, revision INTEGER NOT NULL, cell_time_ms INTEGER NOT NULL,
  wall_ms INTEGER NOT NULL, config_version INTEGER NOT NULL, leader_round INTEGER NOT NULL,
  leader_node INTEGER NOT NULL, event_digest INTEGER NOT NULL, sequence_floor INTEGER NOT NULL,
  events INTEGER NOT NULL, event_bytes INTEGER NOT NULL, events_pruned INTEGER NOT NULL,
  sum INTEGER NOT NULL) STRICT;
CREATE TABLE lease (
  lease INTEGER PRIMARY KEY, client INTEGER NOT NULL, ttl_ms INTEGER NOT NULL,
  lock_delay_ms INTEGER NOT NULL, secret BLOB NOT NULL, opened_ms INTEGER NOT NULL,
  left_ms INTEGER NOT NULL, former INTEGER NOT NULL, drop_on_disconnect INTEGER NOT NULL,
  host TEXT NOT NULL, pid INTEGER NOT NULL, boot_id TEXT NOT NULL, program TEXT NOT NULL,
  user TEXT NOT NULL, reason TEXT NOT NULL, version TEXT NOT NULL, started_ms INTEGER NOT NULL,
  sum INTEGER NOT NULL) STRICT;
CREATE TABLE lock (
  name TEXT PRIMARY KEY, revision INTEGER NOT NULL, kind TEXT NOT NULL, capacity INTEGER NOT NULL,
  delay_until_ms INTEGER NOT NULL, delay_blocks INTEGER NOT NULL, delay_permits INTEGER NOT NULL,
  sum INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE hold (
  token INTEGER PRIMARY KEY, lock TEXT NOT NULL, lease INTEGER NOT NULL, holder INTEGER NOT NULL,
  agent INTEGER NOT NULL, mode TEXT NOT NULL, permits INTEGER NOT NULL,
  acquired_ms INTEGER NOT NULL, acquired_cell_ms INTEGER NOT NULL, number INTEGER NOT NULL,
  reason TEXT NOT NULL, value BLOB NOT NULL, sum INTEGER NOT NULL) STRICT;
CREATE TABLE waiter (
  queued INTEGER PRIMARY KEY, lock TEXT NOT NULL, lease INTEGER NOT NULL, holder INTEGER NOT NULL,
  agent INTEGER NOT NULL, mode TEXT NOT NULL, permits INTEGER NOT NULL, since_ms INTEGER NOT NULL,
  since_cell_ms INTEGER NOT NULL, client INTEGER NOT NULL, number INTEGER NOT NULL,
  reason TEXT NOT NULL, converts INTEGER NOT NULL, value BLOB NOT NULL,
  sum INTEGER NOT NULL) STRICT;
CREATE TABLE client (
  client INTEGER PRIMARY KEY, lowest_unanswered INTEGER NOT NULL, acked TEXT NOT NULL,
  last_use_cell_ms INTEGER NOT NULL, ttl_ms INTEGER NOT NULL, sum INTEGER NOT NULL) STRICT;
CREATE TABLE answer (
  client INTEGER NOT NULL, number INTEGER NOT NULL, answer BLOB NOT NULL, sum INTEGER NOT NULL,
  PRIMARY KEY (client, number)) STRICT, WITHOUT ROWID;
CREATE TABLE member (
  node INTEGER PRIMARY KEY, incarnation INTEGER NOT NULL, address TEXT NOT NULL,
  role TEXT NOT NULL, sum INTEGER NOT NULL) STRICT;
CREATE TABLE key (
  key TEXT PRIMARY KEY, value BLOB NOT NULL, create_revision INTEGER NOT NULL,
  revision INTEGER NOT NULL, version INTEGER NOT NULL, lease INTEGER NOT NULL,
  sum INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE sequence (
  prefix TEXT PRIMARY KEY, last INTEGER NOT NULL, revision INTEGER NOT NULL,
  sum INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE policy (
  kind TEXT NOT NULL, name TEXT NOT NULL, leases INTEGER NOT NULL, locks INTEGER NOT NULL,
  waiters INTEGER NOT NULL, bytes INTEGER NOT NULL, reason TEXT NOT NULL, by TEXT NOT NULL,
  since_ms INTEGER NOT NULL, sum INTEGER NOT NULL,
  PRIMARY KEY (kind, name)) STRICT, WITHOUT ROWID;
CREATE TABLE event (
  revision INTEGER PRIMARY KEY, type TEXT NOT NULL, name TEXT NOT NULL, token INTEGER NOT NULL,
  lease INTEGER NOT NULL, owner INTEGER NOT NULL, cause TEXT NOT NULL, mode TEXT NOT NULL,
  permits INTEGER NOT NULL, waited_ms INTEGER NOT NULL, held_ms INTEGER NOT NULL,
  note TEXT NOT NULL, value BLOB NOT NULL, at_ms INTEGER NOT NULL, cell_ms INTEGER NOT NULL,
  sum INTEGER NOT NULL) STRICT;
CREATE TABLE event_owner (
  owner INTEGER PRIMARY KEY, last_event INTEGER NOT NULL, host TEXT NOT NULL,
  pid INTEGER NOT NULL, boot_id TEXT NOT NULL, program TEXT NOT NULL, user TEXT NOT NULL,
  reason TEXT NOT NULL, version TEXT NOT NULL, started_ms INTEGER NOT NULL,
  sum INTEGER NOT NULL) STRICT;
CREATE INDEX event_owner_by_use ON event_owner (last_event);
)sql";

template <class Row>
struct Table;

// The one row of `meta`.
struct StateMeta {
  uint64_t id = 1;
  base::Incarnation incarnation;  // of the log.db beside it
  base::MetaRow row;
  uint64_t events = 0;       // rows of table `event`
  uint64_t event_bytes = 0;  // of names, notes and values in it
  base::Revision pruned;     // no event at or below it is there any more
};

template <>
struct Table<StateMeta> {
  static constexpr const char* kName = "meta";
  template <class V, class R>
  static void visit(V& visitor, R& meta) {
    visitor("id", meta.id);
    visitor("incarnation", meta.incarnation);
    visitor("applied", meta.row.applied);
    visitor("revision", meta.row.revision);
    visitor("cell_time_ms", meta.row.cell_time_ms);
    visitor("wall_ms", meta.row.wall_ms);
    visitor("config_version", meta.row.config_version);
    visitor("leader_round", meta.row.leader.round);
    visitor("leader_node", meta.row.leader.node);
    visitor("event_digest", meta.row.event_digest);
    visitor("sequence_floor", meta.row.sequence_floor);
    visitor("events", meta.events);
    visitor("event_bytes", meta.event_bytes);
    visitor("events_pruned", meta.pruned);
  }
};

struct OwnerColumns {
  template <class V, class O>
  static void visit(V& visitor, O& owner) {
    visitor("host", owner.host);
    visitor("pid", owner.pid);
    visitor("boot_id", owner.boot_id);
    visitor("program", owner.program);
    visitor("user", owner.user);
    visitor("reason", owner.reason);
    visitor("version", owner.version);
    visitor("started_ms", owner.started_at_ms);
  }
};

template <>
struct Table<base::LeaseRow> {
  static constexpr const char* kName = "lease";
  template <class V, class R>
  static void visit(V& visitor, R& row) {
    visitor("lease", row.id);
    visitor("client", row.client);
    visitor("ttl_ms", row.ttl_ms);
    visitor("lock_delay_ms", row.lock_delay_ms);
    visitor("secret", Blob{row.secret});
    visitor("opened_ms", row.opened_wall_ms);
    visitor("left_ms", row.left_ms);
    visitor("former", row.former);
    visitor("drop_on_disconnect", row.drop_on_disconnect);
    visitor.owner(row.owner);
  }
};

template <>
struct Table<base::LockRow> {
  static constexpr const char* kName = "lock";
  template <class V, class R>
  static void visit(V& visitor, R& row) {
    visitor("name", row.name);
    visitor("revision", row.revision);
    visitor("kind", row.kind);
    visitor("capacity", row.capacity);
    visitor("delay_until_ms", row.delay_until_ms);
    visitor("delay_blocks", row.delay_blocks);
    visitor("delay_permits", row.delay_permits);
  }
};

template <>
struct Table<base::HoldRow> {
  static constexpr const char* kName = "hold";
  template <class V, class R>
  static void visit(V& visitor, R& row) {
    visitor("token", row.token);
    visitor("lock", row.lock);
    visitor("lease", row.lease);
    visitor("holder", row.holder);
    visitor("agent", row.agent);
    visitor("mode", row.mode);
    visitor("permits", row.permits);
    visitor("acquired_ms", row.acquired_wall_ms);
    visitor("acquired_cell_ms", row.acquired_cell_ms);
    visitor("number", row.number);
    visitor("reason", row.reason);
    visitor("value", Blob{row.value});
  }
};

template <>
struct Table<base::WaiterRow> {
  static constexpr const char* kName = "waiter";
  template <class V, class R>
  static void visit(V& visitor, R& row) {
    visitor("queued", row.queued);
    visitor("lock", row.lock);
    visitor("lease", row.lease);
    visitor("holder", row.holder);
    visitor("agent", row.agent);
    visitor("mode", row.mode);
    visitor("permits", row.permits);
    visitor("since_ms", row.since_wall_ms);
    visitor("since_cell_ms", row.since_cell_ms);
    visitor("client", row.client);
    visitor("number", row.number);
    visitor("reason", row.reason);
    visitor("converts", row.converts);
    visitor("value", Blob{row.value});
  }
};

template <>
struct Table<base::ClientRow> {
  static constexpr const char* kName = "client";
  template <class V, class R>
  static void visit(V& visitor, R& row) {
    visitor("client", row.id);
    visitor("lowest_unanswered", row.lowest_unanswered);
    visitor("acked", AckedRanges{row.acked});
    visitor("last_use_cell_ms", row.last_use_cell_ms);
    visitor("ttl_ms", row.ttl_ms);
  }
};

// Who made events. Kept beside them once: a million events have few owners.
struct EventOwnerRow {
  uint64_t id = 0;            // base::hash_of(), never 0
  base::Revision last_event;  // the newest that names it: it goes with that one
  std::shared_ptr<const base::Owner> owner;
};

template <>
struct Table<EventOwnerRow> {
  static constexpr const char* kName = "event_owner";
  template <class V, class R>
  static void visit(V& visitor, R& row) {
    visitor("owner", row.id);
    visitor("last_event", row.last_event);
    visitor.owner(row.owner);
  }
};

// An event as it is in the table: its owner and its cause are kept elsewhere.
struct StoredEvent {
  base::EventRow row;
  uint64_t owner = 0;  // of table event_owner; 0: nobody
  std::string cause;
};

template <>
struct Table<StoredEvent> {
  static constexpr const char* kName = "event";
  template <class V, class R>
  static void visit(V& visitor, R& event) {
    visitor("revision", event.row.revision);
    visitor("type", event.row.type);
    visitor("name", event.row.name);
    visitor("token", event.row.token);
    visitor("lease", event.row.lease);
    visitor("owner", event.owner);
    visitor("cause", event.cause);
    visitor("mode", event.row.mode);
    visitor("permits", event.row.permits);
    visitor("waited_ms", event.row.waited_ms);
    visitor("held_ms", event.row.held_ms);
    visitor("note", event.row.note);
    visitor("value", Blob{event.row.value});
    visitor("at_ms", event.row.at_wall_ms);
    visitor("cell_ms", event.row.at_cell_ms);
  }
};

template <>
struct Table<base::AnswerRow> {
  static constexpr const char* kName = "answer";
  template <class V, class R>
  static void visit(V& visitor, R& row) {
    visitor("client", row.key.client);
    visitor("number", row.key.number);
    visitor("answer", Blob{row.answer});
  }
};

// A member of the cell, or a former one, whose id is all that is kept. Empty: as founded.
struct MemberRow {
  base::Member member;
  std::string role;
};
inline constexpr const char* kVoter = "voter";
inline constexpr const char* kLearner = "learner";
inline constexpr const char* kRemoved = "removed";

template <>
struct Table<MemberRow> {
  static constexpr const char* kName = "member";
  template <class V, class R>
  static void visit(V& visitor, R& row) {
    visitor("node", row.member.id);
    visitor("incarnation", row.member.incarnation);
    visitor("address", row.member.address);
    visitor("role", row.role);
  }
};

template <>
struct Table<base::KeyRow> {
  static constexpr const char* kName = "key";
  template <class V, class R>
  static void visit(V& visitor, R& row) {
    visitor("key", row.key);
    visitor("value", Blob{row.value});
    visitor("create_revision", row.create);
    visitor("revision", row.revision);
    visitor("version", row.version);
    visitor("lease", row.lease);
  }
};

template <>
struct Table<base::SequenceRow> {
  static constexpr const char* kName = "sequence";
  template <class V, class R>
  static void visit(V& visitor, R& row) {
    visitor("prefix", row.prefix);
    visitor("last", row.last);
    visitor("revision", row.revision);
  }
};

template <>
struct Table<base::PolicyRow> {
  static constexpr const char* kName = "policy";
  template <class V, class R>
  static void visit(V& visitor, R& row) {
    visitor("kind", row.key.kind);
    visitor("name", row.key.name);
    visitor("leases", row.limits.leases);
    visitor("locks", row.limits.locks);
    visitor("waiters", row.limits.waiters);
    visitor("bytes", row.limits.bytes);
    visitor("reason", row.reason);
    visitor("by", row.by);
    visitor("since_ms", row.since_wall_ms);
  }
};

}  // namespace holdfast::store
