// All that a Node wants done, gathered over one turn of its driver's loop (DESIGN 4).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lockcore/base/error.h"
#include "lockcore/base/state_rows.h"
#include "lockcore/locks/command.h"
#include "lockcore/node/admin.h"
#include "lockcore/paxos/replica.h"

namespace holdfast::node {

// Names one waiting call of the driver. Never reused within a process.
using ClientRef = uint64_t;

// Renewals of any number of leases at once.
struct RenewRequest {
  std::vector<base::LeaseId> leases;
  base::ClientId client;  // whose leases they are; 0: it isn't said
  uint64_t via = 0;       // the connection on which it came, for on_disconnected(); 0: none
};

struct CommandReply {
  ClientRef ref = 0;
  locks::Answer answer;
};

// The answer to one lease of a renewal call: kAlive, or why not.
enum class Renewal : uint8_t { kAlive, kNotFound };
struct RenewReply {
  ClientRef ref = 0;
  std::vector<Renewal> leases;       // in the order asked
  std::optional<base::Error> error;  // notLeader and the like: nothing was renewed
};

// The driver may now read the LockTable for this call, or answer the error.
struct ReadReply {
  ClientRef ref = 0;
  std::optional<base::Error> error;
};

// The answer to an operator's request. `leader` and `config` as of now, unless there is an error.
struct AdminReply {
  ClientRef ref = 0;
  std::optional<base::Error> error;
  base::NodeId leader;
  base::Config config;
};

struct Effects {
  paxos::Effects paxos;  // messages, writes to log.db, reads of it, notices
  std::vector<CommandReply> replies;
  std::vector<RenewReply> renewals;
  std::vector<ReadReply> reads;
  std::vector<AdminReply> admin;
  std::optional<base::StateWrite> record;  // one transaction of state.db; on_recorded() answers
  // `record` goes through this slot exactly, on every node: its digest is to be compared.
  std::optional<base::Slot> compare;
  // log.db names this file the current state file, durably: what is recorded from now on goes
  // there, and the one before it is of no use any more.
  std::optional<std::string> state_file;
  bool became_active = false;  // leads, and its NewLeader is applied
  bool stepped_down = false;
  void clear();
};

}  // namespace holdfast::node
