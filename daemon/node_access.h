// What the services need of whoever drives the node: to put calls before it, to read what it knows.
// In the daemon this is the driver. In the fuzz targets it is one without threads, disk or clock.
#pragma once

#include <kj/async.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "daemon/calls.h"
#include "lockcore/node/node.h"
#include "lockcore/store/reader_thread.h"

namespace holdfast::rpc {
class PeerServer;
}

namespace holdfast::daemon {

class EventPolls;

// Questions to the record that may be under way on one node.
constexpr size_t kMaxRecordReads = 256;

// What is known of this node's databases, beyond that they work.
struct Verification {
  base::Slot digest_slot;  // the last barrier at which the state was digested; 0: none
  uint64_t digest = 0;     // of state.db at that slot; 0: it is damaged
  uint64_t finished = 0;   // how often all pages and rows were looked at, in this process
  std::string damage;      // what was found the last time; empty: nothing
  uint64_t damaged = 0;    // rows of the log, and records, found damaged in this process
};

class NodeAccess {
 public:
  // Names a call; exactly one of command(), renew(), read(), read_here() and
  // admin() follows.
  virtual node::ClientRef begin(Call& call) = 0;
  virtual void command(node::ClientRef ref, locks::Command command) = 0;
  virtual void renew(node::ClientRef ref, node::RenewRequest request) = 0;
  // A number for RenewRequest::via, and the end of that connection.
  uint64_t name_connection() { return ++last_connection_; }
  virtual void disconnected(uint64_t connection) = 0;
  virtual void read(node::ClientRef ref) = 0;
  virtual void read_here(node::ClientRef ref) = 0;
  virtual void admin(node::ClientRef ref, node::AdminRequest request) = 0;
  // The caller is gone. After the answer it does nothing.
  virtual void drop(node::ClientRef ref) = 0;

  // A part of a snapshot of state.db, as store/state_keeper.h has it; without an id: not to be had.
  // Of a new one: all that is applied by now, or is at `at_least`, is in it.
  virtual kj::Promise<base::SnapshotPart> read_snapshot(base::SnapshotId asked, uint64_t offset,
                                                        size_t max_bytes, base::Slot at_least) = 0;
  // Whether all this is still there: calls may outlive it, until their connections' tasks are ended
  // with the loop.
  const std::shared_ptr<const bool>& alive() const { return alive_; }

  // Node::propose_barrier().
  virtual std::variant<base::Slot, base::Error> propose_barrier() = 0;
  // Begins to look at every page and row of both databases, unless that is under way.
  virtual void verify() = 0;
  virtual Verification verification() const = 0;

  virtual const node::Node& node() const = 0;
  // The receiving end of the peers' links.
  virtual rpc::PeerServer& peer_server() = 0;
  // Puts a question to the record on disk, off the loop. `answered` is called once, at the end of a
  // turn, unless the question is forgotten before. Returns its name; 0: too many ask already, and
  // it is not called.
  virtual uint64_t ask_record(store::StateQuestion question,
                              std::function<void(store::StateAnswer&&)> answered) = 0;
  virtual void forget_record(uint64_t name) = 0;
  // Those who wait for events.
  virtual EventPolls& event_polls() = 0;
  virtual uint64_t log_bytes() const = 0;
  virtual uint64_t state_bytes() const = 0;

 protected:
  NodeAccess() = default;
  ~NodeAccess() { *is_alive_ = false; }

 private:
  uint64_t last_connection_ = 0;
  const std::shared_ptr<bool> is_alive_ = std::make_shared<bool>(true);
  const std::shared_ptr<const bool> alive_ = is_alive_;
};

}  // namespace holdfast::daemon
