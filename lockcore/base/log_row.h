// What a node keeps in log.db: entries, the promise, who founded the cell, what is known of peers.
// Plain data that paxos/ produces and store/ writes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lockcore/base/ballot.h"
#include "lockcore/base/config.h"
#include "lockcore/base/ids.h"

namespace holdfast::base {

enum class EntryKind : uint8_t {
  kNoOp = 0,       // fills a gap; no value
  kNewLeader = 1,  // the first entry of a ballot; value: a batch with one NewLeader command
  kCommands = 2,   // value: a batch of commands
  kReconfigure =
      3,  // value: a batch with one Reconfigure command; nothing is proposed behind it (P9)
};

// One slot's accepted value, with the ballot in which it was accepted: never any other ballot.
struct Entry {
  Slot slot;
  Ballot ballot;
  EntryKind kind = EntryKind::kNoOp;
  std::shared_ptr<const std::string> value;  // never null; empty for kNoOp

  size_t bytes() const { return value->size() + 32; }
};

// Covers slot, ballot, kind and value. Checked after every read and before every send (P11).
uint64_t entry_checksum(const Entry& entry);

enum class FoundingState : uint8_t {
  kEmpty = 0,     // knows of no cell
  kProposed = 1,  // has the founding record durably; may not promise anything yet
  kFounded = 2,   // every voter has the record durably
};

// What this node durably knows of a peer's life: refuses a disk that was put back (P10).
struct PeerMark {
  NodeId node;
  uint64_t start_count = 0;
  uint64_t process_nonce = 0;  // random per process start
  Ballot promised;             // as told at the last accepted hello
  Slot highest_accepted;

  bool operator==(const PeerMark&) const = default;
};

// One atomic write to log.db. Everything in it becomes durable in one transaction, and writes
// become durable in the order of their ids (P2).
struct LogWrite {
  WriteId id;
  std::optional<Ballot> promised;
  std::vector<Entry> entries;    // replace what stands at their slots
  std::optional<Config> config;  // the founding record, or what a learner was given when it joined
  std::optional<FoundingState> founding;
  std::vector<PeerMark> peers;           // replace what stands for these nodes
  std::optional<std::string> disk_lost;  // why this directory may never vote again (P10)
  // Rows below it go, whatever `entries` says of them, in this write and in every later one. Never
  // above the recorded slot + 1.
  std::optional<Slot> first_retained;
  // Installs a snapshot: the current state file is from now on this one. Rows through its slot go,
  // by *first_retained.
  std::optional<std::string> state_file;
};

// So much of the log lies in these slots: what trimming goes by.
struct LogPiece {
  Slot last;  // the slots behind the piece before, through this one
  uint64_t slots = 0;
  uint64_t bytes = 0;
};

// What log.db says at start.
struct RecoveredLog {
  NodeId self;
  Incarnation incarnation;
  uint64_t start_count = 0;  // this start included, already durable
  FoundingState founding = FoundingState::kEmpty;
  Config config;
  Ballot promised;
  Slot first_retained{1};
  std::vector<PeerMark> peers;
  std::string disk_lost;       // not empty: refuse to start, say this
  std::vector<Entry> entries;  // rows above the applied slot of state.db, by slot; gaps possible
  std::vector<Slot> damaged;   // P11: rows there that fail their checksum, by slot; not in entries
  std::string damage;          // in words what the others have to mend; empty: nothing
  Slot last_slot;              // highest row that log.db has or had, 0 if none
  std::vector<LogPiece> pieces;  // of the rows through the applied slot, by slot
};

}  // namespace holdfast::base
