// Network: what becomes of a message on its way. Lost, late, twice, or kept back by a partition.
//
// Faults come and go in any order and may overlap: what one of them began it ends again itself.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "lockcore/base/ids.h"
#include "lockcore/paxos/message.h"
#include "tests/sim/options.h"
#include "tests/sim/world.h"

namespace holdfast::sim {

constexpr size_t kMaxNodes = 9;
constexpr size_t kMaxClients = 64;

class Network {
 public:
  Network(const World& world, const Options& options);

  // How long a message takes, in ns; nullopt: it is lost.
  std::optional<int64_t> delay();
  // How often it arrives.
  int copies() { return random_.chance(duplication_) ? 2 : 1; }
  // Asked at arrival.
  bool reaches(base::NodeId from, base::NodeId to) const;
  bool reaches(base::NodeId from, base::NodeId to, const paxos::Message& message) const;
  bool client_reaches(uint32_t client, base::NodeId node) const;
  bool client_hears(uint32_t client, base::NodeId node) const;
  // Of the requests of clients: a node says that it is at a limit.
  bool refuses() { return random_.chance(refusal_); }

  // -- faults. `on`: it begins, else it ends.
  void block(base::NodeId from, base::NodeId to, bool on) {
    links_[from.value][to.value] += by(on);
  }
  void block_client(uint32_t client, base::NodeId node, bool on) {
    clients_[client][node.value] += by(on);
  }
  // The same, of what the node says.
  void deafen_client(uint32_t client, base::NodeId node, bool on) {
    deaf_clients_[client][node.value] += by(on);
  }
  void refuse(double chance, bool on) { refusal_ += on ? chance : -chance; }
  // Only messages of up to `bytes` arrive.
  void limit(base::NodeId from, base::NodeId to, size_t bytes, bool on);
  void lose(double chance, bool on) { loss_ += on ? chance : -chance; }
  void duplicate(double chance, bool on) { duplication_ += on ? chance : -chance; }
  // A part of the messages takes up to options.late_ms.
  void be_late(double chance, bool on) { late_ += on ? chance : -chance; }
  void heal();

 private:
  static int by(bool on) { return on ? 1 : -1; }

  const Options& options_;
  base::Random random_;
  double loss_ = 0, duplication_ = 0, late_ = 0, refusal_ = 0;
  std::array<std::array<int, kMaxNodes + 1>, kMaxNodes + 1> links_{};  // > 0: blocked
  std::array<std::array<int, kMaxNodes + 1>, kMaxClients> clients_{}, deaf_clients_{};
  std::array<std::array<size_t, kMaxNodes + 1>, kMaxNodes + 1> limits_{};  // 0: none
};

}  // namespace holdfast::sim
