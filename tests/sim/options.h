// What one seed is about, apart from its faults: how many nodes and clients, what they do, how fast
// everything is (swarm testing).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lockcore/base/limits.h"
#include "lockcore/base/random.h"

namespace holdfast::sim {

// Nothing goes wrong for so long: every run founds its cell and grants something.
constexpr int64_t kCalmStartMs = 2'000;

struct Options {
  uint64_t seed = 1;
  int64_t nodes = 3;
  int64_t spares = 0;  // nodes that may join later, numbered after those that found the cell
  int64_t clients = 6;
  int64_t locks = 3;
  int64_t run_ms = 30'000;    // with faults
  int64_t quiet_ms = 30'000;  // without: everything pending must be answered in it

  // Of the nodes.
  int64_t heartbeat_ms = 50;
  int64_t election_ms = 500;
  int64_t rest_delay_ms = 5;

  int64_t log_slots = base::kDefaultLogSlots;
  int64_t log_bytes = base::kDefaultLogBytes;
  int64_t snapshot_part_bytes = base::kSnapshotPartBytes;

  // How often invariants and whole states are looked at, at most; 0: after every turn.
  int64_t look_ms = 0;

  // Network and disk, when nothing is wrong with them.
  int64_t min_delay_us = 50;
  int64_t max_delay_us = 2'000;
  int64_t late_ms = 800;  // a message that is late takes up to this
  int64_t min_fsync_us = 50;
  int64_t max_fsync_us = 1'000;

  // Clients. Shares are of a thousand.
  int64_t ttl_ms = 2'000;
  int64_t think_ms = 20;
  int64_t shared = 300;
  int64_t try_only = 200;
  int64_t vanish = 20;          // after a grant: stops for good, comes back as somebody else
  int64_t cancel = 100;         // gives up a wait
  int64_t close = 50;           // after a release: closes its lease and opens another
  int64_t read = 200;           // between two locks: a linearizable read
  int64_t read_anywhere = 500;  // of the reads: on whichever node
  int64_t tell = 500;           // of the commands say at once which answers came
  int64_t stubborn = 300;       // of the clients: go on renewing past their own deadline
  int64_t claims = 0;           // of what they do: modes, semaphores, conversions, keys, ...
  int64_t lock_delay = 0;       // of the leases have one
  int64_t checkpoints = 0;      // 1: of leases that go unrenewed remainders are kept
  int64_t renew_percent = 33;   // of the TTL between two renewals

  // Programs that use the library: clients as well, numbered after those that don't.
  int64_t programs = 0;
  int64_t sessions = 1;  // of each, at once
  int64_t threads = 2;   // of each; every one does one thing at a time
  int64_t request_timeout_ms = 5'000;
  int64_t timed = 300;      // of the acquires: wait with a time limit
  int64_t second = 100;     // acquires another lock while it holds one
  int64_t let_go = 300;     // of the releases: nobody waits for the answer
  int64_t hold_on = 50;     // holds for about as long as a TTL
  int64_t chore_ms = 0;     // between two closes, detaches, renewals, ... of a program; 0: never
  int64_t looks_late = 10;  // of the timers: looked at up to 30 ms later

  uint32_t voters() const { return static_cast<uint32_t>(nodes); }
  uint32_t client_count() const { return static_cast<uint32_t>(clients); }
  uint32_t program_count() const { return static_cast<uint32_t>(programs); }
};

// Draws a mix from the seed.
Options draw_options(uint64_t seed);
// "nodes=3 clients=6 ...", in the form that set_options() reads.
std::string describe(const Options& options);
// Only what is unlike `other`.
std::string describe_changes(const Options& options, const Options& other);
// Takes "nodes=5 ttl_ms=900". False: there is something else in it; `why` says what.
bool set_options(Options& options, std::string_view text, std::string& why);

inline bool chance_of(base::Random& random, int64_t per_mille) {
  return random.below(1000) < static_cast<uint64_t>(per_mille);
}

}  // namespace holdfast::sim
