// What one seed is about: how many nodes and clients, which faults, how hard (swarm testing).
#pragma once

#include <cstdint>
#include <string>

#include "lockcore/base/random.h"

namespace holdfast::sim {

struct Options {
  uint64_t seed = 1;
  uint32_t nodes = 3;
  uint32_t clients = 6;
  uint32_t locks = 3;
  int64_t run_ms = 30'000;    // with faults
  int64_t quiet_ms = 30'000;  // without: everything pending must be answered in it

  // Of the nodes.
  int64_t heartbeat_ms = 50;
  int64_t election_ms = 500;
  int64_t rest_delay_ms = 5;

  // Network. Probabilities are per message.
  double loss = 0;
  double duplication = 0;
  int64_t min_delay_us = 50;
  int64_t max_delay_us = 2'000;
  double long_delay = 0;  // the chance of a delay of up to long_delay_ms
  int64_t long_delay_ms = 800;

  // Mean times between faults, per cell; 0: never.
  int64_t crash_every_ms = 0;
  int64_t partition_every_ms = 0;
  int64_t pause_every_ms = 0;
  int64_t cut_every_ms = 0;  // a connection breaks

  // Disk.
  int64_t min_fsync_us = 50;
  int64_t max_fsync_us = 1'000;
  double fsync_stall = 0;  // the chance of a stall of up to 2 s

  // Clients.
  int64_t ttl_ms = 2'000;
  int64_t think_ms = 20;
  double shared = 0.3;
  double try_only = 0.2;
  double vanish = 0.02;        // after a grant: stops for good, comes back as somebody else
  double cancel = 0.1;         // gives up a wait
  double close = 0.05;         // after a release: closes its lease and opens another
  double read = 0.2;           // between two locks: a linearizable read
  double stubborn = 0.3;       // of the clients: go on renewing past their own deadline
  int64_t renew_percent = 33;  // of the TTL between two renewals
};

// Draws a mix from the seed.
Options draw_options(uint64_t seed);
std::string describe(const Options& options);

}  // namespace holdfast::sim
