#include "tests/sim/workload.h"

#include <algorithm>

#include "tests/sim/client.h"
#include "tests/sim/library_client.h"

namespace holdfast::sim {

Workload::Workload(World& world, Cluster& cluster, const Options& options)
    : world_(world),
      cluster_(cluster),
      options_(options),
      beliefs_(world),
      reads_(world),
      holds_(world, cluster.model()),
      connections_(world, cluster) {
  for (uint32_t i = 0; i < options.client_count(); ++i) {
    clients_.push_back(std::make_unique<Client>(world, cluster, beliefs_, reads_, options, i));
  }
  for (uint32_t i = 0; i < options.program_count(); ++i) {
    programs_.push_back(std::make_unique<LibraryClient>(world, connections_, beliefs_, holds_,
                                                        reads_, cluster.fence(), options,
                                                        options.client_count() + i));
  }
}

Workload::~Workload() = default;

void Workload::start() {
  for (auto& client : clients_) client->start();
  for (auto& program : programs_) program->start();
}

void Workload::drain() {
  for (auto& client : clients_) client->drain();
  for (auto& program : programs_) program->drain();
}

std::optional<std::string> Workload::unsettled() const {
  for (const auto& client : clients_) {
    if (!client->idle()) return "not everything was answered: " + client->describe();
  }
  // A program that was cut off while all nodes went that it had been told of knows nobody to ask.
  bool knows_anybody = false;
  for (uint32_t id = 1; id <= options_.voters(); ++id) {
    knows_anybody |= cluster_.config().find(base::NodeId{id}) != nullptr;
  }
  for (const auto& program : programs_) {
    if (!knows_anybody || program->idle()) continue;
    return "not everything was answered: " + program->describe();
  }
  return unsettled_leases();
}

// 2.5: what nobody keeps any more has ended: leases of those who vanished, and holds that were
// released, whether anybody waited for the answer or not.
std::optional<std::string> Workload::unsettled_leases() const {
  const auto active = cluster_.active_node();
  if (!active) return std::nullopt;
  const locks::LockTable& table = *cluster_.table(*active);
  for (const base::LeaseId lease : table.lease_ids({}, SIZE_MAX)) {
    const bool wanted =
        std::ranges::any_of(clients_, [lease](const auto& c) { return c->lease() == lease; }) ||
        std::ranges::any_of(programs_, [lease](const auto& p) { return p->wants(lease); });
    if (!wanted) return "lease " + std::to_string(lease.value) + " never ends";
  }
  if (table.counts().holds == 0) return std::nullopt;
  const base::HoldRow hold = table.rows().holds.front();
  return hold.lock + " stays held with token " + std::to_string(hold.token.value) +
         " although everybody has released it";
}

LibraryClient* Workload::program(uint32_t client) {
  return client < clients_.size() ? nullptr : programs_[client - clients_.size()].get();
}

void Workload::stand_still(uint32_t client, bool on) {
  if (LibraryClient* library = program(client)) {
    return on ? library->stand_still() : library->go_on();
  }
  if (on) return clients_[client]->stand_still();
  clients_[client]->go_on();
}

void Workload::set_clock_factor(uint32_t client, double factor) {
  if (factor != 1) beliefs_.distrust(client);
  if (LibraryClient* library = program(client)) return library->set_clock_factor(factor);
  clients_[client]->set_clock_factor(factor);
}

void Workload::cut(uint32_t client, base::NodeId node, bool silently) {
  connections_.cut(client, node, silently);
}

void Workload::kill(uint32_t client, bool vanish) {
  if (LibraryClient* library = program(client)) library->kill(vanish);
}

void Workload::revive(uint32_t client) {
  if (LibraryClient* library = program(client)) library->revive();
}

void Workload::end_faults() {
  for (uint32_t client = 0; client < size(); ++client) {
    LibraryClient* library = program(client);
    set_clock_factor(client, 1);
    const auto stands_still = [&] {
      return library ? library->stands_still() : clients_[client]->stands_still();
    };
    while (stands_still()) stand_still(client, false);
  }
}

uint64_t Workload::operations() const {
  uint64_t sum = 0;
  for (const auto& client : clients_) sum += client->operations;
  for (const auto& program : programs_) sum += program->operations();
  return sum;
}

uint64_t Workload::grants() const {
  uint64_t sum = 0;
  for (const auto& client : clients_) sum += client->grants;
  for (const auto& program : programs_) sum += program->grants();
  return sum;
}

}  // namespace holdfast::sim
