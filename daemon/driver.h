// The driver: feeds the node with what happened in one turn of the loop, then carries out what the
// node wants done (DESIGN 4). The simulator replaces exactly this.
//
// A turn: libuv reports what became readable, KJ runs what follows from it, each event calls
// node.on_*() with a fresh reading of the clock; at the turn's end finish_turn() is called, writes
// go to the writer threads, messages to the links, answers to the waiting calls.
#pragma once

#include <uv.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "daemon/calls.h"
#include "daemon/config.h"
#include "daemon/event_polls.h"
#include "daemon/joiner.h"
#include "daemon/log.h"
#include "daemon/node_access.h"
#include "daemon/peers.h"
#include "daemon/store.h"
#include "lockcore/node/node.h"
#include "lockcore/store/reader_thread.h"
#include "lockcore/store/writer_thread.h"
#include "rpc/uv_event_port.h"

namespace holdfast::daemon {

class Driver final : public NodeAccess, private PeerHandler {
 public:
  // `before`: what this process knew of the databases when it last had them open.
  Driver(rpc::EventLoop& loop, const Config& config, OpenedStore store,
         const Verification& before = {});
  ~Driver();

  // Told when the record is found damaged, and the others can do without this node for as long as
  // it takes to open its directory anew, which mends it.
  void set_on_mendable(std::function<void()> call) { on_mendable_ = std::move(call); }

  // -- NodeAccess, for the services ---------------------------------------------------------------
  node::ClientRef begin(Call& call) override { return calls_.add(call); }
  void command(node::ClientRef ref, locks::Command command) override;
  void renew(node::ClientRef ref, node::RenewRequest request) override;
  void disconnected(uint64_t connection) override;
  void read(node::ClientRef ref) override;
  void read_here(node::ClientRef ref) override;
  void admin(node::ClientRef ref, node::AdminRequest request) override;
  void drop(node::ClientRef ref) override;
  kj::Promise<base::SnapshotPart> read_snapshot(base::SnapshotId asked, uint64_t offset,
                                                size_t max_bytes, base::Slot at_least) override;
  uint64_t ask_record(store::StateQuestion question,
                      std::function<void(store::StateAnswer&&)> answered) override;
  void forget_record(uint64_t name) override;
  EventPolls& event_polls() override { return event_polls_; }
  std::variant<base::Slot, base::Error> propose_barrier() override;
  void verify() override;
  Verification verification() const override { return verification_; }
  const node::Node& node() const override { return node_; }
  rpc::PeerServer& peer_server() override { return peers_.server(); }
  uint64_t log_bytes() const override { return writer_->log_bytes(); }
  uint64_t state_bytes() const override { return writer_->state_bytes(); }

 private:
  // -- PeerHandler --------------------------------------------------------------------------------
  paxos::Hello hello() const override { return node_.hello(); }
  std::optional<paxos::Refusal> on_hello(const paxos::Hello& peer) override;
  void on_refused(base::NodeId by, const paxos::Refusal& refusal) override;
  void on_message(base::NodeId from, paxos::Message message) override;
  void on_peer_lost(base::NodeId peer) override;

  void dial_members(const Config& config);
  void join(const Config& config);
  void follow_members();

  // -- the turn -----------------------------------------------------------------------------------
  bool end_turn();
  bool carry_out();
  void tell_peers_and_disk();
  // Returns whether anybody was answered.
  bool answer_calls();
  void drain_writer();
  void drain_snapshots(store::Finished& finished, base::Instant now);
  void carry_out_snapshots();
  void ask_for_snapshots();
  void carry_out_comparison();
  void drain_damage(const store::Finished& finished, base::Instant now);
  void drain_verification(store::Finished& finished);
  void look_for_damage(base::Instant now);
  bool others_suffice() const;
  void drain_reader();
  // The present moment, for an event that came just now; says that the node has something to
  // finish.
  base::Instant event();

  // -- what people are told -----------------------------------------------------------------------
  void tell_notices();
  void tell_role();
  void tell_founding();
  void tell_slow_disk(uint64_t fsync_us);

  // Ends the process once everything handed to the writer is on the disk.
  [[noreturn]] void end_refused(const std::string& reason);

  struct Timer;

  rpc::EventLoop& loop_;
  const std::string data_dir_;
  CallTable calls_;
  node::Node node_;
  node::Effects fx_;  // of this turn; empty between turns
  bool fed_ = true;   // the node was given an event since the last finish_turn()
  Timer* timer_;      // freed in its close callback
  Peers peers_;
  uint64_t dialled_ = 0;  // the version of the contacts that peers_ was last told of
  std::unique_ptr<store::WriterThreads> writer_;
  // Operators who wait for a part of a snapshot.
  struct SnapshotReader {
    kj::Own<kj::PromiseFulfiller<base::SnapshotPart>> fulfiller;
    base::SnapshotId asked = 0;
    uint64_t offset = 0;
    size_t max_bytes = 0;
    base::Slot at_least;  // through here it must be recorded first
  };
  std::vector<SnapshotReader> waiting_readers_;  // for the recording
  std::deque<SnapshotReader> snapshot_readers_;  // for the writer, in the order of asking
  Verification verification_;
  int verifying_ = 0;  // databases whose verification is under way
  const base::Duration scrub_interval_;
  base::Instant scrub_at_;
  base::Instant mend_at_ = base::kNever;  // the record is damaged: it is to be mended then
  std::function<void()> on_mendable_;
  std::shared_ptr<locks::LockTable> loaded_;  // of the snapshot that the writer checks
  EventPolls event_polls_;
  std::unordered_map<uint64_t, std::function<void(store::StateAnswer&&)>> asked_;
  uint64_t last_asked_ = 0;
  std::unique_ptr<store::ReaderThread> reader_;
  std::unique_ptr<Joiner> joiner_;  // as long as this node hasn't joined
  Throttle slow_disk_;
  Throttle unmended_;
  std::string told_role_;
  std::string told_waiting_for_;
  bool told_founded_ = false;
};

}  // namespace holdfast::daemon
