// Limits of connections and peer links (DESIGN 2.10). Those of requests are in
// lockcore/base/limits.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lockcore/base/limits.h"

namespace holdfast::rpc {

// What an RPC message adds to the structs inside it: its own envelope, pointers, padding.
constexpr size_t kEnvelopeBytes = 64 * 1024;

// One message as it lies on the wire. A stranger's message may be as large as a client's request;
// a connection may send what peers send once its hello was admitted.
constexpr size_t kMaxStrangerFrameBytes = base::kMaxMessageBytes + kEnvelopeBytes;
constexpr size_t kMaxPeerFrameBytes = base::kMaxPeerMessageBytes + kEnvelopeBytes;
// Reading a struct twice counts twice, so this is larger than a frame.
constexpr size_t kTraversalBytes = 4 * kMaxPeerFrameBytes;
constexpr int kNestingLimit = 32;

// Calls of one connection that are not answered yet, in bytes of their messages. When it is reached
// nothing more is read from that connection, renewals included: it must be far above what a client
// with many waiting acquires needs (about 250 bytes each).
constexpr size_t kMaxUnansweredCallBytes = 16 * 1024 * 1024;
// Calls of one connection whose Finish has not come, whether they wait or were answered. Whoever
// has more is hung up on.
constexpr size_t kMaxOpenCalls = 16'384;

// Bytes read ahead of what was asked for, and read at once.
constexpr size_t kReadAheadBytes = 64 * 1024;
// Below this many queued bytes a write counts as done at once; above it, when they have gone. A
// server reads no further request from a connection with more, until it has read its answers.
constexpr size_t kWriteWatermarkBytes = 256 * 1024;
// A connection with more queued bytes than this doesn't read, and is closed.
constexpr size_t kMaxQueuedBytes = 8 * 1024 * 1024;

// A daemon that is busy looks so long for the next event before it sleeps. Most waits of a commit
// (a disk's fsync, a peer's answer) are shorter.
constexpr int64_t kDefaultBusyPollUs = 1000;

// Connections of one process, and how long one may stay silent before its first message.
constexpr size_t kMaxConnections = 20'000;
// Above them, so many more are let in for long enough to say that they are a peer: clients that
// fill all places must not part the cell's nodes.
constexpr size_t kPlacesForPeers = 64;
constexpr int64_t kPeersOnlyTimeoutMs = 1'000;
constexpr int64_t kFirstMessageTimeoutMs = 10'000;
// Connections accepted in one turn of the loop: the others' turn comes in between.
constexpr int kAcceptsPerTurn = 64;
constexpr int64_t kAcceptPauseMs = 200;  // after running out of descriptors

// A silent host of a client is noticed within about a minute, of a peer within a few seconds.
constexpr int kClientKeepaliveIdleS = 30;
constexpr int kClientKeepaliveIntervalS = 10;
constexpr int kPeerKeepaliveIdleS = 1;
constexpr int kPeerKeepaliveIntervalS = 1;
constexpr int kKeepaliveProbes = 3;
constexpr int kClientUserTimeoutMs = 60'000;
constexpr int kPeerUserTimeoutMs = 4'000;

// Links to peers: what may be in flight to one peer; beyond it messages are dropped and counted.
constexpr size_t kMaxDeliveriesInFlight = 64;
constexpr size_t kMaxDeliveryBytesInFlight = 8 * 1024 * 1024;
// The receiver answers deliveries by the group: each answer would wake a process for nothing.
constexpr size_t kDeliveriesPerAnswer = 16;
constexpr size_t kDeliveryBytesPerAnswer = 1024 * 1024;
constexpr unsigned kMaxMessagesPerDelivery = 4096;
constexpr int64_t kDialTimeoutMs = 2'000;
constexpr int64_t kHelloTimeoutMs = 5'000;
constexpr int64_t kMinRedialMs = 20;
constexpr int64_t kMaxRedialMs = 1'000;
// Each text of a hello or a refusal: far above what the longest list of a cell takes.
constexpr size_t kMaxHelloTextBytes = 16 * 1024;

static_assert(kMaxStrangerFrameBytes < kMaxPeerFrameBytes);
static_assert(kMaxPeerFrameBytes <= kMaxQueuedBytes, "one message must fit the queue");
static_assert(kMaxPeerFrameBytes <= kMaxDeliveryBytesInFlight);
// What is left unanswered never fills the sender's window.
static_assert(kDeliveriesPerAnswer <= kMaxDeliveriesInFlight / 2);
static_assert(kDeliveryBytesPerAnswer + kMaxPeerFrameBytes <= kMaxDeliveryBytesInFlight);
static_assert(kWriteWatermarkBytes < kMaxQueuedBytes);

}  // namespace holdfast::rpc
