// What nodes say to each other. Plain data; rpc/convert turns it into Cap'n Proto.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "lockcore/base/log_row.h"
#include "lockcore/base/snapshot.h"
#include "lockcore/base/time.h"

namespace holdfast::paxos {

// The first word on every link, in both directions (P10).
struct Hello {
  base::NodeId node;
  base::CellId cell;  // 0: founds none yet
  base::Incarnation incarnation;
  uint64_t start_count = 0;
  uint64_t process_nonce = 0;
  base::FoundingState founding = base::FoundingState::kEmpty;
  base::Ballot promised;        // durable
  base::Slot highest_accepted;  // durable
  base::ConfigVersion config_version;
  uint16_t protocol = 1;
  std::string address;  // where others reach this node
  std::string cluster;  // the --cluster list in canonical form, compared while founding
};

// Founding (P10). The proposer is the voter with the lowest id.
struct FoundPropose {
  base::Config config;
};
struct FoundAck {
  base::CellId cell;
};
struct FoundCommit {
  base::CellId cell;
};

// P7: would you promise, if I asked?
struct Probe {
  base::Ballot ballot;  // the one that it would use
};
struct ProbeReply {
  base::Ballot ballot;  // of the probe
  bool yes = false;
  base::Ballot promised;  // the answerer's, so that the next ballot is above it
};

// Phase 1 (P3).
struct Prepare {
  base::Ballot ballot;
  base::Slot from;  // the first slot not known chosen to the candidate
};
struct Promise {
  base::Ballot ballot;
  base::Slot first_retained;         // P6
  base::Slot chosen_upto;            // slots through here are fetched, not re-proposed
  std::vector<base::Entry> entries;  // accepted rows above max(from - 1, chosen_upto)
  uint32_t part = 0;                 // a promise in several messages counts when complete (P2)
  uint32_t parts = 1;
};

// Phase 2.
struct Accept {
  base::Ballot ballot;
  std::vector<base::Entry> entries;  // each with this ballot
  base::Slot chosen_upto;            // P5
  base::Confirm confirm;             // P8
};
struct Accepted {
  base::Ballot ballot;
  std::vector<base::Slot> slots;  // durable here, in this ballot
  base::Confirm confirm;          // of the very message answered
};
struct Heartbeat {
  base::Ballot ballot;
  base::Slot chosen_upto;
  base::Confirm confirm;
};
struct HeartbeatReply {
  base::Ballot ballot;
  base::Confirm confirm;   // of the very message answered
  base::Slot chosen_upto;  // what the answerer knows chosen: the leader's view of lag
  base::Slot applied;
  base::Slot recorded;
};
// Your ballot is below my promise.
struct Reject {
  base::Ballot ballot;    // refused
  base::Ballot promised;  // why
};

// The leader of `ballot` hands over: the receiver may skip the probe (P7), as long as it has
// promised nobody else anything since.
struct TakeOver {
  base::Ballot ballot;
  base::Slot chosen_upto;  // P5
};

// Catch-up: entries that the answerer knows chosen.
struct Fetch {
  base::Slot from;
  base::Slot to;  // inclusive
};
struct FetchReply {
  base::Slot from;                   // as asked
  base::Slot first_retained;         // below it only a snapshot helps
  base::Slot chosen_upto;            // of the answerer
  std::vector<base::Entry> entries;  // contiguous from `from`; may end early
};

// A snapshot, for whom the log doesn't reach back far enough. Who gets it asks for part after part,
// a few at a time: so it is never sent more than it takes in, and goes on where it was cut off.
struct SnapshotFetch {
  base::SnapshotId id = 0;  // 0: whichever the answerer can give
  uint64_t offset = 0;
  uint64_t max_bytes = 0;
};
struct SnapshotReply {
  base::SnapshotId asked = 0;
  base::SnapshotPart part;  // without an id: none is to be had now
};

// What does your clock show? (clock_watch.h)
struct ClockQuery {
  base::Instant sent;  // by the asker's clock
};
struct ClockReply {
  base::Instant asked;  // the query's `sent`
  base::Instant clock;  // the answerer's, when it took the query
};

// From which slot on may what I know be read? (read_index.h)
struct ReadIndexQuery {
  uint64_t process = 0;  // the asker's: an answer to its predecessor proves nothing
  uint64_t number = 0;
};
struct ReadIndexReply {
  base::Ballot ballot;   // in which the answerer leads
  uint64_t process = 0;  // of the very query answered
  uint64_t number = 0;
  base::Slot slot;  // known chosen (P5)
};

using Message = std::variant<FoundPropose, FoundAck, FoundCommit, Probe, ProbeReply, Prepare,
                             Promise, Accept, Accepted, Heartbeat, HeartbeatReply, Reject, TakeOver,
                             Fetch, FetchReply, SnapshotFetch, SnapshotReply, ClockQuery,
                             ClockReply, ReadIndexQuery, ReadIndexReply>;

struct Outgoing {
  base::NodeId to;
  Message message;
};

}  // namespace holdfast::paxos
