#include "lockcore/paxos/snapshot.h"

#include <algorithm>
#include <utility>

#include "lockcore/base/assert.h"
#include "lockcore/base/mutant.h"
#include "lockcore/paxos/election.h"

namespace holdfast::paxos::snapshot {

namespace {

constexpr int64_t kRetryHeartbeats = 8;     // a part may need a read from a busy disk
constexpr int64_t kPatienceElections = 10;  // without any progress, on either side

// The parts that are stored are of no use any more.
void forget(ReplicaState& s) {
  SnapshotState& c = s.snapshot;
  const base::Slot installed = c.installed;
  const base::NodeId refused = c.refused;
  std::vector<SnapshotState::Sending> sending = std::move(c.sending);
  c = {};
  c.installed = installed;
  c.refused = refused;
  c.sending = std::move(sending);
}

// Begins anew with the same source, which no longer has the snapshot that we were getting.
void begin_anew(ReplicaState& s, base::Instant now) {
  const base::NodeId source = s.snapshot.source;
  const base::Instant give_up_at = s.snapshot.give_up_at;
  forget(s);
  s.snapshot.source = source;
  s.snapshot.give_up_at = give_up_at;
  s.snapshot.retry_at = now + s.options.heartbeat * kRetryHeartbeats;
}

void got_on(ReplicaState& s, base::Instant now) {
  s.snapshot.retry_at = now + s.options.heartbeat * kRetryHeartbeats;
  s.snapshot.give_up_at = now + s.options.election * kPatienceElections;
}

bool plausible(const base::SnapshotPart& part) {
  return part.slot && part.slot.value < kMaxCounter && part.bytes != nullptr &&
         !part.bytes->empty() && part.bytes->size() <= base::kSnapshotPartBytes &&
         part.total_bytes <= base::kMaxSnapshotBytes && part.offset < part.total_bytes &&
         part.end() <= part.total_bytes;
}

// The disk of a node whose snapshot was damaged will give the same again: another one is asked, if
// there is one. What it has may be older, and is as good if the log goes on from there.
const Peer& instead_of_refused(const ReplicaState& s, const Peer& source) {
  if (source.id != s.snapshot.refused) return source;
  for (const Peer& peer : s.peers) {
    if (peer.connected && peer.id != source.id) return peer;
  }
  return source;
}

std::string snapshot_text(const SnapshotState& c) {
  return "snapshot of slot " + std::to_string(c.slot.value) + " from node " +
         std::to_string(c.source.value);
}

// The first part says what it is a part of. False: it is of no use to us.
bool begin(ReplicaState& s, const base::SnapshotPart& part, Effects& fx) {
  SnapshotState& c = s.snapshot;
  if (part.offset != 0) return false;
  if (part.slot <= s.chosen_upto) {
    forget(s);  // we know more by now: the log is enough
    return false;
  }
  c.id = part.id;
  c.slot = part.slot;
  c.total_bytes = part.total_bytes;
  c.asked = part.end();
  s.tell(Notice::Level::kInfo,
         "receives a " + snapshot_text(c) + ": " + std::to_string(c.total_bytes) + " bytes", fx);
  return true;
}

SnapshotState::Sending& sending_to(ReplicaState& s, base::NodeId peer) {
  for (SnapshotState::Sending& sending : s.snapshot.sending) {
    if (sending.peer == peer) return sending;
  }
  // Which slot it will be of isn't known before the first part is read.
  const base::Slot behind{s.first_retained.value - 1};
  s.snapshot.sending.push_back({peer, behind, {}, 0});
  return s.snapshot.sending.back();
}

}  // namespace

bool under_way(const ReplicaState& s) {
  return static_cast<bool>(s.snapshot.source);
}

void want(ReplicaState& s, const Peer& source, base::Instant now, Effects& fx) {
  if (under_way(s)) return;
  forget(s);
  const Peer& asked = instead_of_refused(s, source);
  s.snapshot.source = asked.id;
  got_on(s, now);
  s.tell(Notice::Level::kWarning,
         "lags behind: slots from " + std::to_string(s.chosen_upto.next().value) +
             " on are no longer in the log of " + node_text(source.id, source.address) + "; asks " +
             node_text(asked.id, asked.address) + " for a snapshot",
         fx);
}

// -- the receiver ---------------------------------------------------------------------------------

void on_reply(ReplicaState& s, Peer& from, SnapshotReply message, base::Instant now, Effects& fx) {
  SnapshotState& c = s.snapshot;
  base::SnapshotPart& part = message.part;
  if (c.source != from.id || c.checking || message.asked != c.id) return;
  if (part.id == 0) {
    if (c.id != 0) begin_anew(s, now);
    return;  // else it has none at the moment: the timer asks again
  }
  if (!plausible(part)) return;
  // P11: what a wire or a memory damaged is asked for again. That the source's file is whole is
  // checked when all of it is here.
  if (base::checksum_of(part) != part.checksum && !HF_MUTANT(snapshot_part_unchecked)) {
    s.tell(Notice::Level::kError, "a part of a " + snapshot_text(c) + " came damaged", fx);
    return;
  }
  if (c.id == 0 && !begin(s, part, fx)) return;
  if (part.id != c.id || part.slot != c.slot || part.total_bytes != c.total_bytes) return;
  if (part.offset != c.received) {  // one before it was lost, or is late: the timer asks from there
    if (part.offset > c.received) c.retry_at = std::min(c.retry_at, now + s.options.heartbeat);
    return;
  }
  c.received = part.end();
  got_on(s, now);
  fx.snapshot_writes.push_back(std::move(part));
}

void on_stored(ReplicaState& s, base::SnapshotId id, uint64_t upto, base::Instant now,
               Effects& fx) {
  SnapshotState& c = s.snapshot;
  // What an earlier attempt stored may be told now: writes and the check are done in order.
  if (id != c.id || c.id == 0 || c.checking || upto > c.received) return;
  c.stored = std::max(c.stored, upto);
  got_on(s, now);
  if (c.stored < c.total_bytes) return;
  c.checking = true;
  fx.snapshot_check = SnapshotCheck{c.id, c.slot};
}

void on_refused(ReplicaState& s, base::SnapshotId id, const std::string& why, Effects& fx) {
  if (id != s.snapshot.id || !s.snapshot.checking) return;
  s.tell(Notice::Level::kError, "a " + snapshot_text(s.snapshot) + " can't be used: " + why, fx);
  s.snapshot.refused = s.snapshot.source;
  forget(s);
}

bool install(ReplicaState& s, base::SnapshotId id, const std::string& state_file) {
  SnapshotState& c = s.snapshot;
  if (id != c.id || !c.checking) return false;
  if (c.slot <= s.applied) {
    forget(s);  // others still had the log
    return false;
  }
  base::LogWrite& write = s.gate.open();
  write.state_file = state_file;
  // Not back: a node that mends may have trimmed what this snapshot is too old for (P11).
  s.first_retained = std::max(s.first_retained, c.slot.next());
  if (!HF_MUTANT(install_keeps_rows)) write.first_retained = s.first_retained;
  c.install = write.id;
  return true;
}

void on_written(ReplicaState& s, base::Instant now, Effects& fx) {
  SnapshotState& c = s.snapshot;
  if (!c.install || !s.gate.is_durable(c.install)) return;
  // A node that lags this much leads only by accident: of nothing that counts, in its ballot.
  if (s.role != Role::kFollower) election::step_down(s, "a snapshot takes its place", now, fx);
  HF_ASSERT(s.handed_upto == s.applied && s.applied < c.slot);
  s.log.drop_through(HF_MUTANT(install_forgets_rows) ? s.log.last() : c.slot);
  if (HF_MUTANT(install_forgets_promise)) s.promised = {};
  s.chosen_upto = std::max(s.chosen_upto, c.slot);
  s.durable_upto = std::max(s.durable_upto, c.slot);
  s.handed_upto = s.applied = s.recorded = c.slot;
  s.trim.sizes.clear();
  s.trim.counted_upto = c.slot;
  c.installed = c.slot;
  c.refused = {};
  s.tell(Notice::Level::kInfo, "installed a " + snapshot_text(c), fx);
  forget(s);
  s.advance_chosen();
}

void on_tick(ReplicaState& s, base::Instant now, Effects& fx) {
  SnapshotState& c = s.snapshot;
  std::erase_if(c.sending, [&](const auto& sending) { return now >= sending.until; });
  if (!under_way(s) || c.checking) return;
  if (now >= c.give_up_at) {
    s.tell(Notice::Level::kWarning, "gives up a " + snapshot_text(c) + ": nothing came for long",
           fx);
    forget(s);
  } else if (now >= c.retry_at) {
    c.asked = c.received;
    c.retry_at = now + s.options.heartbeat * kRetryHeartbeats;
  }
}

void finish_turn(ReplicaState& s, base::Instant now, Effects& fx) {
  SnapshotState& c = s.snapshot;
  if (!under_way(s) || c.checking) return;
  if (c.id != 0 && c.slot <= s.chosen_upto) return forget(s);  // others still had the log
  const Peer* source = s.find_peer(c.source);
  if (source == nullptr) return forget(s);
  if (!source->connected) return;
  if (c.id == 0) {
    if (c.asked != 0) return;
    c.asked = s.options.snapshot_part_bytes;
    c.retry_at = now + s.options.heartbeat * kRetryHeartbeats;
    return s.send(c.source, SnapshotFetch{0, 0, c.asked}, fx);
  }
  const uint64_t window = s.options.snapshot_part_bytes * base::kSnapshotPartsInFlight;
  while (c.asked < c.total_bytes && c.asked < c.stored + window) {
    s.send(c.source, SnapshotFetch{c.id, c.asked, s.options.snapshot_part_bytes}, fx);
    c.asked = std::min(c.asked + s.options.snapshot_part_bytes, c.total_bytes);
  }
}

base::Instant next_tick(const ReplicaState& s) {
  base::Instant next = base::kNever;
  for (const auto& sending : s.snapshot.sending) next = std::min(next, sending.until);
  if (!under_way(s) || s.snapshot.checking) return next;
  return std::min({next, s.snapshot.retry_at, s.snapshot.give_up_at});
}

// -- the sender -----------------------------------------------------------------------------------

void on_fetch(ReplicaState& s, Peer& from, const SnapshotFetch& message, base::Instant now,
              Effects& fx) {
  if (message.offset >= base::kMaxSnapshotBytes || message.max_bytes == 0) return;
  SnapshotState::Sending& sending = sending_to(s, from.id);
  sending.until = now + s.options.election * kPatienceElections;
  if (sending.reads >= base::kSnapshotPartsInFlight) return;  // it asks again
  ++sending.reads;
  const size_t bytes = std::min<uint64_t>(message.max_bytes, base::kSnapshotPartBytes);
  fx.snapshot_reads.push_back({from.id, message.id, message.offset, bytes});
}

void on_read(ReplicaState& s, base::NodeId peer, base::SnapshotId asked, base::SnapshotPart part,
             base::Instant now, Effects& fx) {
  for (SnapshotState::Sending& sending : s.snapshot.sending) {
    if (sending.peer != peer) continue;
    sending.reads -= std::min<size_t>(sending.reads, 1);
    sending.until = now + s.options.election * kPatienceElections;
    if (part.id != 0) sending.slot = part.slot;
  }
  s.send(peer, SnapshotReply{asked, std::move(part)}, fx);
}

base::Slot first_needed(const ReplicaState& s) {
  base::Slot first = base::Slot{kMaxCounter};
  for (const auto& sending : s.snapshot.sending) first = std::min(first, sending.slot.next());
  return first;
}

}  // namespace holdfast::paxos::snapshot
