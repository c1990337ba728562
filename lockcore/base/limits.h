// Every limit of the system, in one place, with the relations between them (DESIGN 2.10).
#pragma once

#include <cstddef>
#include <cstdint>

namespace holdfast::base {

// Names, values, requests (INTERFACES 2).
constexpr size_t kMaxNameBytes = 512;
constexpr size_t kMaxValueBytes = 64 * 1024;
constexpr size_t kMaxMessageBytes = 1024 * 1024;
constexpr size_t kMaxReasonBytes = 1024;
constexpr size_t kMaxOwnerFieldBytes = 256;
constexpr size_t kSecretBytes = 16;
constexpr size_t kMaxLocksPerAcquire = 64;
constexpr size_t kMaxWaitersPerLock = 100'000;
constexpr size_t kMaxCycleSteps = 32;  // of a deadlock that are told
// Claims looked at to see whether a semaphore could still be served. Beyond it a request may wait.
constexpr uint64_t kMaxReductionSteps = 1'000'000;
constexpr size_t kMaxListedRows = 1'000;  // rows of one page of a list request

// Keys (INTERFACES 2).
constexpr size_t kMaxTxnOps = 128;                 // compares and both branches together
constexpr size_t kMaxTxnBytes = 512 * 1024;        // keys, values and operands of a transaction
constexpr size_t kMaxTxnAnswerBytes = 512 * 1024;  // keys and values that it reads
constexpr size_t kMaxKeys = 1'000'000;
constexpr size_t kMaxKeyBytes = 256 * 1024 * 1024;  // names and values of all keys together
constexpr size_t kSequenceDigits = 10;
constexpr uint64_t kMaxSequence = 9'999'999'999;
// Prefixes whose sequential names are counted apart; the one that was used longest ago goes first.
constexpr size_t kMaxSequences = 100'000;

// Leases.
constexpr uint64_t kMinLeaseTtlMs = 500;
constexpr uint64_t kMaxLeaseTtlMs = 24ull * 3600 * 1000;
constexpr uint64_t kDefaultLeaseTtlMs = 10'000;
// A lease that ends with its client's connection lives so long after it, or as its ttl says if that
// is less: time to come back on another one. Its client counts on no more from any renewal on.
constexpr uint64_t kDisconnectGraceMs = 1'500;
constexpr uint64_t kMaxLockDelayMs = 60'000;
constexpr size_t kMaxLeases = 4'000'000;
constexpr size_t kMaxHoldsPerLease = 1'000'000;
constexpr size_t kMaxHolds = 4'000'000;  // of all leases together, waits included
constexpr size_t kMaxRenewalsPerCall = 10'000;
constexpr size_t kMaxExpirationsPerCommand = 5'000;
// ε: by how much the rate of any clock may be off (DESIGN 2.3), in parts per thousand.
constexpr int64_t kDriftPerMille = 10;

// Exactly once (DESIGN 7a).
constexpr size_t kMaxAnswersPerClient = 1024;
constexpr size_t kMaxAckRangesPerClient = 1024;
constexpr uint64_t kClientTtlMs = 3600ull * 1000;
constexpr size_t kMaxClients = 2'000'000;
constexpr size_t kMaxAnswers = 8'000'000;  // of all clients together, pending ones included
// Keys and values in answers to transactions.
constexpr size_t kMaxAnswerBytesPerClient = 8 * 1024 * 1024;
constexpr size_t kMaxAnswerBytes = 256 * 1024 * 1024;  // of all clients together

// The log and its batches.
constexpr size_t kMaxBatchBytes = 512 * 1024;
constexpr size_t kMaxBatchCommands = 4096;
constexpr size_t kMaxSlotsInFlight = 256;    // proposed, not yet chosen
constexpr size_t kMaxUnappliedSlots = 8192;  // accepted or chosen above the applied slot, in memory
constexpr size_t kMaxHeldAnswers = 1024;     // accepts whose answer waits for a follower's own disk
constexpr size_t kLogCacheBytes = 4 * 1024 * 1024;  // applied entries kept in memory for laggards
constexpr size_t kMaxPeerMessageBytes = 4 * 1024 * 1024;
constexpr size_t kMaxFetchBytes = 1024 * 1024;  // one answer to a catch-up request
constexpr size_t kMaxPendingCommands = 65'536;  // queued or proposed on the leader, not yet applied
constexpr size_t kMaxPendingReads = 65'536;     // renewals and reads that wait for a confirm round
// Events not yet in state.db, and their texts and values: apply pauses above.
constexpr size_t kMaxUnrecordedEvents = 200'000;
constexpr size_t kMaxUnrecordedEventBytes = 64 * 1024 * 1024;

// Trimming (DESIGN 8). Rows behind the recorded slot are kept within both of these, so that a node
// that was away for a moment catches up from the log.
constexpr uint64_t kDefaultLogSlots = 100'000;
constexpr uint64_t kDefaultLogBytes = 64 * 1024 * 1024;
constexpr uint64_t kMinLogSlots = 1'000;
constexpr uint64_t kMinLogBytes = 1024 * 1024;
// Times as much is kept while a live follower needs it, or a snapshot is under way.
constexpr uint64_t kLogForFollowers = 4;
// Rows go by the piece: so many slots or bytes; and so many pieces with one write.
constexpr uint64_t kLogPieceSlots = 64;
constexpr uint64_t kLogPieceBytes = 256 * 1024;
constexpr size_t kMaxTrimmedPieces = 8;

// Snapshots. A part is read, sent and written at once; so many are under way to one follower.
constexpr size_t kSnapshotPartBytes = 128 * 1024;
constexpr size_t kSnapshotPartsInFlight = 4;
constexpr uint64_t kMaxSnapshotBytes = uint64_t{1} << 40;
// Of state.db while a snapshot of it is read, which keeps its WAL from being copied back. Beyond it
// the snapshot is given up, and whoever reads it begins with a newer one.
constexpr uint64_t kMaxSnapshotWalBytes = 512 * 1024 * 1024;

// Between two looks at every page and row of the databases, for damage that nobody has read yet.
constexpr int64_t kDefaultScrubIntervalMs = 6 * 3600 * 1000;
// Members of a cell. Five voters and one that is being replaced; the rest are learners.
constexpr size_t kMaxCellVoters = 7;
constexpr size_t kMaxMembers = 32;
constexpr size_t kMaxRemovedMembers = 4096;  // whose ids are never used again
constexpr size_t kMaxAddressBytes = 300;
// A learner that lags by more slots isn't caught up: neither promoted, nor led to. Under load it
// hears of what is chosen at the heartbeats, so a few hundred slots late.
constexpr uint64_t kMaxPromotionLag = 1000;

// History (INTERFACES 2).
constexpr uint64_t kMaxHistoryEvents = 1'000'000;
constexpr uint64_t kMaxHistoryBytes = 1024ull * 1024 * 1024;  // of names, notes and values
constexpr uint64_t kMaxHistoryAgeMs = 7ull * 24 * 3600 * 1000;
// Events kept in memory for watchers after state.db has them. Who is further behind reads state.db.
constexpr size_t kEventRing = 16'384;
constexpr size_t kEventRingBytes = 16 * 1024 * 1024;

// Policies: drains and quotas together.
constexpr size_t kMaxPolicies = 256;

// Checkpoints of leases (DESIGN 6).
constexpr uint64_t kMinCheckpointTtlMs = 60'000;  // of shorter ones none are made
constexpr uint64_t kMaxCheckpointStepMs = 60'000;
constexpr uint64_t kCheckpointStepsPerTtl = 4;
constexpr size_t kMaxCheckpointsPerCommand = 5'000;

// Elections.
constexpr int64_t kDefaultHeartbeatMs = 50;
constexpr int64_t kDefaultElectionMs = 500;

static_assert(kMaxBatchBytes < kMaxPeerMessageBytes);
static_assert(kMaxMessageBytes < kMaxPeerMessageBytes);
static_assert(kMaxTxnBytes <= kMaxMessageBytes / 2);  // with what a message takes around them
static_assert(kMaxTxnAnswerBytes <= kMaxMessageBytes / 2);
static_assert(kMaxTxnAnswerBytes <= kMaxAnswerBytesPerClient);
static_assert(kMaxValueBytes < kMaxTxnBytes);
static_assert(kMaxSlotsInFlight <= kMaxUnappliedSlots);
static_assert(kSnapshotPartBytes * kSnapshotPartsInFlight < kMaxPeerMessageBytes);
static_assert(kLogPieceBytes * 4 <= kMinLogBytes && kLogPieceSlots * 4 <= kMinLogSlots);
static_assert(kMaxHoldsPerLease <= kMaxHolds);
static_assert(kMaxHolds <= kMaxAnswers);  // every wait has a pending answer
static_assert(kMaxSlotsInFlight <= kMaxHeldAnswers);
static_assert(kDefaultHeartbeatMs * 4 <= kDefaultElectionMs);
// A client's deadline (1 - 2ε, by a clock up to 1 + ε slow) ends before the cell's (1 - ε fast):
// (1 - 2ε)(1 + ε) < 1 - ε, in exact integer arithmetic.
static_assert((1000 - 2 * kDriftPerMille) * (1000 + kDriftPerMille) <
              (1000 - kDriftPerMille) * 1000);

}  // namespace holdfast::base
