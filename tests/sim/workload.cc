#include "tests/sim/workload.h"

#include "tests/sim/client.h"

namespace holdfast::sim {

Workload::Workload(World& world, Cluster& cluster, const Options& options)
    : world_(world), beliefs_(world) {
  for (uint32_t i = 0; i < options.clients; ++i) {
    clients_.push_back(std::make_unique<Client>(world, cluster, beliefs_, options, i));
  }
}

Workload::~Workload() = default;

void Workload::start() {
  for (auto& client : clients_) client->start();
}

void Workload::drain() {
  for (auto& client : clients_) client->drain();
}

void Workload::check_idle() {
  for (const auto& client : clients_) {
    if (!client->idle()) world_.fail("not everything was answered: " + client->describe());
  }
}

uint64_t Workload::operations() const {
  uint64_t sum = 0;
  for (const auto& client : clients_) sum += client->operations;
  return sum;
}

uint64_t Workload::grants() const {
  uint64_t sum = 0;
  for (const auto& client : clients_) sum += client->grants;
  return sum;
}

}  // namespace holdfast::sim
