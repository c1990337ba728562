// A few Nodes wired together by hand: messages and writes move only when a test says so.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lockcore/node/node.h"

namespace holdfast::node::test {

struct Answers {
  std::map<ClientRef, locks::Answer> commands;
  std::map<ClientRef, RenewReply> renewals;
  std::map<ClientRef, ReadReply> reads;
};

class Bench {
 public:
  explicit Bench(uint32_t nodes);

  // Runs turns until no message and no write is left; drops what `lost` says.
  void settle();
  // Lets time pass in steps of a few milliseconds, settling after each.
  void pass_ms(int64_t ms);
  // Time passes for nobody: the clock jumps, as it does for a process that was stopped.
  void jump_ms(int64_t ms) { now_.ns += ms * 1'000'000; }
  // Elects somebody and returns its index; the cell is founded by then.
  uint32_t elect();
  std::optional<uint32_t> active() const;

  // Turn by turn. A turn's messages are queued, not delivered.
  void turn(uint32_t node);
  Node& node(uint32_t index) { return *nodes_[index]; }
  base::Instant now() const { return now_; }

  ClientRef command(uint32_t node, locks::Command command);
  ClientRef renew(uint32_t node, std::vector<base::LeaseId> leases);
  ClientRef read(uint32_t node);
  ClientRef read_here(uint32_t node);
  // The answer, after settling. Fails the test if there is none.
  locks::Answer run(uint32_t node, locks::Command command);
  base::ClientId register_client(uint32_t node);
  base::LeaseId open_lease(uint32_t node, base::ClientId client, uint64_t number, uint64_t ttl_ms);

  Answers answers;
  // Messages for which this is true are lost. From and to are indexes.
  std::function<bool(uint32_t from, uint32_t to, const paxos::Message&)> lost;
  // Nodes whose writes don't end.
  std::vector<bool> disk_stalled;
  std::vector<base::StateWrite> recorded;  // of node 0

 private:
  struct InFlight {
    uint32_t from, to;
    paxos::Message message;
  };
  void carry_out(uint32_t index);
  bool deliver_one();
  bool write_one();

  base::Instant now_{1'000'000'000};
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<Effects> effects_;
  std::vector<std::deque<base::WriteId>> writes_;
  std::deque<InFlight> network_;
  ClientRef next_ref_ = 1;
};

locks::Command make(base::ClientId client, uint64_t number, locks::Body body);
locks::Acquire acquire(base::LeaseId lease, std::string lock, uint64_t holder = 1);

}  // namespace holdfast::node::test
