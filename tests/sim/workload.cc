#include "tests/sim/workload.h"

#include <algorithm>

#include "tests/sim/client.h"

namespace holdfast::sim {

Workload::Workload(World& world, Cluster& cluster, const Options& options)
    : world_(world), cluster_(cluster), beliefs_(world), reads_(world) {
  for (uint32_t i = 0; i < options.client_count(); ++i) {
    clients_.push_back(std::make_unique<Client>(world, cluster, beliefs_, reads_, options, i));
  }
}

Workload::~Workload() = default;

void Workload::start() {
  for (auto& client : clients_) client->start();
}

void Workload::drain() {
  for (auto& client : clients_) client->drain();
}

std::optional<std::string> Workload::unsettled() const {
  for (const auto& client : clients_) {
    if (!client->idle()) return "not everything was answered: " + client->describe();
  }
  // 2.5: the leases of all who vanished have ended long ago.
  const auto active = cluster_.active_node();
  if (!active) return std::nullopt;
  for (const base::LeaseId lease : cluster_.table(*active)->lease_ids({}, SIZE_MAX)) {
    const bool wanted = std::ranges::any_of(
        clients_, [lease](const auto& client) { return client->lease() == lease; });
    if (!wanted) return "lease " + std::to_string(lease.value) + " never ends";
  }
  return std::nullopt;
}

void Workload::stand_still(uint32_t client, bool on) {
  if (on) return clients_[client]->stand_still();
  clients_[client]->go_on();
}

void Workload::set_clock_factor(uint32_t client, double factor) {
  if (factor != 1) beliefs_.distrust(client);
  clients_[client]->set_clock_factor(factor);
}

void Workload::end_faults() {
  for (auto& client : clients_) {
    client->set_clock_factor(1);
    while (client->stands_still()) client->go_on();
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
